package e2e

import (
	"bufio"
	"io"
	"maps"
	"net"
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

// oddFolder has what a shell, make, a URL or a pattern could take for its own.
const oddFolder = `it's 100% a "folder" of $HOME #1? [*]`

// TestCommands runs the Makefile's commands where something is not as they need it, in a
// folder with an odd name.
func TestCommands(t *testing.T) {
	t.Parallel()
	p := newProjectIn(t, filepath.Join(t.TempDir(), oddFolder), "commands")
	p.env = slices.DeleteFunc(p.env, func(variable string) bool { // the Makefile's own
		return strings.HasPrefix(variable, "PULUMI_BACKEND_URL=") || strings.HasPrefix(variable, "PULUMI_CONFIG_PASSPHRASE")
	})
	p.append(t, "Pulumi.commands.yaml", "    enabled: false\n  helloworld:logging:\n    enabled: false\n")
	for _, step := range []struct {
		name string
		run  func(*testing.T, *project)
	}{
		{"NothingIsMadeByLooking", looking},
		{"NoPermissionIsSaid", noPermission},
		{"UpAndAgain", upAndAgain},
		{"AShellHasTheStack", shellHasStack},
		{"AFailureSaysWhatServes", failureSays},
		{"AnInterruptedRunSaysWhatServes", interrupted},
		{"AKilledRunLeavesNoProcess", noProcess},
		{"AWrongPassphraseIsNamed", wrongPassphrase},
		{"DownAsksWhereSomebodySits", downAsks},
	} {
		t.Run(step.name, func(t *testing.T) { step.run(t, p) })
	}
}

func (p *project) append(t *testing.T, name, text string) {
	t.Helper()
	p.write(t, name, p.read(t, name)+text)
}

// fails runs make and expects failure, with all of the texts in what it says.
func (p *project) fails(t *testing.T, args []string, texts ...string) string {
	t.Helper()
	out, err := p.run("make", args...)
	if err == nil {
		t.Errorf("make %v succeeded\n%s", args, out)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Errorf("make %v does not say %q:\n%s", args, text, out)
		}
	}
	return out
}

// last is the last line that is not make's own.
func last(out string) string {
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(out), "\n"), func(line string) bool { return strings.HasPrefix(line, "make: ***") })
	return lines[len(lines)-1]
}

