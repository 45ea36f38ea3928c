package e2e

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestFaults makes every change fail that can, and breaks what runs, under load.
func TestFaults(t *testing.T) {
	t.Parallel()
	p := newProject(t, "faults")
	p.start(t, "monitoring.enabled", "false", "logging.enabled", "false") // they have tests of their own
	for _, fault := range []struct {
		name string
		run  func(*testing.T, *project)
	}{
		{"BadConfigurationIsRefusedInOneMessage", badConfiguration},
		{"NoEngineIsOneClearLine", noEngine},
		{"ATakenPortLeavesWhatRan", takenPort},
		{"AnAppThatNeverBecomesReady", neverReady},
		{"AnAppThatExitsAtOnce", exitsAtOnce},
		{"AFailingBuild", failingBuild},
		{"ARevisionThatNginxRefuses", refusedRevision},
		{"AnAppOnAnotherPort", wrongPort},
		{"ARevisionThatFailedByChanceIsTriedAgain", retriedRevision},
		{"AKilledReplica", killedReplica},
		{"AReplicaOutOfMemory", outOfMemory},
		{"AStoppedReplicaIsStarted", stoppedReplica},
		{"ARemovedReplicaIsNoticed", removedReplica},
		{"ARestartedProxyServesTheLastRevision", restartedProxy},
		{"ABadAnswerTakesNobodyDown", badAnswer},
		{"ABadProxyIsRefused", badProxy},
	} {
		t.Run(fault.name, func(t *testing.T) { fault.run(t, p) })
	}
}

// start brings the stack up with two replicas, a short patience and the settings.
func (p *project) start(t *testing.T, settings ...string) {
	t.Helper()
	if out, err := p.run("make", "ready"); err != nil {
		t.Fatalf("make ready: %v\n%s", err, out)
	}
	p.set(t, append(settings, "replicas", "2", "app.startTimeout", "5")...)
	p.up(t)
}

// intact checks that the containers still run.
func (p *project) intact(t *testing.T, containers []string) {
	t.Helper()
	for _, c := range inspect(t, containers...) {
		if !c.State.Running {
			t.Errorf("%s is %s", c.Name, c.State.Status)
		}
	}
}

// mended checks that after the mend two replicas run and nothing is left.
func (p *project) mended(t *testing.T) {
	t.Helper()
	p.up(t)
	if got := len(p.containers(t, "replica")); got != 2 {
		t.Errorf("%d replicas after the mend, want 2", got)
	}
	if got := len(p.containers(t, "proxy-revision")); got != 1 {
		t.Errorf("%d revision containers after the mend, want 1", got)
	}
	p.serves(t, 2)
	p.up(t, "--expect-no-changes")
}

// failsSafely makes a change that must fail, under load, and mends it.
func failsSafely(t *testing.T, p *project, mend func(), texts ...string) {
	t.Helper()
	before := p.containers(t, "replica")
	load := p.startLoad(false)
	defer load.end(t)
	p.failingUp(t, texts...)
	p.intact(t, before)
	p.failingUp(t, texts...) // it does not turn green by itself
	p.intact(t, before)
	mend()
	p.mended(t)
}

func badConfiguration(t *testing.T, p *project) {
	before := p.read(t, "Pulumi.faults.yaml")
	defer p.write(t, "Pulumi.faults.yaml", before)
	containers := p.resources(t)
	p.write(t, "Pulumi.faults.yaml", regexp.MustCompile(`(?m)^encryptionsalt:.*\n`).FindString(before)+`config:
  helloworld:replicas: two
  helloworld:colour: blue
  helloworld:app:
    build: nowhere
    image: nginx
    memory: 5
    port: 70000
  helloworld:proxy:
    domain: not_a_domain
    httpPort: 8443
    httpsPort: 8443
`)
	p.failingUp(t,
		`helloworld:replicas is "two": allowed is a whole number from 1 to 100`,
		`helloworld:colour is unknown: allowed are app.build,`,
		`helloworld:app.image is "nginx": allowed is only one of app.build and app.image`,
		`helloworld:app.memory is 5: allowed is a whole number of MB from 6 to`,
		`helloworld:app.port is 70000: allowed is a whole number from 1 to 65535`,
		`helloworld:proxy.domain is "not_a_domain": allowed is a DNS name`,
		`helloworld:proxy.httpsPort is 8443: allowed is a port that proxy.httpPort does not use`,
	)
	if after := p.resources(t); !slices.Equal(containers["containers"], after["containers"]) {
		t.Error("the containers changed")
	}
}

