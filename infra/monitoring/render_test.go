package monitoring

import (
	"os"
	"strings"
	"testing"

	"helloworld/infra/config"
	"helloworld/infra/golden"
	"helloworld/infra/workload"

	"go.yaml.in/yaml/v3"
)

var name = workload.Revisions{}.RevisionID

var prometheus = prometheusSettings{
	Stack: "helloworld/dev", ReplicasAlias: "replicas", AppPort: 8000,
	ProxyMetrics: "proxy:8082", Watcher: "replica-watcher:8083", Endpoint: "https://proxy:8443/helloworld", URL: "https://localhost/helloworld",
}

var everybody = config.Monitoring{
	AlertWebhook: `https://alerts.example/?a="b"`,
	AlertSlack:   "https://slack.example/hook",
	AlertEmail:   config.Email{To: "ann@example.com", From: "stack@example.com", Server: "mail.example.com:587", User: "ann", Password: `"secret"`},
}

func TestRenderedFilesAreGolden(t *testing.T) {
	isGolden(t, "prometheus.yml", must(renderPrometheus(prometheus, name)).files["prometheus.yml"])
	everything := prometheus
	everything.Grafana = true
	everything.Targets = []Target{{"collector", "collector:8888"}, {"victorialogs", "victorialogs:9428"}, {"vmalert", "vmalert:8880"}}
	isGolden(t, "everything.prometheus.yml", must(renderPrometheus(everything, name)).files["prometheus.yml"])
	isGolden(t, "nobody.alertmanager.yml", must(renderAlertmanager(config.Monitoring{}, name)).files["alertmanager.yml"])
	isGolden(t, "everybody.alertmanager.yml", must(renderAlertmanager(everybody, name)).files["alertmanager.yml"])
	isGolden(t, "blackbox.yml", must(renderBlackbox("www.example.com", "-----BEGIN CERTIFICATE-----\nAUTHORITY\n-----END CERTIFICATE-----\n")))
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// isGolden compares a file of YAML with its golden one.
func isGolden(t *testing.T, name, got string) {
	t.Helper()
	golden.Check(t, name, got)
	var parsed map[string]any
	if err := yaml.Unmarshal([]byte(got), &parsed); err != nil {
		t.Errorf("%s is no YAML: %v", name, err)
	}
}

func TestSecretsSurviveYAML(t *testing.T) {
	var parsed struct {
		Global    map[string]any
		Receivers []struct {
			Name     string
			Webhooks []struct{ URL string } `yaml:"webhook_configs"`
		}
	}
	text := must(renderAlertmanager(everybody, name)).files["alertmanager.yml"]
	if err := yaml.Unmarshal([]byte(text), &parsed); err != nil {
		t.Fatal(err)
	}
	if got := parsed.Global["smtp_auth_password"]; got != everybody.AlertEmail.Password {
		t.Errorf("the password is %q", got)
	}
	if got := parsed.Receivers[1].Webhooks[0].URL; got != everybody.AlertWebhook {
		t.Errorf("the webhook is %q", got)
	}
}

func TestTheRevisionFollowsEverythingItDependsOn(t *testing.T) {
	seen := map[string]string{}
	for what, change := range map[string]func(*prometheusSettings){
		"nothing":  func(*prometheusSettings) {},
		"stack":    func(s *prometheusSettings) { s.Stack = "helloworld/prod" },
		"port":     func(s *prometheusSettings) { s.AppPort = 9000 },
		"endpoint": func(s *prometheusSettings) { s.URL = "https://www.example.com/" },
		"grafana":  func(s *prometheusSettings) { s.Grafana = true },
		"logging":  func(s *prometheusSettings) { s.Targets = []Target{{"collector", "collector:8888"}} },
		"runbook":  func(s *prometheusSettings) { s.runbook = "https://www.example.com/runbook" },
	} {
		s := prometheus
		change(&s)
		first, second := must(renderPrometheus(s, name)), must(renderPrometheus(s, name))
		if first.id != second.id {
			t.Errorf("%s: two renderings differ", what)
		}
		if other, ok := seen[first.id]; ok {
			t.Errorf("%s and %s give the same revision", what, other)
		}
		seen[first.id] = what
	}
}

// alerts are the alerting rules as they lie in the project.
func alerts(t *testing.T, text string) map[string]map[string]map[string]string {
	t.Helper()
	var parsed struct {
		Groups []struct {
			Rules []struct {
				Alert               string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(text), &parsed); err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string]map[string]string{}
	for _, group := range parsed.Groups {
		for _, rule := range group.Rules {
			if rule.Alert != "" {
				found[rule.Alert] = map[string]map[string]string{"labels": rule.Labels, "annotations": rule.Annotations}
			}
		}
	}
	return found
}

func TestEveryAlertIsComplete(t *testing.T) {
	text := must(os.ReadFile("RUNBOOK.md"))
	found := alerts(t, rules)
	if len(found) < 15 {
		t.Errorf("only %d alerts", len(found))
	}
	for alert, parts := range found {
		for _, label := range []string{"severity", "layer"} {
			if parts["labels"][label] == "" {
				t.Errorf("%s has no %s", alert, label)
			}
		}
		for _, annotation := range []string{"summary", "description"} {
			if parts["annotations"][annotation] == "" {
				t.Errorf("%s has no %s", alert, annotation)
			}
		}
		if got, want := parts["annotations"]["runbook_url"], runbook+"#"+strings.ToLower(alert); got != want {
			t.Errorf("%s links to %q, want %q", alert, got, want)
		}
		if !strings.Contains(string(text), "\n## "+alert+"\n") {
			t.Errorf("the runbook has no entry %s", alert)
		}
	}
}

func TestTheRunbookCanLieElsewhere(t *testing.T) {
	s := prometheus
	s.runbook = "https://www.example.com/RUNBOOK.md"
	found := alerts(t, must(renderPrometheus(s, name)).files["rules.yml"])
	if got := found["ServiceDown"]["annotations"]["runbook_url"]; got != "https://www.example.com/RUNBOOK.md#servicedown" {
		t.Errorf("it links to %q", got)
	}
}

// TestEveryAlertIsTested: rules_test.yml, which promtool runs, has a case in which
// each alert fires and one in which it does not.
func TestEveryAlertIsTested(t *testing.T) {
	var parsed struct {
		Tests []struct {
			Cases []struct {
				Alert  string `yaml:"alertname"`
				Alerts []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal(must(os.ReadFile("rules_test.yml")), &parsed); err != nil {
		t.Fatal(err)
	}
	fires, silent := map[string]bool{}, map[string]bool{"Watchdog": true} // it always fires
	for _, test := range parsed.Tests {
		for _, c := range test.Cases {
			if len(c.Alerts) > 0 {
				fires[c.Alert] = true
			} else {
				silent[c.Alert] = true
			}
		}
	}
	for alert := range alerts(t, rules) {
		if !fires[alert] || !silent[alert] {
			t.Errorf("%s: a case in which it fires: %v, in which it does not: %v", alert, fires[alert], silent[alert])
		}
	}
}
