package e2e

import (
	"strings"
	"testing"
)

// TestRefused: no version gets traffic before it has shown that it serves, however
// long that takes, and no update leaves the proxy behind.
func TestRefused(t *testing.T) {
	t.Parallel()
	p := newProject(t, "refused")
	p.start(t, "monitoring.enabled", "false", "logging.enabled", "false")
	for _, step := range []struct {
		name string
		run  func(*testing.T, *project)
	}{
		{"AVersionThatAnswersEverythingWith500", answers500},
		{"AVersionThatIsReadyAndServesNothing", servesNothing},
		{"AVersionThatStartsSlowlyIsWaitedFor", startsSlowly},
		{"AnUpdateOfNothingButReplicas", onlyReplicas},
		{"AHealthCommandThatIsTakenAwayIsGone", healthTakenAway},
	} {
		t.Run(step.name, func(t *testing.T) { step.run(t, p) })
	}
}

func answers500(t *testing.T, p *project) {
	restore := p.edit(t, "app/serve.go", "withSlowRoutes(newHandler(s.replica, &ready, logger))",
		"http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })")
	failsSafely(t, p, restore, "the proxy revision failed", "replica-1-", "is not ready after 5s: GET / is answered with status 500",
		"the last lines of its log", `"msg":"listening"`)
}

// servesNothing: its health is good, but not what a client asks for.
func servesNothing(t *testing.T, p *project) {
	load := p.startLoad(false)
	defer load.end(t)
	before := p.containers(t, "replica")
	p.set(t, "app.healthPath", "/readyz")
	restore := p.edit(t, "app/handler.go", "writeJSON(w, http.StatusOK, greeting", "writeJSON(w, http.StatusInternalServerError, greeting")
	p.failingUp(t, "is ready, but does not serve after 5s: GET /helloworld is answered with status 500")
	p.intact(t, before)
	restore()
	p.mended(t)
}

// startsSlowly listens after a while, and answers with errors at first: no client gets
// one of them.
func startsSlowly(t *testing.T, p *project) {
	p.set(t, "app.startTimeout", "60")
	p.edit(t, "app/slow.go", "func withSlowRoutes(next http.Handler) http.Handler {", `func withSlowRoutes(next http.Handler) http.Handler {
	time.Sleep(15 * time.Second)
	started := time.Now()
	return warm(started, slowly(next))
}

func warm(started time.Time, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if time.Since(started) < 5*time.Second {
			w.WriteHeader(503)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func slowly(next http.Handler) http.Handler {`)
	load := p.startLoad(false)
	defer load.end(t)
	p.up(t)
	p.serves(t, 2)
}

// onlyReplicas leaves the proxy's revision out of an update: old replicas would go,
// and the proxy know no other.
func onlyReplicas(t *testing.T, p *project) {
	load := p.startLoad(false)
	defer load.end(t)
	before := p.containers(t, "replica")
	p.set(t, "app.env.LOG_LEVEL", "debug")
	out, err := p.pulumi("up", "--yes", "--skip-preview", "--target", "**replica-*")
	if err == nil || !strings.Contains(out, "the proxy revision was left out of this update by --target or --exclude") {
		t.Errorf("pulumi up: %v\n%s", err, out)
	}
	p.intact(t, before)
	p.mended(t)
}

// healthTakenAway: the provider does not see it by itself.
func healthTakenAway(t *testing.T, p *project) {
	p.set(t, "app.healthCommand[0]", "/app", "app.healthCommand[1]", "healthcheck")
	p.up(t)
	p.unset(t, "app.healthCommand")
	p.up(t)
	for _, id := range p.containers(t, "replica") {
		if check := docker(t, "inspect", "--format", "{{json .Config.Healthcheck}}", id)[0]; check != "null" {
			t.Errorf("a replica has the health check %s", check)
		}
	}
	p.up(t, "--expect-no-changes")
}
