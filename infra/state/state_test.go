package state

import (
	"slices"
	"strings"
	"testing"
)

func known() State {
	const prefix = "urn:pulumi:dev::helloworld::"
	of := func(kind string, outputs map[string]any) map[string]any {
		return map[string]any{"type": kind, "outputs": outputs}
	}
	return parse(map[string]any{
		prefix + stackType + "::helloworld-dev":       of(stackType, map[string]any{"rollback": true}),
		prefix + keyType + "::identity":               of(keyType, map[string]any{"publicKeyPem": "PUBLIC"}),
		prefix + networkType + "::helloworld-dev":     of(networkType, nil),
		prefix + containerType + "::helloworld-dev-a": of(containerType, map[string]any{"name": "helloworld-dev-a-1"}),
		prefix + containerType + "::helloworld-dev-check": of(containerType, map[string]any{
			"name": "helloworld-dev-check-1", "exitCode": 3.0,
			"labels": []any{map[string]any{"label": "attempt", "value": "7"}},
		}),
	})
}

func TestTheStateIsRead(t *testing.T) {
	s := known()
	if s.Output("rollback") != true || s.Output("none") != nil || s.PublicKey("identity") != "PUBLIC" || s.PublicKey("none") != "" {
		t.Errorf("outputs or keys of %+v", s)
	}
	if got := s.Containers(); !slices.Equal(got, []string{"helloworld-dev-a-1", "helloworld-dev-check-1"}) {
		t.Errorf("containers %q", got)
	}
	if run, ok := s.LastRun("helloworld-dev-check"); !ok || run.ExitCode != 3 || run.Labels["attempt"] != "7" {
		t.Errorf("last run %+v, %v", run, ok)
	}
	if _, ok := s.LastRun("helloworld-dev-none"); ok {
		t.Error("what never ran has run")
	}
}

func TestARenamedStackIsRefused(t *testing.T) {
	s := known()
	for prefix, refused := range map[string]bool{"helloworld-dev": false, "helloworld-de": true, "helloworld-prod": true} {
		if err := s.CheckName(prefix); (err != nil) != refused || refused && !strings.Contains(err.Error(), "made as helloworld-dev:") {
			t.Errorf("%s: %v", prefix, err)
		}
	}
	if err := (State{}).CheckName("helloworld-dev"); err != nil {
		t.Errorf("an empty state: %v", err)
	}
}