// files lists what is in the project's folder, but for what tools bring.
func (p *project) files(t *testing.T) []string {
	t.Helper()
	found := map[string]bool{}
	for _, folder := range []string{".", ".pulumi", ".pulumi/state/.pulumi/stacks/helloworld"} {
		entries, _ := os.ReadDir(filepath.Join(p.dir, folder)) // there may be none
		for _, entry := range entries {
			if name := filepath.Join(folder, entry.Name()); name != ".pulumi/bin" {
				found[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func looking(t *testing.T, p *project) {
	before := p.files(t)
	for _, command := range []string{"status", "logs", "down", "rollback", "up"} {
		p.fails(t, []string{command, "STACK=prdo"}, "prdo", "stacks here are commands, dev")
	}
	for _, command := range []string{"status", "preview"} {
		p.fails(t, []string{command}, "stack commands is not made yet: make up STACK=commands makes it")
	}
	if out, err := p.run("make", "down"); err != nil || !strings.Contains(out, "nothing is removed") {
		t.Errorf("make down: %v\n%s", err, out)
	}
	if after := p.files(t); !slices.Equal(before, after) {
		t.Errorf("there were %q, and are %q", before, after)
	}
}

// noPermission asks an engine's socket that only others may use.
func noPermission(t *testing.T, p *project) {
	socket := filepath.Join(t.TempDir(), "docker.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := os.Chmod(socket, 0); err != nil {
		t.Fatal(err)
	}
	out, err := p.run("setpriv", "--bounding-set=-dac_override,-dac_read_search", "make", "up", "DOCKER_HOST=unix://"+socket)
	if err == nil || !strings.Contains(out, "no permission to use the Docker Engine at unix://"+socket) {
		t.Errorf("make up: %v\n%s", err, out)
	}
}

func upAndAgain(t *testing.T, p *project) {
	out := p.makeUp(t)
	if want := "serves from 2 replicas"; !strings.HasPrefix(last(out), "version ") || !strings.HasSuffix(last(out), want) {
		t.Errorf("the last line is %q", last(out))
	}
	start := time.Now()
	out = p.makeUp(t)
	t.Logf("again: %.1f s", time.Since(start).Seconds())
	if strings.Contains(out, "found:") || !strings.Contains(out, "unchanged") {
		t.Errorf("the second make up says\n%s", out)
	}
	if out, err := p.run("make", "preview"); err != nil || !strings.HasPrefix(last(out), "nothing has changed, version ") {
		t.Errorf("make preview: %v\n%s", err, out)
	}
	if out, err := p.run("make", "status"); err != nil || strings.Count(out, "replica ") != 2 {
		t.Errorf("make status: %v\n%s", err, out)
	}
	p.fails(t, []string{"password"}, "has no Grafana")
}

func shellHasStack(t *testing.T, p *project) {
	p.write(t, "Pulumi.other.yaml", p.read(t, "Pulumi.commands.yaml"))
	if out, err := p.run("make", "ready", "STACK=other"); err != nil {
		t.Fatalf("make ready: %v\n%s", err, out)
	}
	script := `set -e
eval "$(STACK=other make env)"
pulumi stack --show-name
make status
pulumi stack select commands
pulumi stack --show-name
make status`
	out, err := p.run("bash", "-c", script)
	one, two, _ := strings.Cut(out, "commands\n")
	if err != nil || !strings.HasPrefix(one, "other\n") || strings.Contains(one, "replica ") || !strings.Contains(two, "replica ") {
		t.Errorf("a shell: %v\n%s", err, out)
	}
	shell := p.command("make", "shell", "STACK=other")
	shell.Stdin = strings.NewReader("pulumi stack --show-name; pulumi stack select commands; pulumi stack --show-name; echo $STACK\n")
	text, err := shell.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(text), "other\ncommands\ncommands\n") {
		t.Errorf("make shell: %v\n%s", err, text)
	}
	if out, err := p.run("make", "down", "STACK=other"); err != nil {
		t.Errorf("make down: %v\n%s", err, out)
	}
	if out, err := p.run("bash", "-c", `eval "$(make env)"; pulumi stack rm --yes --stack other`); err != nil {
		t.Errorf("pulumi stack rm: %v\n%s", err, out)
	}
}

func failureSays(t *testing.T, p *project) {
	restore := p.edit(t, "app/main.go", "func main() {", "func main() {\n\tpanic(\"bad\")")
	out := p.fails(t, []string{"up"})
	if !strings.HasPrefix(last(out), "make up STACK=commands failed: version ") || !strings.HasSuffix(last(out), "serves from 2 replicas as before; mend what is named above, then make up STACK=commands") {
		t.Errorf("the last line is %q", last(out))
	}
	for _, noise := range []string{"waiting for RPCs", "- caCertificate", "- url", "curl -k"} {
		if strings.Contains(out, noise) {
			t.Errorf("make up says %q:\n%s", noise, out)
		}
	}
	if !strings.Contains(out, "panic: bad") {
		t.Errorf("make up does not say what is wrong:\n%s", out)
	}
	restore()
	p.makeUp(t)
	restore = p.edit(t, "Pulumi.commands.yaml", "httpsPort: "+strconv.Itoa(p.httpsPort), "httpsPort: 0")
	out = p.fails(t, []string{"up"}, "helloworld:proxy.httpsPort is 0: allowed is")
	if !strings.Contains(last(out), "as before") {
		t.Errorf("the last line is %q", last(out))
	}
	restore()
}

// begun starts make up with an app that never becomes ready, and returns once Pulumi
// waits for it.
func (p *project) begun(t *testing.T) (run *exec.Cmd, said func() string) {
	t.Helper()
	before := len(p.containers(t, "replica"))
	run = p.command("make", "up")
	reader, writer := io.Pipe()
	run.Stdout, run.Stderr = writer, writer
	text := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(bufio.NewReader(reader))
		text <- string(all)
	}()
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 3*time.Minute, "the run has begun", func() bool { return len(p.containers(t, "replica")) > before })
	return run, func() string {
		_ = run.Wait() // it fails
		writer.Close()
		return <-text
	}
}

func interrupted(t *testing.T, p *project) {
	restore := p.edit(t, "Pulumi.commands.yaml", "  helloworld:app:\n", "  helloworld:app:\n    env: {RUN: interrupted}\n    startTimeout: 300\n    healthCommand: [/app, never]\n")
	run, said := p.begun(t)
	out := p.fails(t, []string{"up"}, "is locked: pulumi runs as process")
	if !strings.HasPrefix(last(out), "make up STACK=commands changed nothing: version ") {
		t.Errorf("the last line is %q", last(out))
	}
	if err := syscall.Kill(-run.Process.Pid, syscall.SIGINT); err != nil { // as Ctrl-C at a terminal
		t.Fatal(err)
	}
	out = said()
	if !strings.HasPrefix(last(out), "make up STACK=commands was interrupted: version ") || !strings.Contains(last(out), "serves from 2 replicas as before") {
		t.Errorf("the last line is %q of\n%s", last(out), out)
	}
	restore()
	p.makeUp(t)
}

// plugins lists the processes of Pulumi's that work in the project.
func (p *project) plugins(t *testing.T) []string {
	t.Helper()
	folders, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, cwd := range folders {
		at, _ := os.Readlink(cwd) // it may have ended
		binary, _ := os.Readlink(filepath.Join(filepath.Dir(cwd), "exe"))
		if strings.HasPrefix(at, p.dir) && (strings.Contains(binary, "pulumi-") || strings.HasSuffix(binary, ".pulumi/program")) {
			found = append(found, filepath.Dir(cwd)+" "+binary)
		}
	}
	return found
}

// pulumiIn lists the processes of Pulumi itself in a group.
func pulumiIn(t *testing.T, group int) []int {
	t.Helper()
	programs, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, program := range programs {
		binary, _ := os.Readlink(program) // it may have ended
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(program)))
		if err != nil || filepath.Base(binary) != "pulumi" {
			continue
		}
		if its, err := syscall.Getpgid(pid); err == nil && its == group {
			found = append(found, pid)
		}
	}
	if len(found) == 0 {
		t.Fatal("pulumi does not run")
	}
	return found
}