func noEngine(t *testing.T, p *project) {
	command := p.command("pulumi", "up", "--yes", "--skip-preview", "--stack", p.stack)
	command.Env = append(command.Env, "DOCKER_HOST=unix:///nowhere/docker.sock")
	out, err := command.CombinedOutput()
	want := "no Docker Engine answers at unix:///nowhere/docker.sock: start it"
	if err == nil || !strings.Contains(string(out), want) {
		t.Errorf("pulumi up: %v\n%s", err, out)
	}
	out2, err := p.run("make", "up", "DOCKER_HOST=unix:///nowhere/docker.sock")
	if err == nil || !strings.Contains(out2, want) {
		t.Errorf("make up: %v\n%s", err, out2)
	}
}

func takenPort(t *testing.T, p *project) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	taken := listener.Addr().(*net.TCPAddr).Port
	load := p.startLoad(false)
	defer load.end(t)
	proxy := p.containers(t, "proxy")
	p.set(t, "proxy.httpsPort", strconv.Itoa(taken))
	p.failingUp(t, fmt.Sprintf("proxy.httpsPort is %d: allowed is a free port", taken), "nothing has changed")
	p.intact(t, proxy)
	p.set(t, "proxy.httpsPort", strconv.Itoa(p.httpsPort))
	p.mended(t)
}

func neverReady(t *testing.T, p *project) {
	p.set(t, "app.healthCommand[0]", "/app", "app.healthCommand[1]", "no-such-command")
	failsSafely(t, p, func() { p.unset(t, "app.healthCommand") },
		"replica-1-", "is not ready after 5s", "its health command says: app: arguments", `"msg":"listening"`)
}

func exitsAtOnce(t *testing.T, p *project) {
	p.set(t, "app.env.LOG_LEVEL", "shout")
	failsSafely(t, p, func() { p.unset(t, "app.env") },
		"replica-1-", "restarted ", `app: LOG_LEVEL is "shout": allowed is debug, info, warn or error`)
}

func failingBuild(t *testing.T, p *project) {
	restore := p.edit(t, "app/main.go", "func main() {", "func main() {\n\tundefinedFunction()")
	failsSafely(t, p, restore, "the build of the app image failed", "undefined: undefinedFunction")
}

func refusedRevision(t *testing.T, p *project) {
	restore := p.edit(t, "infra/proxy/nginx.conf.tmpl", "server_tokens off;", "server_tokens off;\n    no_such_directive on;")
	failsSafely(t, p, restore, "the proxy revision failed", "nginx refuses it", `unknown directive "no_such_directive"`)
}

func wrongPort(t *testing.T, p *project) {
	p.set(t, "app.env.PORT", "9000") // its own check passes there
	failsSafely(t, p, func() { p.unset(t, "app.env") }, "replica-1-", "is not ready after 5s", "Does it run, and is app.port right?", "the last lines of its log")
}

// retriedRevision stops the proxy while a revision is applied, and tries again
// without a change.
func retriedRevision(t *testing.T, p *project) {
	proxy := p.containers(t, "proxy")[0]
	p.set(t, "replicas", "3")
	docker(t, "pause", proxy)
	p.failingUp(t, "the proxy does not run")
	docker(t, "unpause", proxy)
	p.up(t)
	p.serves(t, 3)
	p.up(t, "--expect-no-changes")
	p.set(t, "replicas", "2")
	p.mended(t)
}

// backInPool waits until the replica answers again.
func (p *project) backInPool(t *testing.T, restarted string, restarts int) {
	t.Helper()
	eventually(t, 10*time.Second, "the replica is restarted", func() bool {
		c := inspect(t, restarted)[0]
		return c.State.Running && c.RestartCount > restarts
	})
	p.serves(t, 2)
}

