package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestVersions goes forth and back between versions, good ones and bad ones, under load.
func TestVersions(t *testing.T) {
	t.Parallel()
	p := newProject(t, "versions")
	p.start(t, "monitoring.enabled", "false", "logging.enabled", "false")
	for _, step := range []struct {
		name string
		run  func(*testing.T, *project)
	}{
		{"TheWayBackFromABadVersion", wayBack},
		{"ForthAndBackAndForth", forthAndBack},
		{"AnImageThatSomebodyElseUsesStays", usedImage},
		{"ARollbackNeedsNoBuild", rollback},
		{"AsManyVersionsAreKeptAsAreAskedFor", keptVersions},
		{"PrunedOneShotsChangeNothing", prunedOneShots},
		{"ARenamedStackIsRefused", renamedStack},
	} {
		t.Run(step.name, func(t *testing.T) { step.run(t, p) })
	}
}

// says lets the service answer with the text until the returned function puts it back.
func (p *project) says(t *testing.T, text string) (restore func()) {
	t.Helper()
	restore = p.edit(t, "app/handler.go", "Hello, world!", text)
	t.Cleanup(restore) // whatever happens
	return restore
}

// answers checks what the service says.
func (p *project) answers(t *testing.T, text string) {
	t.Helper()
	if _, body := p.get(t, "GET", "/helloworld", nil); !strings.Contains(body, text) {
		t.Errorf("answered %s, want %s", body, text)
	}
}

// makeUp runs make up and expects success.
func (p *project) makeUp(t *testing.T, args ...string) string {
	t.Helper()
	out, err := p.run("make", append([]string{"up"}, args...)...)
	if err != nil {
		t.Fatalf("make up: %v\n%s", err, out)
	}
	return out
}

// wayBack brings a version that cannot take traffic, for each reason there is, and puts
// the one before back: a change like any other.
func wayBack(t *testing.T, p *project) {
	for _, bad := range []struct{ name, file, old, new string }{
		{"ends at once", "app/main.go", "func main() {", "func main() {\n\tpanic(\"bad\")"},
		{"cannot be built", "app/main.go", "func main() {", "func main() {\n\tundefinedFunction()"},
		{"is refused by nginx", "infra/proxy/nginx.conf.tmpl", "server_tokens off;", "no_such_directive on;"},
	} {
		t.Run(bad.name, func(t *testing.T) {
			load := p.startLoad(false)
			defer load.end(t)
			restoreText := p.says(t, "Hello, bad world!")
			restore := p.edit(t, bad.file, bad.old, bad.new)
			for range 2 {
				if out, err := p.run("make", "up"); err == nil {
					t.Errorf("make up succeeded\n%s", out)
				}
			}
			restore()
			restoreText()
			p.makeUp(t)
			p.answers(t, "Hello, world!")
			if got := len(p.containers(t, "replica")); got != 2 {
				t.Errorf("%d replicas, want 2", got)
			}
			p.up(t, "--expect-no-changes")
		})
	}
}

func forthAndBack(t *testing.T, p *project) {
	load := p.startLoad(false)
	defer load.end(t)
	for range 2 {
		restore := p.says(t, "Hello, other world!")
		p.makeUp(t)
		p.answers(t, "Hello, other world!")
		restore()
		p.makeUp(t)
		p.answers(t, "Hello, world!")
	}
	p.up(t, "--expect-no-changes")
}

// usedImage lets a container of somebody else's use the image that is left.
func usedImage(t *testing.T, p *project) {
	image := inspect(t, p.containers(t, "replica")[0])[0].Config.Image
	id := docker(t, "image", "inspect", "--format", "{{.Id}}", image)[0]
	user := docker(t, "create", image)[0]
	defer docker(t, "rm", user)
	p.set(t, "app.keep", "1")
	restore := p.says(t, "Hello, other world!")
	for range 2 {
		p.makeUp(t)
	}
	p.answers(t, "Hello, other world!")
	docker(t, "image", "inspect", id)
	docker(t, "container", "inspect", user)
	restore()
	p.makeUp(t)
	p.unset(t, "app.keep")
}

