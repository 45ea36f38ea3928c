package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestHang lets replicas hang in every way, under light load.
func TestHang(t *testing.T) {
	t.Parallel() // it waits most of the time
	p := newProject(t, "hang")
	if out, err := p.run("make", "ready"); err != nil {
		t.Fatalf("make ready: %v\n%s", err, out)
	}
	p.edit(t, "app/handler.go", `"strings"`, `"strings"
	"sync"
	"time"`)
	// GET /hang lets every further request hang, GET /slow lets it take 8 seconds.
	p.edit(t, "app/handler.go", "byPath := func(w http.ResponseWriter, r *http.Request) {", `var mutex sync.Mutex
	var slow atomic.Bool
	byPath := func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/hang":
			mutex.Lock()
		case r.URL.Path == "/slow":
			slow.Store(true)
		case slow.Load():
			time.Sleep(8 * time.Second)
		}
		mutex.Lock()
		mutex.Unlock()`)
	p.set(t, "monitoring.enabled", "false", "logging.enabled", "false", "replicas", "4")
	p.up(t)
	for _, step := range []struct {
		name string
		run  func(*testing.T, *project)
	}{
		{"WhatHangsIsRestartedAndWhatIsSlowIsNot", hungReplicas},
		{"UpMendsAPausedReplica", pausedDuringUp},
		{"UpMendsAStoppedProcess", stoppedDuringUp},
		{"AServiceThatHangsIsReplaced", hungServiceReplaced},
		{"TheFilterLetsNothingElseThrough", filterRefuses},
		{"WhatIsStoppedByHandStaysStopped", stoppedByHand},
		{"ASecondUpAndARefreshChangeNothing", nothingChanges},
	} {
		t.Run(step.name, func(t *testing.T) { step.run(t, p) })
	}
}

// replica finds the container of the replica with the number.
func (p *project) replica(t *testing.T, number int) inspected {
	t.Helper()
	all := inspect(t, p.containers(t, "replica")...)
	prefix := fmt.Sprintf("/helloworld-%s-replica-%d-", p.stack, number)
	return all[slices.IndexFunc(all, func(c inspected) bool { return strings.HasPrefix(c.Name, prefix) })]
}

// address is the container's on its only network.
func address(t *testing.T, id string) string {
	t.Helper()
	return docker(t, "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", id)[0]
}

// askReplica sends a request to a replica, past the proxy.
func askReplica(t *testing.T, replica inspected, path string) (*http.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://%s:8000%s", address(t, replica.ID), path), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err == nil {
		response.Body.Close()
	}
	return response, err
}

// trickle asks for the service each second, until the returned function is called,
// which says how many answers were good.
func (p *project) trickle(t *testing.T) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var requests sync.WaitGroup
	var mutex sync.Mutex
	counts := map[string]int{}
	requests.Go(func() {
		for ctx.Err() == nil {
			requests.Go(func() {
				out, _ := p.run("curl", "--silent", "--insecure", "--max-time", "25", "--output", "/dev/null", "--write-out", "%{http_code}",
					fmt.Sprintf("https://127.0.0.1:%d/helloworld", p.httpsPort))
				mutex.Lock()
				counts[out]++
				mutex.Unlock()
			})
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	})
	return func() {
		cancel()
		requests.Wait()
		t.Logf("one request a second: answers by status %v", counts)
		if counts["200"] == 0 {
			t.Error("nobody was served")
		}
	}
}

// watcherLines are what the watcher has said.
func (p *project) watcherLines(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("docker", "logs", p.containers(t, "replica-watcher")[0]).CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })
}

// hungServiceReplaced lets every replica answer too late for every question: none is
// restarted, for they answer, and what comes after them is not held up.
func hungServiceReplaced(t *testing.T, p *project) {
	p.set(t, "replicas", "2")
	p.up(t)
	for number := 1; number <= 2; number++ {
		if _, err := askReplica(t, p.replica(t, number), "/slow"); err != nil {
			t.Fatal(err)
		}
	}
	p.set(t, "app.env.VERSION_AFTER", "a hang")
	start := time.Now()
	out := p.makeUp(t)
	t.Logf("replaced in %.1f s", time.Since(start).Seconds())
	if !strings.HasSuffix(last(out), "serves from 2 replicas") {
		t.Errorf("make up says\n%s", out)
	}
	p.serves(t, 2)
}

