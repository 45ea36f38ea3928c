package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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

func TestNoPermissionIsOneLineThatSaysWhatToDo(t *testing.T) {
	for _, cause := range []error{
		&net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EACCES)},
		errors.New("permission denied while trying to connect to the docker API at unix:///var/run/docker.sock"),
	} {
		err := explain("unix:///var/run/docker.sock", cause)
		if !strings.HasPrefix(err.Error(), "no permission to use the Docker Engine at unix:///var/run/docker.sock: add yourself to its group") {
			t.Errorf("error is %v", err)
		}
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
		// The ping has no body to encode.
		t.Fatal(err)
	}
	return e
}

func always(value any) func() any { return func() any { return value } }

type object = map[string]any

func TestAFailedRunIsTriedAgainAndAGoodOneIsNot(t *testing.T) {
	for _, test := range []struct {
		name  string
		state object
		want  int
	}{
		{"it failed", object{"Status": "exited", "ExitCode": 1}, 4},
		{"it succeeded", object{"Status": "exited", "ExitCode": 0}, 3},
		{"it runs", object{"Status": "running", "Running": true}, 3},
	} {
		e := answers(t, map[string]func() any{
			"/_ping":           always("OK"),
			"/containers/json": always([]object{{"Id": "newest"}, {"Id": "older"}}),
			"/newest/json":     always(object{"Id": "newest", "State": test.state, "Config": object{"Labels": object{workload.AttemptLabel: "3"}}}),
		})
		if got, err := e.Attempt("p/s", "revision"); err != nil || got != test.want {
			t.Errorf("%s: attempt %d, %v, want %d", test.name, got, err, test.want)
		}
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
	if err := e.AwaitReady("gone", []string{"check"}, time.Minute); err == nil || !strings.Contains(err.Error(), "container gone is gone: pulumi up --refresh makes it anew") {
		t.Errorf("error is %v", err)
	}
	if time.Since(start) > 30*time.Second {
		t.Error("it was waited for")
	}
}

func TestAPortIsRefusedOnlyIfSomebodyElseHasIt(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	taken := listener.Addr().(*net.TCPAddr).Port
	c := config.Config{Proxy: config.Proxy{Bind: "127.0.0.1", HTTPPort: taken, HTTPSPort: freePort(t)}}
	engine := func(published int) *Engine {
		return answers(t, map[string]func() any{
			"/_ping":           always("OK"),
			"/containers/json": always([]object{{"Id": "proxy", "Ports": []object{{"PublicPort": published, "Type": "tcp"}}}}),
		})
	}
	if err := engine(taken).Check("p/s", c); err != nil {
		t.Errorf("the stack's own port is refused: %v", err)
	}
	err = engine(1).Check("p/s", c)
	if want := fmt.Sprintf("proxy.httpPort is %d: allowed is a free port", taken); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error is %v", err)
	}
	c.Proxy.Bind = "192.0.2.1"
	if err := engine(1).Check("p/s", c); err == nil || !strings.Contains(err.Error(), "proxy.bind is 192.0.2.1: allowed is an address of this host") {
		t.Errorf("error is %v", err)
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
