package e2e

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestKills kills runs at random moments of random changes. One make up mends each,
// and no request is lost. E2E_KILLS is their number, E2E_SEED repeats a run.
func TestKills(t *testing.T) {
	t.Parallel()
	kills, seed := 3, uint64(time.Now().UnixNano())
	for name, into := range map[string]func(uint64){"E2E_KILLS": func(n uint64) { kills = int(n) }, "E2E_SEED": func(n uint64) { seed = n }} {
		if text := os.Getenv(name); text != "" {
			number, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				t.Fatalf("%s is %q: allowed is a whole number", name, text)
			}
			into(number)
		}
	}
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	p := newProject(t, "kills")
	p.start(t, "monitoring.enabled", "false", "logging.enabled", "false")
	replicas, text := 2, "Hello, world!"
	for i := range kills {
		load := p.startLoad(false)
		switch random.IntN(4) {
		case 0:
			replicas = 1 + random.IntN(4)
			p.set(t, "replicas", strconv.Itoa(replicas))
		case 1, 2: // a new version, or the one before
			next := map[bool]string{true: "Hello, other world!", false: "Hello, world!"}[text == "Hello, world!"]
			p.edit(t, "app/handler.go", text, next)
			text = next
		case 3:
			p.set(t, "app.env.CHANGE", strconv.Itoa(i))
		}
		moment := time.Duration(random.IntN(12_000)) * time.Millisecond
		run := p.command("pulumi", "up", "--yes", "--skip-preview", "--stack", p.stack)
		var out bytes.Buffer
		run.Stdout, run.Stderr = &out, &out
		if err := run.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- run.Wait() }()
		select {
		case <-ended:
			t.Logf("kill %d: the run had ended before %s", i, moment)
		case <-time.After(moment):
			if err := syscall.Kill(run.Process.Pid, syscall.SIGKILL); err != nil {
				t.Log(err) // it has ended
			}
			<-ended
		}
		time.Sleep(time.Second) // what was under way in the engine goes on
		p.makeUp(t)
		load.end(t)
		for component, want := range map[string]int{"replica": replicas, "proxy": 1, "proxy-revision": 1, "proxy-check": 1} {
			if got := p.containers(t, component); len(got) != want {
				t.Errorf("kill %d after %s: %d %s containers, want %d", i, moment, len(got), component, want)
			}
		}
		p.answers(t, text)
		p.up(t, "--expect-no-changes")
		if t.Failed() {
			return
		}
	}
}