// hungReplicas pauses a replica, stops the process of another, lets all requests of a
// third one wait for a lock, and makes the last one slow.
func hungReplicas(t *testing.T, p *project) {
	if lines := p.watcherLines(t); len(lines) > 0 {
		t.Errorf("it says %q while all is well", lines)
	}
	end := p.trickle(t)
	defer end()
	slow := p.replica(t, 4)
	if _, err := askReplica(t, slow, "/slow"); err != nil {
		t.Fatal(err)
	}
	hung := map[string]inspected{"paused": p.replica(t, 1), "its process stopped": p.replica(t, 2), "deadlocked": p.replica(t, 3)}
	if _, err := askReplica(t, hung["deadlocked"], "/hang"); err == nil {
		t.Fatal("it does not hang")
	}
	docker(t, "pause", hung["paused"].ID)
	if err := syscall.Kill(hung["its process stopped"].State.Pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	eventually(t, time.Minute, "all three are restarted and answer", func() bool {
		for how, before := range hung {
			after := inspect(t, before.ID)[0]
			if after.State.StartedAt == before.State.StartedAt {
				continue
			}
			if _, err := askReplica(t, after, "/helloworld"); err == nil {
				t.Logf("%s: answers again after %s", how, time.Since(start).Round(time.Second/10))
				delete(hung, how)
			}
		}
		return len(hung) == 0
	})
	if again := inspect(t, slow.ID)[0]; again.State.StartedAt != slow.State.StartedAt {
		t.Error("the slow one was restarted")
	}
	lines := p.watcherLines(t)
	for _, line := range lines {
		var said struct{ Time, Level, Msg, Replica string }
		if err := json.Unmarshal([]byte(line), &said); err != nil || said.Level != "warn" || said.Msg != "replica does not answer, restarting it" {
			t.Errorf("it says %s", line)
		}
	}
	if len(lines) != 3 {
		t.Errorf("it says %d lines, want 3", len(lines))
	}
	out, err := p.run("curl", "--silent", fmt.Sprintf("http://%s:8083/metrics", address(t, p.containers(t, "replica-watcher")[0])))
	if err != nil || strings.Count(out, "\nreplica_hangs_total{") != 4 || strings.Count(out, "} 1\n") != 3 {
		t.Errorf("its metrics: %v\n%s", err, out)
	}
	docker(t, "restart", slow.ID)
	p.serves(t, 4)
}

// pausedDuringUp scales while a replica is paused: who watches is not replaced.
func pausedDuringUp(t *testing.T, p *project) {
	watchers := [][]string{p.containers(t, "replica-watcher"), p.containers(t, "replica-filter")}
	docker(t, "pause", p.replica(t, 1).ID)
	p.set(t, "replicas", "5")
	p.up(t)
	p.serves(t, 5)
	if again := [][]string{p.containers(t, "replica-watcher"), p.containers(t, "replica-filter")}; !slices.EqualFunc(again, watchers, slices.Equal[[]string]) {
		t.Errorf("the watcher and its filter were %q, and are %q", watchers, again)
	}
}

func stoppedDuringUp(t *testing.T, p *project) {
	if err := syscall.Kill(p.replica(t, 1).State.Pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.set(t, "replicas", "1")
	p.up(t)
	p.serves(t, 1)
}

// stoppedByHand stops a replica for longer than the shortest patience lasts.
func stoppedByHand(t *testing.T, p *project) {
	p.set(t, "replicas", "2", "app.hangTimeout", "5", "app.startTimeout", "5")
	p.up(t)
	stopped := p.replica(t, 2)
	docker(t, "stop", stopped.ID)
	time.Sleep(20 * time.Second)
	if again := inspect(t, stopped.ID)[0]; again.State.Running {
		t.Error("it was started")
	}
	if lines := p.watcherLines(t); len(lines) > 0 {
		t.Errorf("the watcher says %q", lines)
	}
	p.up(t)
	p.serves(t, 2)
}

// filterRefuses asks the engine through the filter, from where the watcher is.
func filterRefuses(t *testing.T, p *project) {
	watcher, replica, proxy := p.containers(t, "replica-watcher")[0], p.replica(t, 1), inspect(t, p.containers(t, "proxy")[0])[0]
	for _, test := range []struct{ method, path, want string }{
		{"GET", "/containers/json", "403"},
		{"GET", "/info", "403"},
		{"POST", "/containers/create", "403"},
		{"GET", "/containers" + replica.Name + "/json", "403"},
		{"POST", "/containers" + replica.Name + "/exec", "403"},
		{"POST", "/containers" + replica.Name + "/stop", "403"},
		{"DELETE", "/containers" + replica.Name, "403"},
		{"POST", "/containers" + replica.Name + "/kill?signal=KILL", "403"},
		{"POST", "/containers" + replica.Name + "/kill?signal=CONT", "204"},
		{"POST", "/containers" + replica.Name + "/restart?t=2&t=300", "403"},
		{"POST", "/containers" + proxy.Name + "/restart?t=2", "403"},
		{"POST", "/containers/" + replica.ID + "/restart?t=2", "403"},
		{"POST", "/containers" + replica.Name + "/.." + proxy.Name + "/restart?t=2", "403"},
	} {
		got := docker(t, "exec", watcher, "curl", "--silent", "--path-as-is", "--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "10",
			"--request", test.method, "--unix-socket", "/engine/docker.sock", "http://docker"+test.path)
		if got[0] != test.want {
			t.Errorf("%s %s: %s, want %s", test.method, test.path, got[0], test.want)
		}
	}
	if networks := docker(t, "inspect", "--format", "{{json .NetworkSettings.Networks}}", p.containers(t, "replica-filter")[0]); !strings.HasPrefix(networks[0], `{"none":`) {
		t.Errorf("the filter is on %s", networks[0])
	}
}