func killedReplica(t *testing.T, p *project) {
	load := p.startLoad(true)
	defer load.end(t)
	for range 3 {
		for _, replica := range inspect(t, p.containers(t, "replica")...) {
			if err := syscall.Kill(replica.State.Pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			p.backInPool(t, replica.ID, replica.RestartCount)
		}
	}
}

// outOfMemory gives the service a route that uses more memory than its limit. It
// is a POST, which the proxy does not repeat on the other replica.
func outOfMemory(t *testing.T, p *project) {
	restore := p.edit(t, "app/handler.go", `"/helloworld": route(`, `"/eat": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			eaten := make([]byte, 256<<20)
			for i := range eaten {
				eaten[i] = byte(i)
			}
			_, _ = w.Write(eaten)
		}),
		"/helloworld": route(`)
	p.up(t)
	load := p.startLoad(true)
	restarts := map[string]int{}
	for _, replica := range inspect(t, p.containers(t, "replica")...) {
		restarts[replica.ID] = replica.RestartCount
	}
	response, body := p.get(t, "POST", "/eat", nil)
	if response.StatusCode != 502 || !strings.Contains(body, "no replica answered") {
		t.Errorf("answered %s, %d bytes", response.Status, len(body))
	}
	killed := func(replica inspected) bool { return replica.RestartCount > restarts[replica.ID] }
	eventually(t, 20*time.Second, "one replica is killed and restarted", func() bool {
		return slices.ContainsFunc(inspect(t, p.containers(t, "replica")...), killed)
	})
	all := inspect(t, p.containers(t, "replica")...)
	dead := all[slices.IndexFunc(all, killed)]
	p.backInPool(t, dead.ID, restarts[dead.ID])
	load.end(t)
	restore()
	p.mended(t)
}

func stoppedReplica(t *testing.T, p *project) {
	load := p.startLoad(true)
	defer load.end(t)
	docker(t, "stop", p.containers(t, "replica")[0])
	p.mended(t)
}

func removedReplica(t *testing.T, p *project) {
	load := p.startLoad(true)
	defer load.end(t)
	docker(t, "rm", "--force", p.containers(t, "replica")[0])
	p.failingUp(t, "is gone: make up makes it anew")
	p.up(t, "--refresh")
	p.mended(t)
}

// badAnswer asks for what the service answers too late, and for what it answers
// with 503, again and again: no other request suffers.
func badAnswer(t *testing.T, p *project) {
	restore := p.edit(t, "app/handler.go", `"strings"`, `"strings"
	"time"`)
	p.edit(t, "app/handler.go", `"/helloworld": route(`, `"/broken": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			writeError(w, http.StatusServiceUnavailable)
		}),
		"/slow": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(5 * time.Second)
			writeError(w, http.StatusTeapot)
		}),
		"/helloworld": route(`)
	p.set(t, "app.stopGrace", "2") // so a request may take 1 s
	p.up(t)
	load := p.startLoad(false)
	response, body := p.get(t, "GET", "/slow", nil)
	if response.StatusCode != 504 || !strings.HasPrefix(body, `{"error":"the replicas took too long"`) {
		t.Errorf("answered %s %s", response.Status, body)
	}
	for range 200 {
		response, body := p.get(t, "GET", "/broken", nil)
		if response.StatusCode != 503 || body != `{"error":"service unavailable"}` {
			t.Fatalf("answered %s %s", response.Status, body)
		}
	}
	load.end(t)
	restore()
	p.unset(t, "app.stopGrace")
	p.mended(t)
}

// badProxy gives the proxy what it cannot run with: it is not even stopped.
func badProxy(t *testing.T, p *project) {
	load := p.startLoad(false)
	defer load.end(t)
	before := inspect(t, p.containers(t, "proxy")[0])[0].State.StartedAt
	p.set(t, "images.nginx", reference(t, p.dir, "builder")) // it has sh, and nothing else that is needed
	p.failingUp(t, "the proxy check failed", "the image has no nginx")
	p.unset(t, "images")
	p.set(t, "proxy.bind", "192.0.2.1")
	p.failingUp(t, "proxy.bind is 192.0.2.1: allowed is an address of this host")
	p.set(t, "proxy.bind", "127.0.0.1")
	p.mended(t)
	if after := inspect(t, p.containers(t, "proxy")[0])[0].State.StartedAt; after != before {
		t.Error("the proxy was restarted")
	}
}

func restartedProxy(t *testing.T, p *project) {
	proxy := inspect(t, p.containers(t, "proxy")[0])[0]
	if err := syscall.Kill(proxy.State.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, 15*time.Second, "the proxy serves again", func() bool {
		_, err := p.run("curl", "--silent", "--insecure", "--fail", fmt.Sprintf("https://127.0.0.1:%d/helloworld", p.httpsPort))
		return err == nil
	})
	p.serves(t, 2)
}
