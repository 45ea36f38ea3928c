package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"helloworld/infra/config"
)

// commandLimit bounds every command of a test.
const commandLimit = 10 * time.Minute

// project is a copy of this project with one stack.
type project struct {
	dir       string
	stack     string
	httpPort  int
	httpsPort int
	// Ports of Prometheus and Alertmanager.
	prometheusPort   int
	alertmanagerPort int
	env              []string
}

// newProject copies what git tracks, and what it does not ignore, to a folder of
// its own, and destroys the stack in the end.
func newProject(tb testing.TB, stack string) *project {
	tb.Helper()
	return newProjectIn(tb, tb.TempDir(), stack)
}

// newProjectIn does so in a folder that there need not be yet.
func newProjectIn(tb testing.TB, dir, stack string) *project {
	tb.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		tb.Fatal(err)
	}
	for _, tool := range []string{"pulumi", "docker", "make", "git"} {
		if _, err := exec.LookPath(tool); err != nil {
			tb.Fatalf("%v: run the tests with make test", err)
		}
	}
	p := &project{
		dir: dir, stack: stack,
		httpPort: freePort(tb), httpsPort: freePort(tb), prometheusPort: freePort(tb), alertmanagerPort: freePort(tb),
	}
	p.env = append(os.Environ(),
		"STACK="+stack,
		"PULUMI_BACKEND_URL="+(&url.URL{Scheme: "file", Path: p.dir + "/.pulumi/state", RawQuery: "metadata=skip"}).String(), // as in the Makefile
		"PULUMI_CONFIG_PASSPHRASE_FILE="+p.dir+"/.pulumi/passphrase",
		// The tests' own: what they are called with is for the outer make.
		"MAKEFLAGS=", "MAKELEVEL=", "PULUMI_OPTION_COLOR=never",
		// What is built is the same wherever the copy lies: linked once for all tests.
		"GOFLAGS=-trimpath -buildvcs=false",
	)
	p.copyFrom(tb, root)
	tb.Cleanup(func() { p.cleanUp(tb) })
	return p
}

// freePort returns a port that nobody listens on, below those that the kernel gives to
// clients: the load has many.
func freePort(tb testing.TB) int {
	tb.Helper()
	for range 100 {
		port := 20_000 + rand.IntN(12_000)
		if listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			listener.Close()
			return port
		}
	}
	tb.Fatal("no port is free")
	return 0
}

func (p *project) copyFrom(tb testing.TB, root string) {
	tb.Helper()
	list := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	names, err := list.Output()
	if err != nil {
		tb.Fatalf("list the project's files: %v", err)
	}
	for _, name := range strings.Fields(string(names)) {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			if os.IsNotExist(err) {
				continue // deleted, and not yet committed
			}
			tb.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil {
			tb.Fatal(err)
		}
		p.writeMode(tb, name, string(text), info.Mode().Perm())
	}
	for _, program := range []string{"program", "bin/stack"} {
		text, err := os.ReadFile(filepath.Join(root, ".pulumi/e2e", filepath.Base(program)))
		if err == nil {
			p.writeMode(tb, ".pulumi/"+program, string(text), 0o755)
		} else if !os.IsNotExist(err) {
			tb.Fatal(err)
		}
	}
	// What make brought before is used again; what the stand-ins are is known.
	if err := os.MkdirAll(filepath.Join(p.dir, ".pulumi"), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, ".pulumi/home"), filepath.Join(p.dir, ".pulumi/home")); err != nil {
		tb.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(p.dir, config.StandInImages), os.DirFS(filepath.Join(root, config.StandInImages))); err != nil && !os.IsNotExist(err) {
		tb.Fatal(err)
	}
	p.write(tb, "Pulumi."+p.stack+".yaml", fmt.Sprintf(`config:
  helloworld:app:
    probePath: /helloworld
  helloworld:proxy:
    bind: 127.0.0.1
    httpPort: %d
    httpsPort: %d
  helloworld:monitoring:
    prometheusPort: %d
    alertmanagerPort: %d
`, p.httpPort, p.httpsPort, p.prometheusPort, p.alertmanagerPort))
	p.addSlowRoutes(tb)
	p.git(tb, "init", "--quiet")
	p.git(tb, "add", "--all")
	p.git(tb, "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "--quiet", "--message", "copy")
}

func (p *project) git(tb testing.TB, args ...string) string {
	tb.Helper()
	out, err := p.command("git", args...).CombinedOutput()
	if err != nil {
		tb.Fatalf("git %s: %v\n%s", args[0], err, out)
	}
	return string(out)
}

// cleanUp leaves nothing of the stack, whatever the test did.
func (p *project) cleanUp(tb testing.TB) {
	if out, err := p.run("make", "down"); err != nil {
		tb.Errorf("make down: %v\n%s", err, out)
	}
	for kind, list := range p.resources(tb) {
		for _, id := range list {
			tb.Errorf("left behind: %s %s", kind, id)
		}
	}
}

