package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// source returns a configuration of a project with a build context.
func source(t *testing.T, values map[string]string) Source {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "app"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "app", "Dockerfile"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s := Source{Project: "helloworld", Root: root, Values: map[string]string{}}
	for key, value := range values {
		s.Values["helloworld:"+key] = value
	}
	return s
}

func TestDefaults(t *testing.T) {
	s := source(t, nil)
	got, err := Load(s)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Replicas: 2,
		App: App{
			Build: filepath.Join(s.Root, "app"), Keep: 3, Port: 8000, HealthTimeout: 5, ProbePath: "/",
			Memory: 64, CPUs: 1, Pids: 100, StartTimeout: 60, HangTimeout: 20, StopGrace: 20,
		},
		Proxy:      Proxy{Domain: "localhost", Bind: "0.0.0.0", HTTPPort: 80, HTTPSPort: 443, HTTP: HTTPRedirect},
		Monitoring: Monitoring{Enabled: true, Retention: "15d", RetentionSize: "1GB", PrometheusPort: 9090, AlertmanagerPort: 9093},
		Logging:    Logging{Enabled: true, Retention: "7d", RetentionSize: "1GB"},
		Images:     UpstreamImages,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestTheDevStackShowsTheDefaults reads Pulumi.dev.yaml as the engine would. What the
// sample alone has differs.
func TestTheDevStackShowsTheDefaults(t *testing.T) {
	text, err := os.ReadFile("../../Pulumi.dev.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Config map[string]any }
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	s := source(t, nil)
	for key, value := range file.Config {
		text, isText := value.(string)
		if !isText {
			encoded, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			text = string(encoded)
		}
		s.Values[key] = text
	}
	shown, err := Load(s)
	if err != nil {
		t.Fatal(err)
	}
	s.Values = nil
	defaults, err := Load(s)
	if err != nil {
		t.Fatal(err)
	}
	defaults.App.HealthCommand, defaults.App.HealthPath, defaults.App.ProbePath = []string{"/app", "healthcheck"}, "/readyz", "/helloworld"
	shown.App.Env = nil // {} says the same as nothing
	if !reflect.DeepEqual(shown, defaults) {
		t.Errorf("Pulumi.dev.yaml %+v\ndefaults        %+v", shown, defaults)
	}
	for _, key := range []string{"build", "image", "keep", "port", "healthCommand", "healthPath", "healthTimeout", "probePath", "env", "memory", "cpus", "pids", "startTimeout", "hangTimeout", "stopGrace", "domain", "names", "bind", "httpPort", "httpsPort", "http", "replicas", "enabled", "retention", "retentionSize", "prometheusPort", "alertmanagerPort", "images"} {
		if !strings.Contains(string(text), key+":") {
			t.Errorf("Pulumi.dev.yaml does not show %s", key)
		}
	}
}

func TestEverythingCanBeSet(t *testing.T) {
	s := source(t, map[string]string{
		"replicas": "100",
		"app":      `{"image":"registry.example:5000/team/app@sha256:` + strings.Repeat("0", 64) + `","port":"9000","healthCommand":["/bin/check"],"healthPath":"/metrics","healthTimeout":60,"probePath":"/x?y=z","env":{"A":"b","N":1,"T":true},"memory":6,"keep":5,"cpus":"0.5","pids":10,"startTimeout":5,"hangTimeout":10,"stopGrace":1}`,
		"proxy":    `{"domain":"www.example.com","names":["*.example.com","192.0.2.1","::1"],"bind":"127.0.0.1","httpPort":8080,"httpsPort":8443,"http":"serve"}`,
		"monitoring": `{"enabled":"false","retention":"4w","retentionSize":"500MB","prometheusPort":19090,"alertmanagerPort":19093,` +
			`"alertWebhook":"https://alerts.example/x?y=z","alertSlack":"https://slack.example/hook","runbook":"https://www.example.com/runbook",` +
			`"alertEmail":{"to":"ann@example.com","from":"stack@example.com","server":"mail.example.com:587","user":"ann","password":"hush"}}`,
		"logging": `{"enabled":false,"retention":"2w","retentionSize":"500MB"}`,
		"images": `{"nginx":"nginx:1","builder":"golang:1","prometheus":"prom:1","alertmanager":"am:1","nodeExporter":"node:1",` +
			`"blackboxExporter":"blackbox:1","nginxExporter":"nginxexp:1","cadvisor":"cadvisor:1","grafana":"grafana:1",` +
			`"collector":"collector:1","victoriaLogs":"vl:1","vmalert":"vmalert:1"}`,
	})
	s.Secret = []string{"helloworld:app"}
	got, err := Load(s)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Replicas: 100,
		App: App{
			Image: "registry.example:5000/team/app@sha256:" + strings.Repeat("0", 64), Port: 9000, HealthCommand: []string{"/bin/check"}, HealthPath: "/metrics", HealthTimeout: 60, ProbePath: "/x?y=z",
			Env: map[string]string{"A": "b", "N": "1", "T": "true"}, EnvSecret: true,
			Memory: 6, Keep: 5, CPUs: .5, Pids: 10, StartTimeout: 5, HangTimeout: 10, StopGrace: 1,
		},
		Proxy: Proxy{
			Domain: "www.example.com", Names: []string{"*.example.com", "192.0.2.1", "::1"}, Bind: "127.0.0.1",
			HTTPPort: 8080, HTTPSPort: 8443, HTTP: HTTPServe,
		},
		Monitoring: Monitoring{
			Retention: "4w", RetentionSize: "500MB", PrometheusPort: 19090, AlertmanagerPort: 19093,
			AlertWebhook: "https://alerts.example/x?y=z", AlertSlack: "https://slack.example/hook", Runbook: "https://www.example.com/runbook",
			AlertEmail: Email{To: "ann@example.com", From: "stack@example.com", Server: "mail.example.com:587", User: "ann", Password: "hush"},
		},
		Logging: Logging{Retention: "2w", RetentionSize: "500MB"},
		Images: Images{
			Nginx: "nginx:1", Builder: "golang:1", Prometheus: "prom:1", Alertmanager: "am:1", NodeExporter: "node:1",
			BlackboxExporter: "blackbox:1", NginxExporter: "nginxexp:1", CAdvisor: "cadvisor:1", Grafana: "grafana:1",
			Collector: "collector:1", VictoriaLogs: "vl:1", VMAlert: "vmalert:1",
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestABadValueIsRefusedWithKeyValueAndWhatIsAllowed(t *testing.T) {
	for _, test := range []struct{ key, value, want string }{
		{"replicas", "0", `helloworld:replicas is "0": allowed is a whole number from 1 to 100`},
		{"replicas", "-1", `helloworld:replicas is "-1": allowed is a whole number from 1 to 100`},
		{"replicas", "101", `helloworld:replicas is "101": allowed is a whole number from 1 to 100`},
		{"replicas", "two", `helloworld:replicas is "two": allowed is a whole number from 1 to 100`},
		{"replicas", "2.5", `helloworld:replicas is "2.5": allowed is a whole number from 1 to 100`},
		{"replicas", `{"a":1}`, `helloworld:replicas is {"a":1}: allowed is a whole number from 1 to 100`},
		{"replica", "2", `helloworld:replica is unknown: allowed are app.build, app.cpus,`},
		{"app", "x", `helloworld:app is "x": allowed is an object of further keys`},
		{"app", `{"colour":"blue"}`, `helloworld:app.colour is unknown: allowed are app.build,`},
		{"app.memory", "128", `helloworld:app.memory is "128": allowed is only within app (pulumi config rm app.memory; pulumi config set --path app.memory <value>)`},
		{"app", `{"memory":5}`, `helloworld:app.memory is 5: allowed is a whole number of MB from 6 to 1048576`},
		{"app", `{"cpus":0}`, `helloworld:app.cpus is 0: allowed is a number from 0.01 to 1024`},
		{"app", `{"cpus":"NaN"}`, `helloworld:app.cpus is "NaN": allowed is a number from 0.01 to 1024`},
		{"app", `{"pids":0}`, `helloworld:app.pids is 0: allowed is a whole number from 1 to 4194304`},
		{"app", `{"port":65536}`, `helloworld:app.port is 65536: allowed is a whole number from 1 to 65535`},
		{"app", `{"stopGrace":0}`, `helloworld:app.stopGrace is 0: allowed is a whole number of seconds from 1 to 3600`},
		{"app", `{"startTimeout":"1m"}`, `helloworld:app.startTimeout is "1m": allowed is a whole number of seconds from 1 to 3600`},
		{"app", `{"hangTimeout":4}`, `helloworld:app.hangTimeout is 4: allowed is a whole number of seconds from 5 to 3600`},
		{"app", `{"healthCommand":"/app"}`, `helloworld:app.healthCommand is "/app": allowed is a list of a command and its arguments`},
		{"app", `{"healthCommand":[""]}`, `helloworld:app.healthCommand is [""]: allowed is a list of a command and its arguments`},
		{"app", `{"healthPath":"readyz"}`, `helloworld:app.healthPath is "readyz": allowed is a path such as /readyz`},
		{"app", `{"healthTimeout":0}`, `helloworld:app.healthTimeout is 0: allowed is a whole number of seconds from 1 to 60`},
		{"app", `{"healthTimeout":61}`, `helloworld:app.healthTimeout is 61: allowed is a whole number of seconds from 1 to 60`},
		{"app", `{"probePath":"helloworld"}`, `helloworld:app.probePath is "helloworld": allowed is a path such as /helloworld`},
		{"app", `{"probePath":"/a b"}`, `helloworld:app.probePath is "/a b": allowed is a path such as /helloworld`},
		{"app", `{"probePath":"/%zz"}`, `helloworld:app.probePath is "/%zz": allowed is a path such as /helloworld`},
		{"app", `{"probePath":"/readyz"}`, `helloworld:app.probePath is "/readyz": allowed is a path that clients reach at the service: the proxy keeps /healthz, /readyz, /metrics, /grafana/ from it`},
		{"app", `{"env":{"A B":"c"}}`, `helloworld:app.env is {"A B":"c"}: allowed is an object of names and texts`},
		{"app", `{"env":{"A":["c"]}}`, `helloworld:app.env is {"A":["c"]}: allowed is an object of names and texts`},
		{"app", `{"env":["A=b"]}`, `helloworld:app.env is ["A=b"]: allowed is an object of names and texts`},
		{"app", `{"image":"Not An Image"}`, `helloworld:app.image is "Not An Image": allowed is an image reference`},
		{"app", `{"image":"nginx","build":"app"}`, `helloworld:app.image is "nginx": allowed is only one of app.build and app.image`},
		{"app", `{"build":"nowhere"}`, `helloworld:app.build is "nowhere": allowed is a folder with a Dockerfile, and `},
		{"proxy", `{"domain":""}`, `helloworld:proxy.domain is "": allowed is a DNS name such as www.example.com`},
		{"proxy", `{"domain":"a_b"}`, `helloworld:proxy.domain is "a_b": allowed is a DNS name such as www.example.com`},
		{"proxy", `{"domain":"-a.example"}`, `helloworld:proxy.domain is "-a.example": allowed is a DNS name`},
		{"proxy", `{"domain":"192.0.2.1"}`, `helloworld:proxy.domain is "192.0.2.1": allowed is a DNS name`},
		{"proxy", `{"domain":"a; return 200"}`, `helloworld:proxy.domain is "a; return 200": allowed is a DNS name`},
		{"proxy", `{"names":["ok.example","not ok"]}`, `helloworld:proxy.names is ["ok.example","not ok"]: allowed is a list of DNS names and IP addresses`},
		{"proxy", `{"bind":"eth0"}`, `helloworld:proxy.bind is "eth0": allowed is an IP address of this host`},
		{"proxy", `{"http":"both"}`, `helloworld:proxy.http is "both": allowed is redirect or serve`},
		{"proxy", `{"httpPort":443}`, `helloworld:proxy.httpsPort is 443: allowed is a port that proxy.httpPort does not use`},
		{"monitoring", `{"enabled":"maybe"}`, `helloworld:monitoring.enabled is "maybe": allowed is true or false`},
		{"monitoring", `{"probePath":"/x"}`, `helloworld:monitoring.probePath is "/x": allowed is only app.probePath, which takes its place (pulumi config rm --path monitoring.probePath; pulumi config set --path app.probePath <value>)`},
		{"monitoring", `{"retention":"soon"}`, `helloworld:monitoring.retention is "soon": allowed is a whole number of hours, days, weeks or years such as 15d`},
		{"monitoring", `{"retention":"100y"}`, `helloworld:monitoring.retention is "100y": allowed is a whole number of hours`},
		{"monitoring", `{"retention":"0d"}`, `helloworld:monitoring.retention is "0d": allowed is a whole number of hours`},
		{"monitoring", `{"retention":15}`, `helloworld:monitoring.retention is 15: allowed is a whole number of hours`},
		{"logging", `{"retention":"12h"}`, `helloworld:logging.retention is "12h": allowed is a whole number of days, weeks or years such as 7d`},
		{"logging", `{"retention":"10000d"}`, `helloworld:logging.retention is "10000d": allowed is a whole number of days`},
		{"logging", `{"retentionSize":"all"}`, `helloworld:logging.retentionSize is "all": allowed is a whole number of MB, GB or TB such as 1GB`},
		{"logging", `{"enabled":"yes"}`, `helloworld:logging.enabled is "yes": allowed is true or false`},
		{"logging.enabled", `true`, `helloworld:logging.enabled is "true": allowed is only within logging`},
		{"monitoring", `{"retentionSize":"1"}`, `helloworld:monitoring.retentionSize is "1": allowed is a whole number of MB, GB or TB such as 1GB`},
		{"monitoring", `{"alertWebhook":"alerts.example"}`, `helloworld:monitoring.alertWebhook is "alerts.example": allowed is an http or https URL`},
		{"monitoring", `{"alertWebhook":"ftp://alerts.example"}`, `helloworld:monitoring.alertWebhook is "ftp://alerts.example": allowed is an http or https URL`},
		{"monitoring", `{"alertSlack":"https://"}`, `helloworld:monitoring.alertSlack is "https://": allowed is an http or https URL`},
		{"monitoring", `{"alertEmail":{"to":"ann@example.com"}}`, `helloworld:monitoring.alertEmail is {"to":"ann@example.com"}: allowed is an object of to, from and server (host:port)`},
		{"monitoring", `{"alertEmail":{"to":"ann","from":"b@example.com","server":"mail:25"}}`, `helloworld:monitoring.alertEmail is {"from":"b@example.com","server":"mail:25","to":"ann"}: allowed is an object`},
		{"monitoring", `{"alertEmail":{"cc":"ann@example.com"}}`, `helloworld:monitoring.alertEmail is {"cc":"ann@example.com"}: allowed is an object`},
		{"monitoring", `{"runbook":"x"}`, `helloworld:monitoring.runbook is "x": allowed is an http or https URL`},
		{"monitoring", `{"prometheusPort":0}`, `helloworld:monitoring.prometheusPort is 0: allowed is a whole number from 1 to 65535`},
		{"monitoring", `{"prometheusPort":443}`, `helloworld:monitoring.prometheusPort is 443: allowed is a port that proxy.httpsPort does not use`},
		{"monitoring", `{"alertmanagerPort":9090}`, `helloworld:monitoring.alertmanagerPort is 9090: allowed is a port that monitoring.prometheusPort does not use`},
		{"monitoring", `{"colour":"blue"}`, `helloworld:monitoring.colour is unknown: allowed are`},
		{"images", `{"nginx":"::"}`, `helloworld:images.nginx is "::": allowed is an image reference`},
		{"images", `{"apache":"httpd"}`, `helloworld:images.apache is unknown: allowed are`},
	} {
		_, err := Load(source(t, map[string]string{test.key: test.value}))
		if err == nil || !strings.Contains(err.Error(), "\n"+test.want) {
			t.Errorf("%s=%s: error is\n%v\nwant\n%s", test.key, test.value, err, test.want)
		}
	}
}

// TestTheProbeAsksForWhatClientsReach: a path is read as the proxy reads it.
func TestTheProbeAsksForWhatClientsReach(t *testing.T) {
	const off = `{"enabled":false}`
	for _, test := range []struct {
		path, monitoring string
		refused          bool
	}{
		{"/", "", false},
		{"/metrics", "", true},
		{"/metrics?all=yes", "", true},
		{"/metrics/", "", false},
		{"/metrics2", "", false},
		{"//healthz", "", true},
		{"/%6detrics", "", true},
		{"/x/../readyz", "", true},
		{"/grafana", "", true},
		{"/grafana/api/health", "", true},
		{"/grafanas", "", false},
		{"/grafana", off, false},
		{"/metrics", off, true},
	} {
		values := map[string]string{"app": `{"probePath":"` + test.path + `"}`}
		if test.monitoring != "" {
			values["monitoring"] = test.monitoring
		}
		_, err := Load(source(t, values))
		if refused := err != nil && strings.Contains(err.Error(), "app.probePath"); refused != test.refused || !refused && err != nil {
			t.Errorf("%s, monitoring %s: %v", test.path, test.monitoring, err)
		}
	}
}

func TestAllProblemsAreInOneMessage(t *testing.T) {
	_, err := Load(source(t, map[string]string{"replicas": "0", "a": "1", "app": `{"memory":1,"port":0}`}))
	if err == nil || strings.Count(err.Error(), "helloworld:") != 4 {
		t.Errorf("error is %v", err)
	}
}

func TestPortsOfWhatIsOffAreFree(t *testing.T) {
	if _, err := Load(source(t, map[string]string{"monitoring": `{"enabled":false,"prometheusPort":443}`})); err != nil {
		t.Error(err)
	}
}

func TestReceiversAreNamed(t *testing.T) {
	if got := (Monitoring{}).Receivers(); len(got) > 0 {
		t.Errorf("nobody is %q", got)
	}
	all := Monitoring{AlertWebhook: "x", AlertSlack: "y", AlertEmail: Email{To: "z"}}
	if got := all.Receivers(); !slices.Equal(got, []string{"webhook", "slack", "email"}) {
		t.Errorf("everybody is %q", got)
	}
}

func TestASecretIsNotShown(t *testing.T) {
	s := source(t, map[string]string{"app": `{"env":{"TOKEN":["hush"]}}`})
	s.Secret = []string{"helloworld:app"}
	_, err := Load(s)
	if err == nil || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), "helloworld:app.env is [secret]") {
		t.Errorf("error is %v", err)
	}
}

func TestOtherNamespacesAreLeftAlone(t *testing.T) {
	s := source(t, nil)
	s.Values["docker:host"] = "unix:///x"
	if _, err := Load(s); err != nil {
		t.Error(err)
	}
}

func TestStandInImagesGoBeforeUpstreamAndAfterTheConfiguration(t *testing.T) {
	s := source(t, map[string]string{"images": `{"builder":"mine"}`})
	folder := filepath.Join(s.Root, StandInImages)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, reference := range map[string]string{"nginx": "local/nginx:1\n", "builder": "local/builder:1\n", "grafana": ""} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(reference), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Load(s)
	want := UpstreamImages
	want.Nginx, want.Builder, want.Grafana = "local/nginx:1", "mine", ""
	if err != nil || got.Images != want {
		t.Errorf("%+v, %v", got.Images, err)
	}
}
