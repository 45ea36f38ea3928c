package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// grafanaConf answers what a revision asks of Grafana, whose image is not
// everywhere: the test is of the revision's script alone.
const grafanaConf = `error_log stderr warn; pid /tmp/pid; events {}
http {
    access_log off;
    client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; fastcgi_temp_path /tmp/c; uwsgi_temp_path /tmp/d; scgi_temp_path /tmp/e;
    map "$request_method $http_authorization" $known { "POST Basic YWRtaW46cmlnaHQ=" yes; default ""; }
    server {
        listen 127.0.0.1:3000;
        location = /grafana/api/health { return 200; }
        location ~ ^/grafana/api/admin/provisioning/(dashboards|datasources)/reload$ { if ($known) { return 200; } return 401; }
    }
}`

// TestTheRevisionOfGrafana runs its script on a folder, in place of a volume.
func TestTheRevisionOfGrafana(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	image := reference(t, root, "nginx")
	folder := &project{dir: t.TempDir()}
	grafana := startNginx(t, image, grafanaConf, "--network", "none")
	t.Cleanup(func() { docker(t, "rm", "--force", grafana) })
	var script strings.Builder
	for _, path := range []string{"infra/workload/revision.sh", "infra/monitoring/grafana-revision.sh"} {
		script.WriteString((&project{dir: root}).read(t, path))
	}
	apply := func(id, password string) string {
		out, err := exec.Command("docker", "run", "--rm", "--network", "container:"+grafana, "--pid", "container:"+grafana,
			"--volume", folder.dir+"/provisioning:/provisioning", "--volume", folder.dir+"/"+id+":/revision:ro",
			"--env", "PREFIX=/provisioning", "--env", "REVISION="+id, "--env", "PASSWORD="+password,
			"--entrypoint", "sh", image, "-c", script.String()).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", id, err, out)
		}
		return string(out)
	}
	for id, dashboards := range map[string][]string{"one": {"service", "host"}, "two": {"service", "proxy"}} {
		for _, name := range append(dashboards, "datasources", "dashboards") {
			extension := ".json"
			if strings.HasPrefix(name, "da") {
				extension = ".yml"
			}
			folder.write(t, id+"/"+name+extension, id)
		}
	}
	if out := apply("one", "right"); !strings.Contains(out, "Grafana runs it") {
		t.Errorf("it says %s", out)
	}
	if out := apply("two", "wrong"); !strings.Contains(out, "does not take the generated password") {
		t.Errorf("it says %s", out)
	}
	var placed []string
	err = filepath.WalkDir(folder.dir+"/provisioning", func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && entry.Name() != "lock" {
			name := strings.TrimPrefix(path, folder.dir+"/provisioning/")
			placed = append(placed, name+"="+folder.read(t, "provisioning/"+name))
		}
		return err
	})
	want := "[dashboards/stack.yml=two datasources/stack.yml=two stack/proxy.json=two stack/service.json=two]"
	if err != nil || fmt.Sprint(placed) != want {
		t.Errorf("placed %v, %v, want %s", placed, err, want)
	}
}