func noProcess(t *testing.T, p *project) {
	restore := p.edit(t, "Pulumi.commands.yaml", "  helloworld:app:\n", "  helloworld:app:\n    env: {RUN: killed}\n    startTimeout: 300\n    healthCommand: [/app, never]\n")
	run, said := p.begun(t)
	for _, pid := range pulumiIn(t, run.Process.Pid) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	out := said()
	if !strings.HasPrefix(last(out), "make up STACK=commands failed: version ") || !strings.Contains(last(out), "as before") {
		t.Errorf("the last line is %q of\n%s", last(out), out)
	}
	if len(p.plugins(t)) == 0 {
		t.Error("the killed run left no process: that is no test")
	}
	restore()
	out = p.makeUp(t)
	if left := p.plugins(t); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if strings.Contains(out, "warning") || strings.Contains(out, "pending") {
		t.Errorf("make up says\n%s", out)
	}
	p.makeUp(t)
}

func wrongPassphrase(t *testing.T, p *project) {
	file := filepath.Join(p.dir, ".pulumi/passphrase")
	before := p.read(t, ".pulumi/passphrase")
	p.write(t, ".pulumi/passphrase", "wrong\n")
	for _, command := range []string{"up", "preview", "down"} {
		p.fails(t, []string{command}, "the passphrase in "+file+" is not the one that Pulumi.commands.yaml is encrypted with")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	p.fails(t, []string{"up"}, "Pulumi.commands.yaml is encrypted with a passphrase that is not here: bring the file .pulumi/passphrase", file)
	if _, err := os.Stat(file); err == nil {
		t.Error("another passphrase was made")
	}
	p.write(t, ".pulumi/passphrase", before)
	// Another passphrase, as Pulumi asks for it.
	change := p.command("bash", "-c", `eval "$(make env)"; pulumi stack change-secrets-provider passphrase`)
	change.Stdin = strings.NewReader("new\n")
	if out, err := change.CombinedOutput(); err != nil {
		t.Fatalf("pulumi stack change-secrets-provider: %v\n%s", err, out)
	}
	p.fails(t, []string{"up"}, "After pulumi stack change-secrets-provider it is the new one")
	p.write(t, ".pulumi/passphrase", "new\n")
	p.makeUp(t)
}

// downAsks gives the stack data, and answers at a terminal.
func downAsks(t *testing.T, p *project) {
	answered := func(answer string) string {
		t.Helper()
		command := p.command("script", "--quiet", "--return", "--command", "make down", "/dev/null")
		stdin, err := command.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		reader := bufio.NewReader(stdout)
		var question []byte
		for !strings.HasSuffix(string(question), "Type yes: ") {
			next, err := reader.ReadByte()
			if err != nil {
				t.Fatalf("make down does not ask: %v\n%s", err, question)
			}
			question = append(question, next)
		}
		if _, err := io.WriteString(stdin, answer); err != nil {
			t.Error(err)
		}
		rest, _ := io.ReadAll(reader)
		if err := command.Wait(); err != nil {
			t.Errorf("make down: %v", err)
		}
		return string(question) + string(rest)
	}
	p.edit(t, "Pulumi.commands.yaml", "  helloworld:logging:\n    enabled: false\n", "  helloworld:logging:\n    enabled: true\n")
	p.makeUp(t)
	before := p.resources(t)
	out := answered("no\n")
	if !strings.Contains(out, "helloworld-commands-victorialogs") || !strings.Contains(out, "nothing was removed, version ") {
		t.Errorf("make down says\n%s", out)
	}
	for kind, list := range p.resources(t) {
		if !slices.Equal(list, before[kind]) {
			t.Errorf("the %s changed", kind)
		}
	}
	out = answered("yes\n")
	if !strings.Contains(out, "stack commands is gone, nothing serves") || len(p.resources(t)["volumes"]) > 0 {
		t.Errorf("make down says\n%s", out)
	}
}
