package main

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"helloworld/infra/config"
	"helloworld/infra/state"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// recorder stands in for the engine: it notes what is registered, and fails one
// type of resource if it is told to.
type recorder struct {
	mutex     sync.Mutex
	resources []pulumi.MockResourceArgs
	failing   string
	exitCode  float64 // of the one-shot refused, or of all
	refused   string
	leftOut   string // name of a container that is as it was before
}

func (r *recorder) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if args.TypeToken == r.failing {
		return "", nil, errors.New("told to fail")
	}
	r.resources = append(r.resources, args)
	outputs := args.Inputs.Copy()
	switch args.TypeToken {
	case containerType:
		outputs["name"] = resource.NewProperty(args.Name + "-1234567")
		outputs["exitCode"] = resource.NewProperty(0.0)
		if r.refused == "" || r.refused == args.Name {
			outputs["exitCode"] = resource.NewProperty(r.exitCode)
		}
		outputs["containerLogs"] = resource.NewProperty("the log of the revision\nrevision abc: replica old-one:8000 is not ready\n")
		if args.Name == r.leftOut {
			outputs["envs"] = resource.NewProperty([]resource.PropertyValue{resource.NewProperty("SERVERS=old-one:8000")})
		}
	case "docker:index/network:Network", "docker:index/volume:Volume":
		outputs["name"] = resource.NewProperty(args.Name + "-1234567")
	case imageType:
		outputs["imageId"] = resource.NewProperty("sha256:" + args.Name)
	case "tls:index/privateKey:PrivateKey":
		outputs["privateKeyPem"] = resource.NewProperty("KEY")
		outputs["publicKeyPem"] = resource.NewProperty("PUBLIC")
	case "tls:index/certRequest:CertRequest":
		outputs["certRequestPem"] = resource.NewProperty("REQUEST")
	case "tls:index/selfSignedCert:SelfSignedCert", "tls:index/locallySignedCert:LocallySignedCert":
		outputs["certPem"] = resource.NewProperty("CERTIFICATE")
	}
	return args.Name + "-id", outputs, nil
}

func (r *recorder) Call(pulumi.MockCallArgs) (resource.PropertyMap, error) { return nil, nil }

// ofType returns the names of the registered resources of a type.
func (r *recorder) ofType(token string) []string {
	var names []string
	for _, registered := range r.resources {
		if registered.TypeToken == token {
			names = append(names, registered.Name)
		}
	}
	slices.Sort(names)
	return names
}

const (
	containerType = "docker:index/container:Container"
	imageType     = "docker:index/remoteImage:RemoteImage"
)

// inputs returns what a resource was registered with.
func (r *recorder) inputs(t *testing.T, token, name string) resource.PropertyMap {
	t.Helper()
	for _, registered := range r.resources {
		if registered.TypeToken == token && registered.Name == name {
			return registered.Inputs
		}
	}
	t.Fatalf("%s is not registered", name)
	return nil
}

// calmHost is an engine that takes everything.
type calmHost struct {
	refusal, notReady error
	containerd        bool
}

func (h calmHost) Check([]string, config.Config) error { return h.refusal }
func (h calmHost) CheckVersion(_, version string) error {
	if version != "kept" {
		return errors.New("not kept")
	}
	return nil
}
func (h calmHost) Serves(string, string, int) error { return nil }
func (h calmHost) Report(container string) string   { return "how " + container + " fares" }
func (h calmHost) LimitPids(string) error           { return nil }
func (h calmHost) Socket() string                   { return "/var/run/docker.sock" }
func (h calmHost) LogFiles() (string, error)        { return "/var/lib/docker/containers", nil }
func (h calmHost) Layers() (folder, socket string, err error) {
	if h.containerd {
		return "", "/run/containerd/containerd.sock", nil
	}
	return "/var/lib/docker/image", "", nil
}
func (h calmHost) AwaitReady(string, []string, time.Duration) error { return h.notReady }

