package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestLeaving replaces replicas that end at once when they are told to stop, while
// long requests are under way: all of these are answered first. Replicas are told so by
// the signal that their image names.
func TestLeaving(t *testing.T) {
	t.Parallel()
	p := newProject(t, "leaving")
	p.edit(t, "app/Dockerfile", "STOPSIGNAL SIGTERM", "STOPSIGNAL SIGUSR1")
	p.edit(t, "app/main.go", "syscall.SIGINT, syscall.SIGTERM)", "syscall.SIGINT)")
	p.edit(t, "app/main.go", "func main() {", `func init() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1, syscall.SIGTERM)
	go func() { <-told; os.Exit(0) }()
}

func main() {`)
	p.start(t, "monitoring.enabled", "false", "logging.enabled", "false")
	p.up(t, "--expect-no-changes")
	address := fmt.Sprintf("127.0.0.1:%d", p.httpsPort)
	t.Run("AnUploadIsAnsweredAndTheImagesSignalIsSent", func(t *testing.T) {
		p.edit(t, "app/Dockerfile", "STOPSIGNAL SIGUSR1\n", "")
		p.replacesReplicas(t, "10", // SIGUSR1
			request{"upload of 5 MB at 300 kB/s", func() error { return upload(address, 5<<20, 17*time.Second) }})
		p.up(t, "--expect-no-changes")
	})
	t.Run("ARequestOf15SecondsIsAnsweredAndElseSIGTERMIsSent", func(t *testing.T) {
		p.edit(t, "app/handler.go", "Hello, world!", "Hello, new world!")
		p.replacesReplicas(t, "15", // SIGTERM
			request{"GET", func() error { return wait(address, http.MethodGet, 15) }},
			request{"POST", func() error { return wait(address, http.MethodPost, 15) }})
	})
}

// request is one that takes long.
type request struct {
	what string
	do   func() error
}

func wait(address, method string, seconds int) error {
	request, err := http.NewRequest(method, fmt.Sprintf("https://%s/wait?seconds=%d", address, seconds), nil)
	if err != nil {
		return err
	}
	response, err := oneConnection().Do(request)
	if err != nil {
		return err
	}
	return expect(response, 200)
}

// replacesReplicas rolls out what has changed while the requests are under way, and
// expects that all are answered and that the old replicas got the signal.
func (p *project) replacesReplicas(t *testing.T, signal string, requests ...request) {
	t.Helper()
	old := p.containers(t, "replica")
	signals := p.watchSignals(t)
	load := p.startLoad(false)
	defer load.end(t)
	var underWay sync.WaitGroup
	for _, r := range requests {
		underWay.Go(func() {
			if err := r.do(); err != nil {
				t.Errorf("%s: %v", r.what, err)
			}
		})
	}
	time.Sleep(time.Second)
	p.up(t)
	underWay.Wait()
	now, sent := p.containers(t, "replica"), signals()
	for _, id := range old {
		if slices.Contains(now, id) {
			t.Errorf("replica %s was not replaced", id)
		}
		if !slices.Equal(sent[id], []string{signal}) {
			t.Errorf("replica %s got the signals %q, want %s", id, sent[id], signal)
		}
	}
}

// watchSignals listens to the engine until the returned function is called, which tells
// the numbers of the signals that the stack's containers got.
func (p *project) watchSignals(t *testing.T) func() map[string][]string {
	t.Helper()
	var out bytes.Buffer
	events := p.command("docker", "events", "--filter", "event=kill", "--filter", "label=helloworld.stack=helloworld/"+p.stack,
		"--format", "{{.Actor.ID}} {{.Actor.Attributes.signal}}")
	events.Stdout = &out
	if err := events.Start(); err != nil {
		t.Fatal(err)
	}
	return func() map[string][]string {
		_ = syscall.Kill(events.Process.Pid, syscall.SIGKILL)
		_ = events.Wait() // it was killed
		signals := map[string][]string{}
		for line := range strings.Lines(out.String()) {
			if container, signal, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
				signals[container] = append(signals[container], signal)
			}
		}
		return signals
	}
}
