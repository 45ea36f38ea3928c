package engine

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"helloworld/infra/config"
	"helloworld/infra/workload"
)

func TestNoEngineIsOneLineThatSaysWhatToDo(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "docker.sock")
	t.Setenv("DOCKER_HOST", "unix://"+socket)
	_, err := Connect()
	want := "no Docker Engine answers at unix://" + socket + ": start it (sudo systemctl start docker), or set DOCKER_HOST to where it listens"
	if err == nil || err.Error() != want {
		t.Errorf("error is %v", err)
	}
}

// TestNoPermissionIsOneLineThatSaysWhatToDo runs itself once more as a user whom
// the socket does not know: root may do everything.
func TestNoPermissionIsOneLineThatSaysWhatToDo(t *testing.T) {
	if os.Getenv("DOCKER_HOST_OF_ROOT") != "" {
		t.Setenv("DOCKER_HOST", os.Getenv("DOCKER_HOST_OF_ROOT"))
		_, err := Connect()
		fmt.Println("error is", err)
		return
	}
	dir, err := os.MkdirTemp("/tmp", "engine") // not t.TempDir: others must reach it
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "docker.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := os.Chmod(socket, 0); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	self := filepath.Join(dir, "test")
	if err := os.WriteFile(self, text, 0o755); err != nil {
		t.Fatal(err)
	}
	again := exec.Command(self, "-test.run", "^TestNoPermissionIsOneLineThatSaysWhatToDo$")
	again.Dir = dir
	again.Env = append(os.Environ(), "DOCKER_HOST_OF_ROOT=unix://"+socket)
	if os.Getuid() == 0 {
		again.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := again.CombinedOutput()
	want := "error is no permission to use the Docker Engine at unix://" + socket + ": add yourself to its group (sudo usermod -aG docker $USER) and log in again\n"
	if err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%v\n%swant %s", err, out, want)
	}
}

func TestABadHostIsNamed(t *testing.T) {
	t.Setenv("DOCKER_HOST", "nonsense")
	if _, err := Connect(); err == nil || !strings.Contains(err.Error(), "DOCKER_HOST is not usable") {
		t.Errorf("error is %v", err)
	}
}

// answers is an engine that gives each path a fixed answer.
func answers(t *testing.T, paths map[string]func() any) *Engine {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "docker.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		for suffix, answer := range paths {
			if strings.HasSuffix(r.URL.Path, suffix) {
				_ = json.NewEncoder(w).Encode(answer())
				return
			}
		}
		http.NotFound(w, r)
	}))
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	t.Setenv("DOCKER_HOST", "unix://"+listener.Addr().String())
	e, err := Connect()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func always(value any) func() any { return func() any { return value } }

type object = map[string]any

