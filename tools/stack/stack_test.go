package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTheStateIsReadByType(t *testing.T) {
	known, err := parseState(dev, []byte(`{"version":3,"deployment":{"resources":[
		{"urn":"s","type":"pulumi:pulumi:Stack","outputs":{"url":"https://localhost","replicas":["a"]}},
		{"urn":"a","type":"docker:index/container:Container","id":"one"},
		{"urn":"b","type":"docker:index/container:Container","id":"two","delete":true},
		{"urn":"c","type":"docker:index/network:Network","id":"net"}]}}`))
	if err != nil || !slices.Equal(known.ids[containerType], []string{"one", "two"}) || !slices.Equal(known.ids[networkType], []string{"net"}) || known.output("url") != "https://localhost" {
		t.Errorf("%v, %v", known, err)
	}
	if known, err := parseState(dev, []byte(`{"version":3,"deployment":{}}`)); err != nil || len(known.ids) != 0 {
		t.Errorf("an empty state: %v, %v", known, err)
	}
	if _, err := parseState(dev, []byte("{")); err == nil {
		t.Error("a broken state is read")
	}
}

// locked makes a backend in which the lock stands, and a pulumi that notes how it
// is called.
func locked(t *testing.T, l lock) (calls func() string) {
	t.Helper()
	dir := t.TempDir()
	locks := filepath.Join(dir, ".pulumi/locks/organization/helloworld/dev")
	if err := os.MkdirAll(locks, 0o755); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"1.json": string(text), "1.json.attrs": "{}"} {
		if err := os.WriteFile(filepath.Join(locks, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	log := filepath.Join(dir, "calls")
	script := "#!/bin/sh\necho \"$@\" >>" + log + "\n"
	if err := os.WriteFile(filepath.Join(dir, "pulumi"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("PULUMI_BACKEND_URL", "file://"+dir+"?metadata=skip")
	return func() string {
		text, _ := os.ReadFile(log) // it was not called if there is none
		return string(text)
	}
}

var dev = stack{project: "helloworld", name: "dev"}

func hostname(t *testing.T) string {
	t.Helper()
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestTheLockOfADeadRunIsFreed(t *testing.T) {
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	for name, pid := range map[string]int{"dead": dead.Process.Pid, "another program by now": os.Getpid()} {
		calls := locked(t, lock{PID: pid, Hostname: hostname(t)})
		if err := unlock(context.Background(), dev); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := calls(); got != "cancel --yes --stack dev\n" {
			t.Errorf("%s: pulumi was called with %q", name, got)
		}
	}
}

func TestTheLockOfALivingRunIsRespected(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "pulumi")
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(binary, text, 0o755); err != nil {
		t.Fatal(err)
	}
	living := exec.Command(binary, "60")
	if err := living.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = living.Process.Kill(); _ = living.Wait() })
	calls := locked(t, lock{PID: living.Process.Pid, Username: "ann", Hostname: hostname(t), Timestamp: time.Now()})
	err = unlock(context.Background(), dev)
	if err == nil || !strings.Contains(err.Error(), "stack dev is locked: pulumi runs as process") || calls() != "" {
		t.Errorf("error is %v, pulumi was called with %q", err, calls())
	}
}

func TestTheLockOfAnotherHostIsRespected(t *testing.T) {
	calls := locked(t, lock{PID: 1, Hostname: "elsewhere"})
	err := unlock(context.Background(), dev)
	if err == nil || !strings.Contains(err.Error(), "on host elsewhere") || calls() != "" {
		t.Errorf("error is %v", err)
	}
}

func TestLocksOfOtherBackendsAreTheirOwnAffair(t *testing.T) {
	t.Setenv("PULUMI_BACKEND_URL", "https://state.example.com")
	if err := unlock(context.Background(), dev); err != nil {
		t.Error(err)
	}
}

func TestImagesThatTheConfigurationSettlesAreNotPulled(t *testing.T) {
	for text, want := range map[string]map[string]bool{
		"": {},
		"config:\n  helloworld:replicas: 2\n  helloworld:images: {}\n": {},
		"config:\n  helloworld:images: {nginx: mine}\n":                {"nginx": true},
		"config:\n  helloworld:app: {image: mine}\n":                   {"builder": true},
		"config:\n  helloworld:app: x\n":                               {},
		"config:\n  helloworld:monitoring: {enabled: true}\n":          {},
		"config:\n  helloworld:monitoring: {enabled: false}\n": {
			"prometheus": true, "alertmanager": true, "nodeExporter": true, "blackboxExporter": true, "nginxExporter": true, "cadvisor": true, "grafana": true, "vmalert": true,
		},
		"config:\n  helloworld:logging: {enabled: false}\n": {"collector": true, "victoriaLogs": true, "vmalert": true},
	} {
		if got, err := namedImages("helloworld", []byte(text)); err != nil || !maps.Equal(got, want) {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
}

func TestUnknownCommandsAreRefused(t *testing.T) {
	for _, args := range [][]string{nil, {"nonsense"}, {"status", "now"}} {
		if err := run(context.Background(), args); err == nil || !strings.Contains(err.Error(), "allowed are") {
			t.Errorf("%q: error is %v", args, err)
		}
	}
}

// monitoring answers as Prometheus with the targets and alerts, and as Alertmanager
// with what it was told.
func monitoring(t *testing.T, targets, alerts, told string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v2/alerts" {
			fmt.Fprint(w, told)
			return
		}
		answer := map[string]string{"/api/v1/targets": targets, "/api/v1/alerts": alerts}[r.URL.Path]
		fmt.Fprintf(w, `{"status":"success","data":%s}`, answer)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestStatusShowsTargetsAndAlerts(t *testing.T) {
	const watchdog = `{"labels":{"alertname":"Watchdog"},"state":"firing"}`
	const down = `{"labels":{"alertname":"ServiceDown","severity":"critical"},"annotations":{"summary":"No replica"},"state":"firing"}`
	for _, test := range []struct{ alerts, told, want string }{
		{watchdog, watchdog, "ALERT   STATE   SEVERITY   SUMMARY\nnone\n"},
		{"", "", "Watchdog is missing: no rule is evaluated (yet)\n"},
		{watchdog + "," + down, watchdog + "," + down, "SUMMARY\nServiceDown   firing   critical   No replica\n"},
		// vmalert told of it, not Prometheus.
		{watchdog, `{"labels":{"alertname":"AppPanicked","severity":"critical"},"annotations":{"summary":"It panicked"},"status":{"state":"active"}}`, "AppPanicked   firing   critical   It panicked\n"},
	} {
		var out strings.Builder
		url := monitoring(t, `{"activeTargets":[{"labels":{"job":"host","instance":"a:1"},"health":"down","lastError":"refused"}]}`, `{"alerts":[`+test.alerts+`]}`, "["+test.told+"]")
		if err := printMonitoring(context.Background(), &out, url, url); err != nil || !strings.HasSuffix(out.String(), test.want) {
			t.Errorf("%v, printed\n%swant\n%s", err, &out, test.want)
		}
		if !strings.Contains(out.String(), "host     a:1        down     refused\n") {
			t.Errorf("printed\n%s", &out)
		}
	}
	var out strings.Builder
	url := monitoring(t, `{}`, `{"alerts":[`+watchdog+`]}`, "[]")
	if err := printMonitoring(context.Background(), &out, url, ""); err != nil || !strings.Contains(out.String(), "Alertmanager does not answer, nobody is told: it does not run") {
		t.Errorf("%v, printed\n%s", err, &out)
	}
}

func TestStatusSaysWhenPrometheusDoesNotAnswer(t *testing.T) {
	var out strings.Builder
	if err := printMonitoring(context.Background(), &out, "http://127.0.0.1:1", ""); err != nil || !strings.Contains(out.String(), "Prometheus does not answer: ") {
		t.Errorf("%v, printed\n%s", err, &out)
	}
}