func settings(t *testing.T) config.Config {
	t.Helper()
	app, err := filepath.Abs("../app")
	if err != nil {
		t.Fatal(err)
	}
	return config.Config{
		Replicas: 3,
		App: config.App{
			Build: app, Port: 8000, HealthCommand: []string{"/app", "healthcheck"}, HealthPath: "/readyz", HealthTimeout: 5, ProbePath: "/helloworld",
			Env: map[string]string{"TOKEN": "hush"}, EnvSecret: true,
			Memory: 64, CPUs: 0.5, Pids: 100, StartTimeout: 1, HangTimeout: 20, StopGrace: 20,
		},
		Proxy: config.Proxy{Domain: "localhost", Bind: "127.0.0.1", HTTPPort: 80, HTTPSPort: 443, HTTP: config.HTTPRedirect},
		Monitoring: config.Monitoring{
			Enabled: true, Retention: "15d", RetentionSize: "1GB", PrometheusPort: 9090, AlertmanagerPort: 9093, AlertWebhook: "https://alerts.example/hush",
		},
		Logging: config.Logging{Enabled: true, Retention: "7d", RetentionSize: "1GB"},
		Images:  config.UpstreamImages,
	}
}

func run(r *recorder, cfg config.Config, h host) error {
	return pulumi.RunErr(func(ctx *pulumi.Context) error { return deploy(ctx, cfg, h, hooks{}, state.State{}) },
		pulumi.WithMocks("helloworld", "test", r))
}

func TestTheStackIsDeclared(t *testing.T) {
	r := &recorder{}
	if err := run(r, settings(t), calmHost{}); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, name := range []string{
		"alertmanager", "alertmanager-revision", "blackbox-exporter", "cadvisor", "collector", "collector-check", "engine-filter", "grafana", "grafana-revision",
		"nginx-exporter", "node-exporter", "prometheus", "prometheus-revision", "proxy", "proxy-check", "proxy-revision", "replica-1", "replica-2", "replica-3", "replica-filter", "replica-watcher",
		"victorialogs", "vmalert", "vmalert-check",
	} {
		want = append(want, "helloworld-test-"+name)
	}
	if got := r.ofType(containerType); !slices.Equal(got, want) {
		t.Errorf("containers %q, want %q", got, want)
	}
	for token, count := range map[string]int{
		"docker:index/network:Network": 3, "docker:index/volume:Volume": 12, "docker:index/remoteImage:RemoteImage": 12,
		"tls:index/privateKey:PrivateKey": 4, "tls:index/selfSignedCert:SelfSignedCert": 1, "tls:index/locallySignedCert:LocallySignedCert": 1,
	} {
		if got := r.ofType(token); len(got) != count {
			t.Errorf("%s: %q, want %d", token, got, count)
		}
	}
}

func TestWhatIsSwitchedOffIsNotDeclared(t *testing.T) {
	for _, test := range []struct {
		monitoring, logging         bool
		containers, images, volumes int
		networks                    int
	}{
		{false, false, 8, 2, 3, 1},
		{true, false, 19, 9, 10, 2},
		{false, true, 11, 4, 5, 2}, // without rules: there is nobody to tell
		{true, true, 24, 12, 12, 3},
	} {
		r, cfg := &recorder{}, settings(t)
		cfg.Monitoring.Enabled, cfg.Logging.Enabled = test.monitoring, test.logging
		if err := run(r, cfg, calmHost{}); err != nil {
			t.Fatal(err)
		}
		for token, count := range map[string]int{
			containerType: test.containers, imageType: test.images,
			"docker:index/volume:Volume": test.volumes, "docker:index/network:Network": test.networks,
		} {
			if got := r.ofType(token); len(got) != count {
				t.Errorf("%+v: %s: %d, want %d: %q", test, token, len(got), count, got)
			}
		}
	}
}

