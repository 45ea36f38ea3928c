package e2e

import (
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestALostState loses .pulumi, with the state and the passphrase, while the stack runs,
// with monitoring and logging, and does what the README says.
func TestALostState(t *testing.T) {
	t.Parallel()
	p := newProject(t, "lost")
	p.makeUp(t)
	p.git(t, "clean", "-fdxq", "--exclude=/.pulumi/home", "--exclude=/.pulumi/images", "--exclude=/Pulumi.lost.yaml")
	before := p.resources(t)
	if out, err := p.run("make", "up"); err == nil || !strings.Contains(out, "passphrase") || !strings.Contains(out, "Pulumi.lost.yaml") {
		t.Errorf("make up without the passphrase: %v\n%s", err, out)
	}
	settings := p.read(t, "Pulumi.lost.yaml")
	p.write(t, "Pulumi.lost.yaml", regexp.MustCompile(`(?m)^encryptionsalt:.*\n`).ReplaceAllString(settings, ""))
	out, err := p.run("make", "up")
	if err == nil || !strings.Contains(out, "make purge removes them") || !strings.Contains(out, "allowed is a free port") {
		t.Errorf("make up: %v\n%s", err, out)
	}
	for _, target := range []string{"down", "purge"} { // nobody agrees to the second
		out, err := p.run("make", target)
		if (err == nil) != (target == "down") {
			t.Errorf("make %s: %v\n%s", target, err, out)
		}
	}
	for kind, list := range p.resources(t) {
		if !slices.Equal(list, before[kind]) {
			t.Errorf("the %s changed", kind)
		}
	}
	p.env = append(p.env, "YES=1")
	if out, err := p.run("make", "purge"); err != nil || !strings.Contains(out, "(data)") {
		t.Fatalf("make purge: %v\n%s", err, out)
	}
	for kind, list := range p.resources(t) {
		if len(list) > 0 {
			t.Errorf("left behind: %s %v", kind, list)
		}
	}
	p.makeUp(t)
	p.serves(t, 2)
}

// TestTwoCheckouts have one stack name on one engine: each sees its own.
func TestTwoCheckouts(t *testing.T) {
	t.Parallel()
	first := newProject(t, "twice")
	first.start(t, "monitoring.enabled", "false", "logging.enabled", "false")
	mine := first.resources(t)
	second := &project{dir: t.TempDir(), stack: "twice", httpPort: first.httpPort, httpsPort: freePort(t), prometheusPort: freePort(t), alertmanagerPort: freePort(t)}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	second.copyFrom(t, root)
	second.env = slices.Clone(first.env)
	for i, variable := range second.env {
		second.env[i] = strings.ReplaceAll(variable, first.dir, second.dir)
	}
	if out, err := second.run("make", "ready"); err != nil {
		t.Fatalf("make ready: %v\n%s", err, out)
	}
	second.set(t, "monitoring.enabled", "false", "logging.enabled", "false")
	if out, err := second.run("make", "up"); err == nil || !strings.Contains(out, "proxy.httpPort is "+strconv.Itoa(first.httpPort)+": allowed is a free port") {
		t.Errorf("make up where the other one has the port: %v\n%s", err, out)
	}
	unchanged := func(when string) {
		t.Helper()
		for kind, list := range first.resources(t) {
			for _, id := range mine[kind] {
				if !slices.Contains(list, id) {
					t.Errorf("%s: the other one's %s %s is gone", when, kind, id)
				}
			}
		}
		first.up(t, "--expect-no-changes")
	}
	unchanged("refused")
	second.set(t, "proxy.httpPort", strconv.Itoa(freePort(t)))
	second.makeUp(t)
	unchanged("beside it")
	out, err := second.run("make", "status")
	if err != nil || strings.Contains(out, "in no state") || strings.Count(out, "replica ") != 2 {
		t.Errorf("make status: %v\n%s", err, out)
	}
	if out, err := second.run("make", "down"); err != nil {
		t.Errorf("make down: %v\n%s", err, out)
	}
	unchanged("after its end")
	for kind, list := range first.resources(t) {
		if len(list) != len(mine[kind]) {
			t.Errorf("%d %s are left, want %d", len(list), kind, len(mine[kind]))
		}
	}
}