func rollback(t *testing.T, p *project) {
	before := p.output(t, "version")
	restore := p.says(t, "Hello, worse world!")
	p.makeUp(t)
	bad := p.output(t, "version")
	if out, err := p.run("make", "versions"); err != nil || strings.Index(out, strings.TrimSpace(bad)) > strings.Index(out, strings.TrimSpace(before)) || !strings.Contains(out, "serves") {
		t.Errorf("make versions: %v\n%s", err, out)
	}
	load := p.startLoad(false)
	start := time.Now()
	out, err := p.run("make", "rollback")
	if err != nil {
		t.Fatalf("make rollback: %v\n%s", err, out)
	}
	t.Logf("went back in %.1f s", time.Since(start).Seconds())
	p.answers(t, "Hello, world!")
	if p.output(t, "version") != before {
		t.Errorf("version %s serves, want %s", p.output(t, "version"), before)
	}
	if _, err := os.Stat(filepath.Join(p.dir, ".pulumi/build.log")); err == nil {
		t.Error("something was built")
	}
	load.end(t)
	broken := p.edit(t, "app/main.go", "func main() {", "func main() {\n\tpanic(\"bad\")")
	if out, err := p.run("make", "up"); err == nil {
		t.Errorf("make up of a version that ends at once succeeded\n%s", out)
	}
	broken()
	if out, err := p.run("make", "rollback"); err == nil || !strings.Contains(out, "version "+strings.TrimSpace(before)+" came to serve last, and serves still") {
		t.Errorf("make rollback where the last version never served: %v\n%s", err, out)
	}
	if out, err := p.run("make", "rollback", "VERSION=nonsense"); err == nil || !strings.Contains(out, "VERSION is nonsense: allowed is a version that is kept") {
		t.Errorf("make rollback to a version that is not there: %v\n%s", err, out)
	}
	if out, err := p.run("make", "rollback", "VERSION="+strings.TrimSpace(bad)); err != nil {
		t.Errorf("make rollback to a named version: %v\n%s", err, out)
	}
	p.answers(t, "Hello, worse world!")
	restore()
	if out := p.makeUp(t); !strings.Contains(out, "the rollback to version "+strings.TrimSpace(bad)+" ends") {
		t.Errorf("make up does not say that the rollback ends\n%s", out)
	}
	p.answers(t, "Hello, world!")
	p.up(t, "--expect-no-changes")
}

func keptVersions(t *testing.T, p *project) {
	p.set(t, "app.keep", "2")
	defer p.unset(t, "app.keep")
	for i := range 3 {
		restore := p.says(t, fmt.Sprintf("Hello, world %d!", i))
		p.up(t)
		restore()
	}
	p.makeUp(t)
	// Besides those that are kept: the one that was still in use when the last one came.
	if got := len(p.resources(t)["images"]); got < 2 || got > 3 {
		t.Errorf("%d versions are kept, want 2 or 3", got)
	}
}

// prunedOneShots removes what docker container prune would.
func prunedOneShots(t *testing.T, p *project) {
	for _, component := range []string{"proxy-revision", "proxy-check"} {
		docker(t, append([]string{"rm"}, p.containers(t, component)...)...)
	}
	if out, err := p.pulumi("preview", "--expect-no-changes"); err != nil {
		t.Errorf("pulumi preview: %v\n%s", err, out)
	}
	p.up(t, "--expect-no-changes")
	p.makeUp(t)
	p.set(t, "replicas", "3")
	p.makeUp(t)
	p.serves(t, 3)
	p.set(t, "replicas", "2")
	p.up(t)
}

func renamedStack(t *testing.T, p *project) {
	before := p.resources(t)["containers"]
	rename := func(from, to string) {
		if out, err := p.run("pulumi", "stack", "rename", to, "--stack", from); err != nil {
			t.Fatalf("pulumi stack rename: %v\n%s", err, out)
		}
	}
	rename("versions", "renamed")
	out, err := p.run("pulumi", "up", "--yes", "--skip-preview", "--stack", "renamed")
	if err == nil || !strings.Contains(out, "made as helloworld-versions: it was renamed") {
		t.Errorf("pulumi up of a renamed stack: %v\n%s", err, out)
	}
	rename("renamed", "versions")
	p.up(t, "--expect-no-changes")
	if after := p.resources(t)["containers"]; !slices.Equal(before, after) {
		t.Error("the containers changed")
	}
}
