package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Environment of a test that runs beside an engine of its own.
const (
	ownEngineFolder = "OWN_ENGINE_FOLDER"     // of all that the engine keeps
	installedEngine = "INSTALLED_ENGINE_HOST" // where the installed engine listens
)

// ownEngine is a Docker Engine of a test's own.
type ownEngine struct {
	folder  string
	process *exec.Cmd
	ended   chan error
}

// besideOwnEngine runs the test in a process of its own, among processes, mounts and a network of
// its own, beside an engine that has nothing to do with the installed one. The kernel
// ends and removes what is in there when the test ends, however it does.
func besideOwnEngine(t *testing.T, run func(t *testing.T, folder string)) {
	t.Helper()
	if folder := os.Getenv(ownEngineFolder); folder != "" {
		run(t, folder)
		return
	}
	folder, err := os.MkdirTemp("", "engine") // short: a socket's path may have 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	defer removeCGroups(t, filepath.Base(folder))
	buildService(t, folder)
	runtime.LockOSThread() // with this thread the process below would die
	defer runtime.UnlockOSThread()
	again := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=20m")
	again.Env = append(os.Environ(), ownEngineFolder+"="+folder, installedEngine+"="+os.Getenv("DOCKER_HOST"))
	again.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	out, err := again.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("beside an engine of its own: %v", err)
	}
}

// removeCGroups removes the groups of containers that were ended with their engine.
func removeCGroups(t *testing.T, parent string) {
	var groups []string
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		found, err := filepath.Glob(pattern + parent)
		if err != nil {
			t.Fatal(err)
		}
		for _, top := range found {
			_ = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
				if err == nil && entry.IsDir() {
					groups = append(groups, path)
				}
				return nil
			})
		}
	}
	for _, group := range slices.Backward(groups) {
		if err := syscall.Rmdir(group); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("remove %s: %v", group, err)
		}
	}
}

// startEngine starts an engine that keeps everything in the folder, with the settings
// in its daemon.json. Its programs lie in binaries, or else are the installed ones.
func startEngine(t *testing.T, folder, binaries string, settings map[string]any) *ownEngine {
	t.Helper()
	for _, mount := range []struct {
		source, target, kind string
		flags                uintptr
	}{
		{"", "/", "", syscall.MS_REC | syscall.MS_PRIVATE},
		{"proc", "/proc", "proc", 0},
		// Where another engine's parts would be found.
		{"tmpfs", "/run/containerd", "tmpfs", 0},
		{"tmpfs", "/run/docker", "tmpfs", 0},
	} {
		if mount.kind == "tmpfs" {
			if err := os.MkdirAll(mount.target, 0o711); err != nil {
				t.Fatal(err)
			}
		}
		if err := syscall.Mount(mount.source, mount.target, mount.kind, mount.flags, ""); err != nil {
			t.Fatalf("mount %s: %v", mount.target, err)
		}
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("ip link set lo up: %v\n%s", err, out)
	}
	settings["cgroup-parent"] = "/" + filepath.Base(folder)
	settings["exec-opts"] = []string{"native.cgroupdriver=cgroupfs"}
	text, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	(&project{dir: folder}).write(t, "daemon.json", string(text))
	if binaries != "" {
		t.Setenv("PATH", binaries+":"+os.Getenv("PATH"))
	}
	t.Setenv("DOCKER_HOST", "unix://"+folder+"/docker.sock")
	e := &ownEngine{folder: folder}
	e.start(t)
	t.Cleanup(func() { e.stop(t) })
	return e
}

// start returns when the engine answers.
func (e *ownEngine) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(e.folder, "dockerd.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	e.process = exec.Command("dockerd",
		"--config-file", e.folder+"/daemon.json",
		"--data-root", e.folder+"/data",
		"--exec-root", e.folder+"/exec",
		"--pidfile", e.folder+"/docker.pid",
		"--host", os.Getenv("DOCKER_HOST"))
	e.process.Stdout, e.process.Stderr = log, log
	if err := e.process.Start(); err != nil {
		t.Fatal(err)
	}
	process, ended := e.process, make(chan error, 1)
	e.ended = ended
	go func() { ended <- process.Wait() }()
	for end := time.Now().Add(time.Minute); exec.Command("docker", "version").Run() != nil; time.Sleep(200 * time.Millisecond) {
		if len(ended) > 0 || time.Now().After(end) {
			t.Fatalf("the engine does not start:\n%s", e.log(t))
		}
	}
}

// stop ends the engine, which ends its containers, as a shutdown of the host does.
func (e *ownEngine) stop(t *testing.T) {
	t.Helper()
	if err := e.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	select {
	case <-e.ended:
	case <-time.After(2 * time.Minute):
		t.Errorf("the engine does not end:\n%s", e.log(t))
	}
}

