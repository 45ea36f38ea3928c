package replicas

import (
	"regexp"
	"testing"

	"helloworld/infra/golden"
)

func TestTheRenderedFilterIsGolden(t *testing.T) {
	text, err := renderFilter("helloworld-dev")
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "filter.conf", text)
}

// TestTheFilterLetsOnlyRestartsThrough reads the filter's rule as nginx does.
func TestTheFilterLetsOnlyRestartsThrough(t *testing.T) {
	text, err := renderFilter("helloworld-v1.dev")
	if err != nil {
		t.Fatal(err)
	}
	rule := regexp.MustCompile(regexp.MustCompile(`"~(.*)" yes;`).FindStringSubmatch(text)[1])
	for request, want := range map[string]bool{
		"POST /containers/helloworld-v1.dev-replica-1-0a1b2c3/restart?t=2":           true,
		"POST /containers/helloworld-v1.dev-replica-12-0a1b2c3/unpause":              true,
		"POST /containers/helloworld-v1.dev-replica-1-0a1b2c3/kill?signal=CONT":      true,
		"POST /containers/helloworld-v1.dev-replica-1-0a1b2c3/kill?signal=KILL":      false,
		"POST /containers/helloworld-v1.dev-replica-1-0a1b2c3/kill":                  false,
		"GET /containers/helloworld-v1.dev-replica-1-0a1b2c3/json":                   false,
		"POST /containers/helloworld-v1.dev-replica-1-0a1b2c3/exec":                  false,
		"DELETE /containers/helloworld-v1.dev-replica-1-0a1b2c3":                     false,
		"POST /containers/helloworld-v1.dev-replica-watcher-0a1b2c3/restart?t=2":     false,
		"POST /containers/helloworld-v1.dev-proxy-0a1b2c3/restart?t=2":               false,
		"POST /containers/helloworld-v1.dev-replica-1-replica-1-0a1b2c3/restart?t=2": false, // of the stack v1.dev-replica-1
		"POST /containers/helloworld-v12dev-replica-1-0a1b2c3/restart?t=2":           false,
		"POST /containers/other-helloworld-v1.dev-replica-1-0a1b2c3/restart?t=2":     false,
		"POST /containers/helloworld-v1.dev-replica-1-0a1b2c3/../x/restart?t=2":      false,
		"POST /containers/create": false,
		"GET /containers/json":    false,
		"POST /containers/create?/containers/helloworld-v1.dev-replica-1-0a1b2c3/restart?t=2": false,
		"POST /v1.41/containers/helloworld-v1.dev-replica-1-0a1b2c3/restart?t=2":              false,
	} {
		if got := rule.MatchString(request); got != want {
			t.Errorf("%s: it is let through is %v", request, got)
		}
	}
}
