package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestEngine29 follows the stack through a short life on a newer engine than Debian's,
// which leaves its images to containerd.
func TestEngine29(t *testing.T) {
	out, err := exec.Command("../../tools/engine/ensure", "--folder").Output()
	if err != nil {
		t.Fatalf("tools/engine/ensure: %v", err)
	}
	binaries := strings.TrimSpace(string(out))
	if _, err := os.Stat(filepath.Join(binaries, "dockerd")); err != nil {
		t.Skip("NOT TESTED: Docker Engine 29 is not there, tools/engine/ensure builds it (about 7 minutes)")
	}
	besideOwnEngine(t, func(t *testing.T, folder string) {
		e := startEngine(t, folder, binaries, map[string]any{})
		if storage := docker(t, "info", "--format", "{{.DriverStatus}} {{.ServerVersion}}"); !slices.Contains(storage, "29.1.0") || !strings.Contains(storage[1], "io.containerd.snapshotter") {
			t.Fatalf("the engine is %v", storage)
		}
		p := newProject(t, "engine29")
		p.edit(t, "Pulumi."+p.stack+".yaml", "config:\n", "config:\n  helloworld:logging:\n    enabled: false\n")
		p.startOn(t, e, "nginx", "prometheus", "alertmanager", "nodeExporter", "blackboxExporter", "nginxExporter", "cadvisor", "grafana")
		for _, step := range []struct {
			name string
			run  func(*testing.T, *project)
		}{
			{"ASecondUpAndARefreshChangeNothing", nothingChanges},
			{"AScaleLosesNoRequest", scales},
			{"CAdvisorSeesEveryContainer", cadvisorSees},
			{"CAdvisorAsksContainerdForNothingElse", containerdIsFiltered},
			{"DownLeavesNothing", downLeavesNothing},
		} {
			t.Run(step.name, func(t *testing.T) { step.run(t, p) })
		}
	})
}

func scales(t *testing.T, p *project) {
	load := p.startLoad(false)
	defer load.end(t)
	for _, count := range []int{4, 2} {
		p.set(t, "replicas", fmt.Sprint(count))
		p.up(t)
		p.serves(t, count)
	}
}

// cadvisorSees: each container of the stack that runs is in Prometheus.
func cadvisorSees(t *testing.T, p *project) {
	var missing []string
	eventually(t, 2*time.Minute, "every container is seen", func() bool {
		found, err := p.query(`count by (container) (container_memory_working_set_bytes{job="containers"})`)
		if err != nil {
			return false
		}
		seen := map[string]bool{}
		for _, s := range found {
			seen[s.Metric["container"]] = true
		}
		missing = nil
		for _, c := range inspect(t, p.resources(t)["containers"]...) {
			if name := strings.TrimPrefix(c.Name, "/"); c.State.Running && !seen[name] {
				missing = append(missing, name)
			}
		}
		return len(found) > 8 && len(missing) == 0
	})
}

// containerdIsFiltered: who reaches containerd's socket is root on the host. The one
// call that is let through is what cadvisorSees needs.
func containerdIsFiltered(t *testing.T, p *project) {
	out, err := exec.Command("docker", "inspect", "--format", "{{range .Mounts}}{{.Source}} {{end}}", p.containers(t, "cadvisor")[0]).Output()
	if err != nil || strings.Contains(string(out), "containerd") {
		t.Errorf("cAdvisor has %s, %v", out, err)
	}
	for _, call := range []struct{ namespace, method string }{
		{"moby", "containers.v1.Containers/Get?x"},
		{"other", "containers.v1.Containers/Get"},
		{"moby", "containers.v1.Containers/List"},
		{"moby", "containers.v1.Containers/Create"},
		{"moby", "tasks.v1.Tasks/Exec"},
		{"moby", "containers.v1.Containers/Get/../../containerd.services.tasks.v1.Tasks/Exec"},
		{"moby", "content.v1.Content/Read"},
	} {
		got := docker(t, "exec", p.containers(t, "engine-filter")[0],
			"curl", "--path-as-is", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "10", "--http2-prior-knowledge",
			"--request", "POST", "--header", "content-type: application/grpc", "--header", "containerd-namespace: "+call.namespace,
			"--unix-socket", "/engine/containerd.sock", "http://containerd/containerd.services."+call.method)
		if got[0] != "403" {
			t.Errorf("%s in %s is answered %s", call.method, call.namespace, got[0])
		}
	}
}

func downLeavesNothing(t *testing.T, p *project) {
	if out, err := p.run("make", "down"); err != nil {
		t.Fatalf("make down: %v\n%s", err, out)
	}
	for kind, list := range p.resources(t) {
		if len(list) > 0 {
			t.Errorf("left behind: %s %v", kind, list)
		}
	}
}