// resources lists what carries the stack's label on the engine.
func (p *project) resources(tb testing.TB) map[string][]string {
	tb.Helper()
	filter := "label=helloworld.stack=helloworld/" + p.stack
	images := docker(tb, "images", "--quiet", "--no-trunc", "--filter", filter) // a line for each tag
	slices.Sort(images)
	return map[string][]string{
		"containers": docker(tb, "ps", "--all", "--quiet", "--no-trunc", "--filter", filter),
		"networks":   docker(tb, "network", "ls", "--quiet", "--no-trunc", "--filter", filter),
		"volumes":    docker(tb, "volume", "ls", "--quiet", "--filter", filter),
		"images":     slices.Compact(images),
	}
}

// containers lists the ids of a component's containers, running or not.
func (p *project) containers(tb testing.TB, component string) []string {
	tb.Helper()
	return docker(tb, "ps", "--all", "--quiet", "--no-trunc",
		"--filter", "label=helloworld.stack=helloworld/"+p.stack, "--filter", "label=helloworld.component="+component)
}

// docker runs a docker command and returns the words of its output.
func docker(tb testing.TB, args ...string) []string {
	tb.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		tb.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.Fields(string(out))
}

func (p *project) command(name string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	command := exec.CommandContext(ctx, name, args...)
	command.Dir, command.Env = p.dir, p.env
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { defer cancel(); return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = 10 * time.Second
	return command
}

func (p *project) run(name string, args ...string) (string, error) {
	out, err := p.command(name, args...).CombinedOutput()
	return string(out), err
}

func (p *project) pulumi(args ...string) (string, error) {
	return p.run("pulumi", append(args, "--stack", p.stack)...)
}

// up updates the stack and expects success.
func (p *project) up(tb testing.TB, args ...string) string {
	tb.Helper()
	out, err := p.pulumi(append([]string{"up", "--yes", "--skip-preview"}, args...)...)
	if err != nil {
		tb.Fatalf("pulumi up: %v\n%s", err, out)
	}
	return out
}

// failingUp updates the stack and expects failure, with all of the texts in what
// it says.
func (p *project) failingUp(tb testing.TB, texts ...string) string {
	tb.Helper()
	out, err := p.pulumi("up", "--yes", "--skip-preview")
	if err == nil {
		tb.Fatalf("pulumi up succeeded\n%s", out)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			tb.Errorf("pulumi up does not say %q:\n%s", text, out)
		}
	}
	return out
}

// set changes the configuration: key, value, key, value...
func (p *project) set(tb testing.TB, pairs ...string) {
	tb.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if out, err := p.pulumi("config", "set", "--path", pairs[i], pairs[i+1]); err != nil {
			tb.Fatalf("pulumi config set %s: %v\n%s", pairs[i], err, out)
		}
	}
}

func (p *project) unset(tb testing.TB, key string) {
	tb.Helper()
	if out, err := p.pulumi("config", "rm", "--path", key); err != nil {
		tb.Fatalf("pulumi config rm %s: %v\n%s", key, err, out)
	}
}

func (p *project) write(tb testing.TB, name, text string) {
	tb.Helper()
	p.writeMode(tb, name, text, 0o644)
}

func (p *project) writeMode(tb testing.TB, name, text string, mode fs.FileMode) {
	tb.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		tb.Fatal(err)
	}
}

func (p *project) read(tb testing.TB, name string) string {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// edit replaces a text in a file until the returned function puts it back.
func (p *project) edit(tb testing.TB, name, old, new string) (restore func()) {
	tb.Helper()
	before := p.read(tb, name)
	if !strings.Contains(before, old) {
		tb.Fatalf("%s has no %q", name, old)
	}
	p.write(tb, name, strings.Replace(before, old, new, 1))
	return func() { p.write(tb, name, before) }
}

// output returns an output of the stack.
func (p *project) output(tb testing.TB, name string) string {
	tb.Helper()
	command := p.command("pulumi", "stack", "output", name, "--stack", p.stack)
	out, err := command.Output()
	if err != nil {
		tb.Fatalf("pulumi stack output %s: %v", name, err)
	}
	return strings.TrimSpace(string(out)) + "\n"
}

// inspected is what the tests read of a container.
type inspected struct {
	ID, Name     string
	RestartCount int
	Config       struct {
		Image  string
		User   string
		Labels map[string]string
	}
	State struct {
		Pid       int
		Running   bool
		StartedAt string
		Status    string
	}
	HostConfig struct {
		CapAdd, CapDrop, SecurityOpt []string
		Memory, MemorySwap, CPUQuota int64
		PidsLimit                    int64
		ReadonlyRootfs, Privileged   bool
		RestartPolicy                struct{ Name string }
		LogConfig                    struct {
			Type   string
			Config map[string]string
		}
	}
}

func inspect(tb testing.TB, ids ...string) []inspected {
	tb.Helper()
	out, err := exec.Command("docker", append([]string{"inspect"}, ids...)...).Output()
	if err != nil {
		tb.Fatalf("docker inspect %v: %v", ids, err)
	}
	var list []inspected
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&list); err != nil {
		tb.Fatal(err)
	}
	return list
}

// eventually repeats the check until it is true.
func eventually(tb testing.TB, limit time.Duration, what string, check func() bool) {
	tb.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		if check() {
			return
		}
		if time.Now().After(end) {
			tb.Fatalf("%s: not within %s", what, limit)
		}
	}
}