func TestVersionsAreListedTheLastOneThatServedFirst(t *testing.T) {
	e := answers(t, map[string]func() any{
		"/_ping": always("OK"),
		"/images/json": always([]object{
			{"Id": "old", "Created": 1, "RepoTags": []string{"p-s-app:aaa", "p-s-app:served-100-aaa", "p-s-app:served-400-aaa"}},
			{"Id": "bad", "Created": 3, "RepoTags": []string{"p-s-app:ccc"}},
			{"Id": "new", "Created": 2, "RepoTags": []string{"p-s-app:bbb", "p-s-app:served-300-bbb", "mine:1"}},
		}),
		"/containers/json": always([]object{{"Id": "replica", "ImageID": "new"}}),
	})
	versions, err := e.Versions("p-s-app")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range versions {
		served := int64(0)
		if !v.Served.IsZero() {
			served = v.Served.Unix()
		}
		got = append(got, fmt.Sprintf("%s %d %v", v.Name, served, v.InUse))
	}
	if want := []string{"aaa 400 false", "bbb 300 true", "ccc 0 false"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if err := e.CheckVersion("p-s-app", "bbb"); err != nil {
		t.Error(err)
	}
	if err := e.CheckVersion("p-s-app", "ddd"); err == nil || !strings.Contains(err.Error(), "VERSION is ddd: allowed is one that the engine has kept: aaa, bbb, ccc") {
		t.Errorf("error is %v", err)
	}
}

func TestAContainerThatIsGoneOrEndsAgainAndAgainIsNotWaitedFor(t *testing.T) {
	restarts := 0
	e := answers(t, map[string]func() any{
		"/_ping": always("OK"),
		"/crashing/json": func() any {
			restarts++
			return object{"Id": "crashing", "Name": "/crashing", "RestartCount": restarts, "State": object{"Status": "restarting", "Restarting": true, "ExitCode": 2}}
		},
	})
	start := time.Now()
	if err := e.AwaitReady("crashing", []string{"check"}, time.Minute); err == nil || !strings.Contains(err.Error(), "container crashing ends again and again\nit is restarting, exit code 2") {
		t.Errorf("error is %v", err)
	}
	if err := e.AwaitReady("gone", []string{"check"}, time.Minute); err == nil || !strings.Contains(err.Error(), "container gone is gone: make up makes it anew") {
		t.Errorf("error is %v", err)
	}
	if time.Since(start) > 30*time.Second {
		t.Error("it was waited for")
	}
}

// TestAPausedContainerIsRestarted: to let it go on would not bring its connections back.
func TestAPausedContainerIsRestarted(t *testing.T) {
	var asked []string
	e := answers(t, map[string]func() any{
		"/_ping": always("OK"),
		"/paused/json": func() any {
			return object{"Id": "paused", "Name": "/paused",
				"State":      object{"Status": "running", "Running": true, "Paused": len(asked) < 2, "StartedAt": "2026-01-01T00:00:00Z"},
				"Config":     object{"Labels": object{workload.PidsLabel: "100"}},
				"HostConfig": object{"PidsLimit": 100},
			}
		},
		"/paused/unpause": func() any { asked = append(asked, "unpause"); return nil },
		"/paused/restart": func() any { asked = append(asked, "restart"); return nil },
	})
	if err := e.AwaitReady("paused", nil, time.Minute); err != nil || !slices.Equal(asked, []string{"unpause", "restart"}) {
		t.Errorf("asked the engine to %q, error is %v", asked, err)
	}
}

// TestWithoutACommandAContainerIsReadyOnceItRunsSteadily: also where the engine's clock
// is ahead.
func TestWithoutACommandAContainerIsReadyOnceItRunsSteadily(t *testing.T) {
	started := map[string]time.Time{"old": time.Now().Add(-time.Hour), "new": time.Now(), "ahead": time.Now().Add(time.Hour)}
	paths := map[string]func() any{"/_ping": always("OK")}
	for name, at := range started {
		paths["/"+name+"/json"] = always(object{"Id": name, "Name": "/" + name,
			"State":      object{"Status": "running", "Running": true, "StartedAt": at.Format(time.RFC3339Nano)},
			"Config":     object{"Labels": object{workload.PidsLabel: "100"}},
			"HostConfig": object{"PidsLimit": 100},
		})
	}
	restarts := 0
	paths["/crashing/json"] = func() any {
		restarts++
		return object{"Id": "crashing", "Name": "/crashing", "RestartCount": restarts / 5,
			"State":      object{"Status": "running", "Running": true, "StartedAt": time.Now().Format(time.RFC3339Nano)},
			"Config":     object{"Labels": object{workload.PidsLabel: "100"}},
			"HostConfig": object{"PidsLimit": 100},
		}
	}
	e := answers(t, paths)
	for _, test := range []struct {
		name   string
		waited bool
	}{{"new", true}, {"ahead", true}, {"old", false}} {
		start := time.Now()
		if err := e.AwaitReady(test.name, nil, time.Minute); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if waited := time.Since(start) > steadyAfter/2; waited != test.waited {
			t.Errorf("%s: it was waited for is %v, want %v", test.name, waited, test.waited)
		}
	}
	if err := e.AwaitReady("crashing", nil, time.Minute); err == nil || !strings.Contains(err.Error(), "container crashing ends again and again") {
		t.Errorf("error is %v", err)
	}
}

func TestAPortIsRefusedOnlyIfSomebodyElseHasIt(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	taken := listener.Addr().(*net.TCPAddr).Port
	refused := fmt.Sprintf("proxy.httpPort is %d: allowed is a free port", taken)
	for _, test := range []struct {
		name      string
		bind      string
		published object
		want      string
	}{
		{"the stack's own", "127.0.0.1", object{"IP": "127.0.0.1", "PublicPort": taken}, ""},
		{"the stack's own on all addresses", "127.0.0.1", object{"IP": "0.0.0.0", "PublicPort": taken}, ""},
		{"the stack's own on another address", "127.0.0.1", object{"IP": "127.0.0.2", "PublicPort": taken}, refused},
		{"another process's", "127.0.0.1", object{"IP": "127.0.0.1", "PublicPort": 1}, refused},
		{"an address of another host", "192.0.2.1", object{"IP": "0.0.0.0", "PublicPort": taken}, "proxy.bind is 192.0.2.1: allowed is an address of this host"},
	} {
		e := answers(t, map[string]func() any{
			"/_ping":           always("OK"),
			"/containers/json": always([]object{{"Id": "proxy", "Names": []string{"/proxy"}, "Labels": object{workload.ComponentLabel: "proxy"}, "Ports": []object{test.published}}}),
		})
		err := e.Check([]string{"proxy"}, config.Config{Proxy: config.Proxy{Bind: test.bind, HTTPPort: taken, HTTPSPort: freePort(t)}})
		if (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: error is %v, want %q", test.name, err, test.want)
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func TestLayersAreWhereTheEngineKeepsThem(t *testing.T) {
	snapshotter := [][2]string{{"driver-type", "io.containerd.snapshotter.v1"}}
	for _, test := range []struct {
		name           string
		info           object
		folder, socket string
	}{
		{"in a folder of its own", object{"DriverStatus": [][2]string{{"Backing Filesystem", "extfs"}}}, "/data/docker/image", ""},
		{"with containerd", object{"DriverStatus": snapshotter}, "", "/run/containerd/containerd.sock"},
		{"with containerd of its own", object{"DriverStatus": snapshotter, "Containerd": object{"Address": "/exec/containerd/containerd.sock"}},
			"", "/exec/containerd/containerd.sock"},
	} {
		test.info["DockerRootDir"] = "/data/docker"
		e := answers(t, map[string]func() any{"/_ping": always("OK"), "/info": always(test.info)})
		if folder, socket, err := e.Layers(); err != nil || folder != test.folder || socket != test.socket {
			t.Errorf("%s: %q, %q, %v", test.name, folder, socket, err)
		}
		if got := "unix://" + e.Socket(); got != os.Getenv("DOCKER_HOST") {
			t.Errorf("%s: the socket is %s", test.name, got)
		}
	}
}

func TestAPortOfTheMonitoringIsTriedToo(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	taken := listener.Addr().(*net.TCPAddr).Port
	c := config.Config{
		Proxy:      config.Proxy{Bind: "127.0.0.1", HTTPPort: freePort(t), HTTPSPort: freePort(t)},
		Monitoring: config.Monitoring{Enabled: true, PrometheusPort: taken, AlertmanagerPort: taken},
	}
	e := answers(t, map[string]func() any{"/_ping": always("OK"), "/containers/json": always([]object{})})
	err = e.Check([]string{"proxy"}, c)
	for _, key := range []string{"monitoring.prometheusPort", "monitoring.alertmanagerPort"} {
		if want := fmt.Sprintf("%s is %d: allowed is a free port", key, taken); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
	c.Monitoring.Enabled = false
	if err := e.Check([]string{"proxy"}, c); err != nil {
		t.Errorf("of what is off: %v", err)
	}
}
