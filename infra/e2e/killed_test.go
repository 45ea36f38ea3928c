package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestKilledRun kills pulumi in the middle of rollouts, at different moments:
// nothing stops serving, and the next make up or make down cleans up.
func TestKilledRun(t *testing.T) {
	t.Parallel()
	p := newProject(t, "killed")
	p.start(t, "monitoring.enabled", "false", "logging.enabled", "false") // until their own moment
	t.Run("NoFileOfTheStateCanBeCutOff", func(t *testing.T) { wholeState(t, p) })
	for _, moment := range []struct {
		name string
		came func(before []string) bool
	}{
		{"WhileReplicasAreMade", func(before []string) bool { return len(p.containers(t, "replica")) > len(before) }},
		{"WhileTheRevisionIsApplied", func([]string) bool { return len(p.containers(t, "proxy-revision")) > 1 }},
		{"WhileOldReplicasAreRemoved", func(before []string) bool {
			now := p.containers(t, "replica")
			return slices.ContainsFunc(before, func(old string) bool { return !slices.Contains(now, old) })
		}},
	} {
		t.Run(moment.name, func(t *testing.T) {
			load := p.startLoad(false)
			defer load.end(t)
			p.killUp(t, moment.name, moment.came)
			out, err := p.run("make", "up")
			if err != nil {
				t.Fatalf("make up: %v\n%s", err, out)
			}
			if !strings.Contains(out, "which is dead: the lock is freed") {
				t.Errorf("make up does not say that it freed the lock:\n%s", out)
			}
			for component, want := range map[string]int{"replica": 2, "proxy": 1, "proxy-revision": 1} {
				if got := p.containers(t, component); len(got) != want {
					t.Errorf("%d %s containers, want %d", len(got), component, want)
				}
			}
			if strings.Contains(out, "warning") || strings.Contains(out, "pending") {
				t.Errorf("make up warns of what was swept:\n%s", out)
			}
			if got := p.resources(t)["images"]; len(got) > 4 { // app.keep, and one that is in use
				t.Errorf("%d images of the stack, want 4 at most", len(got))
			}
			p.up(t, "--expect-no-changes")
		})
	}
	t.Run("WhileTheProxyIsMade", func(t *testing.T) {
		old := p.containers(t, "proxy")[0]
		p.set(t, "proxy.httpPort", strconv.Itoa(freePort(t)))
		p.killUp(t, "proxy", func([]string) bool {
			now := p.containers(t, "proxy")
			return len(now) > 0 && !slices.Contains(now, old)
		})
		if out, err := p.run("make", "up"); err != nil {
			t.Fatalf("make up: %v\n%s", err, out)
		}
		p.serves(t, 2)
		p.up(t, "--expect-no-changes")
	})
	t.Run("WhileMonitoringAndLoggingAreMade", func(t *testing.T) {
		load := p.startLoad(false)
		defer load.end(t)
		p.set(t, "monitoring.enabled", "true", "logging.enabled", "true")
		p.killUp(t, "monitoring", func([]string) bool { return len(p.containers(t, "prometheus")) > 0 })
		if out, err := p.run("make", "up"); err != nil {
			t.Fatalf("make up: %v\n%s", err, out)
		}
		for _, component := range []string{"prometheus", "alertmanager", "cadvisor", "prometheus-revision", "collector", "victorialogs", "vmalert"} {
			if got := p.containers(t, component); len(got) != 1 {
				t.Errorf("%d %s containers, want 1", len(got), component)
			}
		}
		if got := len(p.resources(t)["networks"]); got != 3 {
			t.Errorf("%d networks, want 3", got)
		}
		p.up(t, "--expect-no-changes")
		p.set(t, "monitoring.enabled", "false", "logging.enabled", "false")
		p.up(t)
	})
	t.Run("ALivingRunIsRespected", func(t *testing.T) { livingRun(t, p) })
	t.Run("MakeDownSweepsToo", func(t *testing.T) {
		p.killUp(t, "down", func(before []string) bool { return len(p.containers(t, "replica")) > len(before) })
		if out, err := p.run("make", "down"); err != nil {
			t.Errorf("make down: %v\n%s", err, out)
		}
		for kind, list := range p.resources(t) {
			if len(list) > 0 {
				t.Errorf("left behind: %s %v", kind, list)
			}
		}
	})
}

// wholeState: every file of the state is put in its place whole. The sidecars that
// Pulumi's backend writes unless told not to are not.
func wholeState(t *testing.T, p *project) {
	makefile := p.read(t, "Makefile")
	if !strings.Contains(makefile, "state?metadata=skip") {
		t.Error("the Makefile's backend writes sidecars")
	}
	files := 0
	err := filepath.WalkDir(filepath.Join(p.dir, ".pulumi/state"), func(path string, entry os.DirEntry, err error) error {
		if filepath.Ext(path) == ".attrs" {
			t.Errorf("%s is a sidecar", path)
		}
		files++
		return err
	})
	if err != nil || files < 5 {
		t.Errorf("%d files, %v", files, err)
	}
}

// killUp rolls out a new version, and kills pulumi when the moment has come.
func (p *project) killUp(t *testing.T, version string, came func(before []string) bool) {
	t.Helper()
	before := p.containers(t, "replica")
	p.edit(t, "app/main.go", "package main", "package main\n\n// "+version)
	run := p.command("pulumi", "up", "--yes", "--skip-preview", "--stack", p.stack)
	var out bytes.Buffer
	run.Stdout, run.Stderr = &out, &out
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- run.Wait() }()
	for limit := time.After(time.Minute); !came(before); {
		select {
		case err := <-ended:
			t.Fatalf("pulumi up ended before it was killed: %v\n%s", err, &out)
		case <-limit:
			t.Fatal("the moment to kill pulumi up did not come")
		case <-time.After(10 * time.Millisecond):
		}
	}
	if err := syscall.Kill(run.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-ended
	time.Sleep(time.Second) // what was under way in the engine goes on
}

// livingRun holds the lock with a run that waits for an app that is never ready.
func livingRun(t *testing.T, p *project) {
	p.set(t, "app.healthCommand[0]", "/app", "app.healthCommand[1]", "never", "app.startTimeout", "20")
	run := p.command("pulumi", "up", "--yes", "--skip-preview", "--stack", p.stack)
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	// What is being made is in no state for a moment: it is not swept.
	eventually(t, time.Minute, "the run has begun", func() bool {
		out, _ := p.run(filepath.Join(p.dir, ".pulumi/bin/stack"), "sweep")
		if strings.Contains(out, "swept:") {
			t.Error(out)
		}
		return len(p.containers(t, "replica")) > 2
	})
	for _, id := range p.containers(t, "replica") {
		docker(t, "container", "inspect", id)
	}
	for _, target := range []string{"up", "down"} {
		out, err := p.run("make", target)
		if err == nil || !strings.Contains(out, "is locked: pulumi runs as process") {
			t.Errorf("make %s: %v\n%s", target, err, out)
		}
	}
	if err := run.Wait(); err == nil {
		t.Error("the run succeeded")
	} else if _, ok := err.(*exec.ExitError); !ok {
		t.Error(err)
	}
	p.unset(t, "app.healthCommand")
	p.up(t)
}