func TestWithoutItsImageGrafanaIsLeftOut(t *testing.T) {
	r, cfg := &recorder{}, settings(t)
	cfg.Images.Grafana = ""
	if err := run(r, cfg, calmHost{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(r.ofType(containerType), r.ofType(imageType)...) {
		if strings.Contains(name, "grafana") {
			t.Errorf("%s is declared", name)
		}
	}
	if !slices.Contains(r.ofType(containerType), "helloworld-test-prometheus") {
		t.Error("Prometheus is left out too")
	}
}

// TestGrafanaFetchesAPluginForLogsAlone: without logging it fetches and runs none.
func TestGrafanaFetchesAPluginForLogsAlone(t *testing.T) {
	for logging, want := range map[bool]string{
		true:  "GF_PLUGINS_PREINSTALL=victoriametrics-logs-datasource@",
		false: "GF_PLUGINS_DISABLE_PLUGINS=victoriametrics-logs-datasource",
	} {
		r, cfg := &recorder{}, settings(t)
		cfg.Logging.Enabled = logging
		if err := run(r, cfg, calmHost{}); err != nil {
			t.Fatal(err)
		}
		envs := r.inputs(t, containerType, "helloworld-test-grafana")["envs"]
		for envs.IsSecret() {
			envs = envs.SecretValue().Element
		}
		found := slices.ContainsFunc(envs.ArrayValue(), func(env resource.PropertyValue) bool {
			for env.IsSecret() {
				env = env.SecretValue().Element
			}
			return strings.HasPrefix(env.StringValue(), want)
		})
		if !found {
			t.Errorf("logging %v: Grafana is not told %s", logging, want)
		}
	}
}

// TestCAdvisorFindsTheLayers: files below /rootfs, or over a socket that only the
// filter has.
func TestCAdvisorFindsTheLayers(t *testing.T) {
	for _, test := range []struct {
		host                          calmHost
		container, mounted, elsewhere string
	}{
		{calmHost{}, "cadvisor", "/var/lib/docker/image", "engine-filter"},
		{calmHost{containerd: true}, "engine-filter", "/run/containerd/containerd.sock", "cadvisor"},
	} {
		r := &recorder{}
		if err := run(r, settings(t), test.host); err != nil {
			t.Fatal(err)
		}
		sources := func(name string) []string {
			var sources []string
			for _, mount := range r.inputs(t, containerType, "helloworld-test-"+name)["mounts"].ArrayValue() {
				sources = append(sources, mount.ObjectValue()["source"].StringValue())
			}
			return sources
		}
		if got := sources(test.container); !slices.Contains(got, test.mounted) {
			t.Errorf("%s has %q, not %s", test.container, got, test.mounted)
		}
		if got := sources(test.elsewhere); slices.Contains(got, test.mounted) {
			t.Errorf("%s has %s too: %q", test.elsewhere, test.mounted, got)
		}
	}
}

// TestMonitoringIsForTheHostAlone: only the proxy is published on other addresses.
func TestMonitoringIsForTheHostAlone(t *testing.T) {
	r, cfg := &recorder{}, settings(t)
	cfg.Proxy.Bind = "0.0.0.0"
	if err := run(r, cfg, calmHost{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range r.ofType(containerType) {
		ports := r.inputs(t, containerType, name)["ports"]
		if name == "helloworld-test-proxy" || !ports.IsArray() {
			continue
		}
		for _, port := range ports.ArrayValue() {
			if ip := port.ObjectValue()["ip"].StringValue(); ip != "127.0.0.1" {
				t.Errorf("%s is published on %s", name, ip)
			}
		}
	}
}

// TestMonitoringAndLoggingStaySmall adds up what their containers may use.
func TestMonitoringAndLoggingStaySmall(t *testing.T) {
	memory := func(logging bool) (sum float64) {
		r, cfg := &recorder{}, settings(t)
		cfg.Logging.Enabled = logging
		if err := run(r, cfg, calmHost{}); err != nil {
			t.Fatal(err)
		}
		for _, name := range r.ofType(containerType) {
			if !strings.Contains(name, "replica") && !strings.Contains(name, "proxy") && !strings.HasSuffix(name, "-revision") && !strings.HasSuffix(name, "-check") {
				sum += r.inputs(t, containerType, name)["memory"].NumberValue()
			}
		}
		return sum
	}
	monitoring := memory(false)
	if monitoring > 1024 {
		t.Errorf("the memory limits of monitoring add up to %v MB", monitoring)
	}
	// Grafana's plugin for logs among it.
	if logging := memory(true) - monitoring; logging > 512 {
		t.Errorf("logging may use %v MB more", logging)
	}
}

// TestLogsAreReadFromFiles: the collector has neither the engine's socket nor more
// than the folder of the log files, read-only, and VictoriaLogs no port of the host.
func TestLogsAreReadFromFiles(t *testing.T) {
	r := &recorder{}
	if err := run(r, settings(t), calmHost{}); err != nil {
		t.Fatal(err)
	}
	for _, mount := range r.inputs(t, containerType, "helloworld-test-collector")["mounts"].ArrayValue() {
		m := mount.ObjectValue()
		if m["type"].StringValue() == "bind" && (m["source"].StringValue() != "/var/lib/docker/containers" || !m["readOnly"].BoolValue()) {
			t.Errorf("the collector has %v", m)
		}
	}
	for _, component := range []string{"collector", "victorialogs", "vmalert"} {
		if ports := r.inputs(t, containerType, "helloworld-test-"+component)["ports"]; ports.IsArray() && len(ports.ArrayValue()) > 0 {
			t.Errorf("%s is published: %v", component, ports)
		}
	}
	if !r.inputs(t, "docker:index/network:Network", "helloworld-test-logging")["internal"].BoolValue() {
		t.Error("logging's network leads out")
	}
}

func TestAnImageCanTakeThePlaceOfABuild(t *testing.T) {
	r, cfg := &recorder{}, settings(t)
	cfg.App.Build, cfg.App.Image = "", "registry.example/service:1"
	if err := run(r, cfg, calmHost{}); err != nil {
		t.Fatal(err)
	}
	image := r.inputs(t, imageType, "helloworld-test-app")
	if image["name"].StringValue() != "registry.example/service:1" || image["build"].IsObject() || !image["keepLocally"].BoolValue() {
		t.Errorf("image %v", image)
	}
}

// TestAVersionThatWasKeptIsNotBuilt: the way back needs no build.
func TestAVersionThatWasKeptIsNotBuilt(t *testing.T) {
	t.Setenv("APP_VERSION", "kept")
	r := &recorder{}
	if err := run(r, settings(t), calmHost{}); err != nil {
		t.Fatal(err)
	}
	image := r.inputs(t, imageType, "helloworld-test-app")
	if !strings.HasSuffix(image["name"].StringValue(), "-app:kept") || image["build"].IsObject() {
		t.Errorf("image %v", image)
	}
	t.Setenv("APP_VERSION", "gone")
	if err := run(&recorder{}, settings(t), calmHost{}); err == nil || !strings.Contains(err.Error(), "not kept") {
		t.Errorf("error is %v", err)
	}
	cfg := settings(t)
	cfg.App.Build, cfg.App.Image = "", "registry.example/service:1"
	if err := run(&recorder{}, cfg, calmHost{}); err == nil || !strings.Contains(err.Error(), "VERSION is gone, and app.image is registry.example/service:1") {
		t.Errorf("error is %v", err)
	}
}

func TestEveryContainerIsHardened(t *testing.T) {
	r := &recorder{}
	if err := run(r, settings(t), calmHost{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range r.ofType(containerType) {
		c := r.inputs(t, containerType, name)
		isRevision := strings.HasSuffix(name, "-revision") // takes its files with it
		if c["readOnly"].BoolValue() == isRevision {
			t.Errorf("%s: readOnly is %v", name, c["readOnly"])
		}
		if drops := c["capabilities"].ObjectValue()["drops"].ArrayValue(); len(drops) != 1 || drops[0].StringValue() != "ALL" {
			t.Errorf("%s drops %v", name, drops)
		}
		if c["memory"].NumberValue() <= 0 || c["memorySwap"] != c["memory"] {
			t.Errorf("%s: memory %v, with swap %v", name, c["memory"], c["memorySwap"])
		}
		for _, key := range []resource.PropertyKey{"securityOpts", "logDriver", "logOpts", "labels", "networkMode", "restart"} {
			if !c[key].HasValue() {
				t.Errorf("%s lacks %s", name, key)
			}
		}
	}
	replica := r.inputs(t, containerType, "helloworld-test-replica-1")
	if replica["cpuQuota"].NumberValue() != 50_000 || replica["destroyGraceSeconds"].NumberValue() != 20 {
		t.Errorf("replica: quota %v, grace %v", replica["cpuQuota"], replica["destroyGraceSeconds"])
	}
}

func TestSecretsAreRegisteredAsSecrets(t *testing.T) {
	r := &recorder{}
	if err := run(r, settings(t), calmHost{}); err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]resource.PropertyKey{"helloworld-test-proxy-revision": "uploads", "helloworld-test-replica-1": "envs", "helloworld-test-alertmanager-revision": "uploads", "helloworld-test-grafana": "envs", "helloworld-test-grafana-revision": "envs"} {
		if inputs := r.inputs(t, containerType, name); !inputs[key].ContainsSecrets() {
			t.Errorf("%s of %s has no secret", key, name)
		}
	}
}

func TestEachFailureComesOut(t *testing.T) {
	for _, token := range []string{
		"helloworld:workload:Stack", "helloworld:certificate:Certificate", "helloworld:replicas:Replicas", "helloworld:replicas:Watcher", "helloworld:proxy:Proxy", "helloworld:monitoring:Monitoring", "helloworld:logging:Logging",
		"docker:index/network:Network", "docker:index/volume:Volume", "docker:index/remoteImage:RemoteImage", "docker:index/container:Container",
		"tls:index/privateKey:PrivateKey", "tls:index/selfSignedCert:SelfSignedCert", "tls:index/certRequest:CertRequest", "tls:index/locallySignedCert:LocallySignedCert",
	} {
		if err := run(&recorder{failing: token}, settings(t), calmHost{}); err == nil || !strings.Contains(err.Error(), "told to fail") {
			t.Errorf("%s: error is %v", token, err)
		}
	}
}

func TestAFailedRevisionIsAnErrorWithItsLog(t *testing.T) {
	err := run(&recorder{exitCode: 1}, settings(t), calmHost{})
	if err == nil || !strings.Contains(err.Error(), "failed (exit code 1), what it was to change is as it was before") || !strings.Contains(err.Error(), "the log of the revision") {
		t.Errorf("error is %v", err)
	}
}

func TestARefusedReplicaIsReported(t *testing.T) {
	err := run(&recorder{exitCode: 1, refused: "helloworld-test-proxy-revision"}, settings(t), calmHost{})
	if err == nil || !strings.Contains(err.Error(), "\nold-one: how old-one fares") {
		t.Errorf("error is %v", err)
	}
}

// TestAnUpdateThatLeavesTheProxyBehindFails, for else the replicas it knows would go.
func TestAnUpdateThatLeavesTheProxyBehindFails(t *testing.T) {
	err := run(&recorder{leftOut: "helloworld-test-proxy-revision"}, settings(t), calmHost{})
	if err == nil || !strings.Contains(err.Error(), "the proxy revision was left out of this update by --target or --exclude") {
		t.Errorf("error is %v", err)
	}
}

func TestWithoutAHealthCommandTheEngineChecksNothing(t *testing.T) {
	for _, command := range [][]string{nil, {"/app", "healthcheck"}} {
		r, cfg := &recorder{}, settings(t)
		cfg.App.HealthCommand = command
		if err := run(r, cfg, calmHost{}); err != nil {
			t.Fatal(err)
		}
		replica := r.inputs(t, containerType, "helloworld-test-replica-1")
		if replica["healthcheck"].IsObject() != (command != nil) || replica["stopSignal"].HasValue() {
			t.Errorf("%q: health check %v, stop signal %v", command, replica["healthcheck"], replica["stopSignal"])
		}
	}
}

func TestAReplicaThatIsNotReadyKeepsTheRevisionBack(t *testing.T) {
	r := &recorder{}
	err := run(r, settings(t), calmHost{notReady: errors.New("not ready")})
	if err == nil || !strings.Contains(err.Error(), "not ready") {
		t.Errorf("error is %v", err)
	}
	if slices.Contains(r.ofType(containerType), "helloworld-test-proxy-revision") {
		t.Error("the revision was made")
	}
}

func TestARefusalComesBeforeAnythingIsDeclared(t *testing.T) {
	r := &recorder{}
	err := run(r, settings(t), calmHost{refusal: errors.New("taken")})
	if err == nil || !strings.Contains(err.Error(), "nothing has changed:\ntaken") {
		t.Errorf("error is %v", err)
	}
	if len(r.resources) > 1 { // the stack itself
		t.Errorf("declared: %v", r.resources)
	}
}