// log is the end of what the engine says.
func (e *ownEngine) log(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(e.folder, "dockerd.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text[max(0, len(text)-4000):])
}

// load copies images from the installed engine.
func (e *ownEngine) load(t *testing.T, references ...string) {
	t.Helper()
	save := exec.Command("docker", append([]string{"save"}, references...)...)
	save.Env = append(os.Environ(), "DOCKER_HOST="+os.Getenv(installedEngine))
	load := exec.Command("docker", "load", "--quiet")
	pipe, err := save.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	load.Stdin, save.Stderr, load.Stdout, load.Stderr = pipe, &said, &said, &said
	if err := errors.Join(save.Start(), load.Run(), save.Wait()); err != nil {
		t.Fatalf("copy %v: %v\n%s", references, err, said.String())
	}
}

// buildService builds the sample service, with what the load asks for, into the folder,
// while there is a network.
func buildService(t *testing.T, folder string) {
	t.Helper()
	copied := &project{dir: filepath.Join(folder, "source")}
	if err := os.CopyFS(filepath.Join(copied.dir, "app"), os.DirFS("../../app")); err != nil {
		t.Fatal(err)
	}
	copied.addSlowRoutes(t)
	build := exec.Command("go", "build", "-trimpath", "-o", folder+"/app", ".")
	build.Dir = filepath.Join(copied.dir, "app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
}

// service makes an image of the sample service, and returns its reference.
func (e *ownEngine) service(t *testing.T) string {
	t.Helper()
	const reference = "helloworld.local/service:own"
	archive := e.folder + "/app.tar"
	if out, err := exec.Command("tar", "-C", e.folder, "-cf", archive, "app").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	docker(t, "import", "--change", `ENTRYPOINT ["/app"]`, "--change", "USER 65532:65532", archive, reference)
	return reference
}

// startOn brings the stack up on the engine, which gets the named images.
func (p *project) startOn(t *testing.T, e *ownEngine, images ...string) {
	t.Helper()
	for i, name := range images {
		images[i] = reference(t, p.dir, name)
	}
	e.load(t, slices.DeleteFunc(images, func(reference string) bool { return reference == "" })...)
	p.edit(t, "Pulumi."+p.stack+".yaml", "helloworld:app:\n", "helloworld:app:\n    image: "+e.service(t)+"\n")
	if out, err := p.run("make", "ready"); err != nil {
		t.Fatalf("make ready: %v\n%s", err, out)
	}
	p.up(t)
}

// TestEngineWithLogOptions: what the engine's daemon.json says of logs changes nothing
// of the stack.
func TestEngineWithLogOptions(t *testing.T) {
	besideOwnEngine(t, func(t *testing.T, folder string) {
		options := map[string]string{
			"max-size": "1m", "max-file": "30", "tag": "{{.ID}}", "compress": "true",
			"labels": "com.example.one", "labels-regex": "^com\\.example\\.", "env": "ONE", "env-regex": "^ONE",
			"mode": "non-blocking", "max-buffer-size": "4m",
		}
		e := startEngine(t, folder, "", map[string]any{
			"log-driver": "json-file", "log-opts": options, "storage-driver": installedDriver(t),
		})
		p := newProject(t, "log-options")
		p.edit(t, "Pulumi."+p.stack+".yaml", "helloworld:monitoring:\n", "helloworld:monitoring:\n    enabled: false\n")
		p.startOn(t, e, "nginx", "collector", "victoriaLogs")
		for _, step := range []struct {
			name string
			run  func(*testing.T, *project)
		}{
			{"BothSidesOptionsAreThere", func(t *testing.T, p *project) { bothSidesOptions(t, p, options) }},
			{"ASecondUpAndARefreshChangeNothing", nothingChanges},
			{"AChangeLosesNoRequestAndReplacesNothingElse", changesReplicasAlone},
			{"CompressedFilesAreRead", compressedLines},
			{"AfterARestartOfTheHostItServes", e.restarts},
			{"AnAddressThatComesAfterTheEngineIsServed", e.lateAddress},
		} {
			t.Run(step.name, func(t *testing.T) { step.run(t, p) })
		}
	})
}

// installedDriver is what the installed engine stores layers with: another one may
// not work on this host.
func installedDriver(t *testing.T) string {
	t.Helper()
	info := exec.Command("docker", "info", "--format", "{{.Driver}}")
	info.Env = append(os.Environ(), "DOCKER_HOST="+os.Getenv(installedEngine))
	out, err := info.Output()
	if err != nil {
		t.Fatalf("docker info: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// bothSidesOptions: the stack's own options go before the engine's, and the engine's
// others are left as they are.
func bothSidesOptions(t *testing.T, p *project, engines map[string]string) {
	for _, c := range inspect(t, p.resources(t)["containers"]...) {
		got := c.HostConfig.LogConfig.Config
		for option, value := range engines {
			switch option {
			case "max-size", "max-file", "tag", "labels", "compress":
				if got[option] == value {
					t.Errorf("%s: %s is the engine's: %s", c.Name, option, value)
				}
			default:
				if got[option] != value {
					t.Errorf("%s: %s is %q, want the engine's: %s", c.Name, option, got[option], value)
				}
			}
		}
	}
}

func changesReplicasAlone(t *testing.T, p *project) {
	load := p.startLoad(false)
	defer load.end(t)
	replicas := p.containers(t, "replica")
	others := map[string][]string{}
	for _, component := range []string{"proxy", "collector", "victorialogs"} {
		others[component] = p.containers(t, component)
	}
	p.set(t, "app.env.LOG_LEVEL", "debug")
	p.up(t)
	for component, before := range others {
		if after := p.containers(t, component); !slices.Equal(before, after) {
			t.Errorf("the %s was replaced", component)
		}
	}
	if after := p.containers(t, "replica"); len(after) != len(replicas) || slices.Contains(after, replicas[0]) {
		t.Errorf("the replicas are %v, they were %v", after, replicas)
	}
}

// compressedLines: a container's files are rotated and compressed while the collector
// runs, and while it is away. Every line is read once.
func compressedLines(t *testing.T, p *project) {
	const half = 15_000 // of 400 bytes in the files; all of them fit in the engine's buffer
	collector := p.containers(t, "collector")[0]
	writer := p.writer(t, fmt.Sprintf(`i=0
		while [ $i -lt %d ]; do
			i=$((i+1))
			printf 'compressed %%0150d\n' $i
			[ $((i %% 500)) -gt 0 ] || sleep 0.2
			until [ $i -ne %d ] || [ -e /tmp/on ]; do sleep 0.1; done
		done`, 2*half, half),
		"helloworld.component=compressed", "helloworld.id="+p.id(t))
	compressed := func() int {
		path := docker(t, "inspect", "--format", "{{.LogPath}}", writer)[0]
		return len(must(filepath.Glob(path + ".*.gz")))
	}
	p.readOnce(t, half)
	before := compressed()
	docker(t, "stop", collector)
	docker(t, "exec", writer, "touch", "/tmp/on")
	docker(t, "wait", writer)
	after := compressed()
	docker(t, "start", collector)
	p.readOnce(t, 2*half)
	if before < 2 || after < before+2 {
		t.Errorf("%d files were compressed before the collector was away, %d after", before, after)
	}
}

// readOnce waits until the numbered lines are there, and each once.
func (p *project) readOnce(t *testing.T, lines int) {
	t.Helper()
	var wrong []string
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
		found, err := p.lines(t, `{service="compressed"} | stats by (_msg) count() times`)
		if err != nil {
			continue // it is being started
		}
		times := map[string]string{}
		for _, line := range found {
			times[line["_msg"]] = line["times"]
		}
		wrong = nil
		for number := range lines {
			line := fmt.Sprintf("compressed %0150d", number+1)
			if times[line] != "1" {
				wrong = append(wrong, fmt.Sprintf("%d is there %q times", number+1, times[line]))
			}
		}
		if len(wrong) == 0 && len(times) == lines {
			return
		}
	}
	t.Errorf("of %d lines %d are not there once, such as %q", lines, len(wrong), wrong[:min(len(wrong), 20)])
}

// restarts: what ran runs again when the host does, and is what the state says.
func (e *ownEngine) restarts(t *testing.T, p *project) {
	e.stop(t)
	e.start(t)
	eventually(t, time.Minute, "it serves again", func() bool {
		_, err := p.run("curl", "--silent", "--insecure", "--fail", fmt.Sprintf("https://127.0.0.1:%d/helloworld", p.httpsPort))
		return err == nil
	})
	p.serves(t, 2)
	nothingChanges(t, p)
}

// lateAddress: the proxy's address is there only after the engine has tried to start the
// proxy.
func (e *ownEngine) lateAddress(t *testing.T, p *project) {
	const address = "192.0.2.10"
	ip := func(act string) {
		t.Helper()
		if out, err := exec.Command("ip", "address", act, address+"/32", "dev", "lo").CombinedOutput(); err != nil {
			t.Fatalf("ip address %s: %v\n%s", act, err, out)
		}
	}
	ip("add")
	p.set(t, "proxy.bind", address)
	p.up(t)
	e.stop(t)
	ip("del")
	e.start(t)
	ip("add")
	out := p.makeUp(t)
	if !strings.Contains(out, "found: ") || !strings.HasSuffix(last(out), "serves from 2 replicas") {
		t.Errorf("make up says\n%s", out)
	}
	nothingChanges(t, p)
}
