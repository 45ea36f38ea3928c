package logging

import (
	"os"
	"strings"
	"testing"

	"helloworld/infra/golden"

	"go.yaml.in/yaml/v3"
)

func TestTheCollectorsConfigurationIsGolden(t *testing.T) {
	got, err := renderCollector("helloworld/dev", "0123456789ab")
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "collector.yml", got)
	var parsed struct {
		Receivers map[string]struct{ Operators []map[string]any }
	}
	if err := yaml.Unmarshal([]byte(got), &parsed); err != nil {
		t.Fatal(err)
	}
	// As a line has it, within the quotes of the expression.
	const filter = `not (body contains '"helloworld.id":"0123456789ab"')`
	if first := parsed.Receivers["file_log"].Operators[0]; first["type"] != "filter" || first["expr"] != filter {
		t.Errorf("the first operator is %v: it must drop what is not this stack's", first)
	}
}

func TestEveryAlertIsComplete(t *testing.T) {
	var parsed struct {
		Groups []struct {
			Type  string
			Rules []struct {
				Alert, Expr         string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(rules), &parsed); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadFile("../monitoring/RUNBOOK.md")
	if err != nil {
		t.Fatal(err)
	}
	alerts := 0
	for _, group := range parsed.Groups {
		if group.Type != "vlogs" {
			t.Errorf("a group of type %q is not asked in LogsQL", group.Type)
		}
		for _, rule := range group.Rules {
			alerts++
			if !strings.HasPrefix(rule.Expr, "_time:") {
				t.Errorf("%s says nothing of its time: %s", rule.Alert, rule.Expr)
			}
			for _, part := range []string{rule.Labels["severity"], rule.Labels["layer"], rule.Annotations["summary"], rule.Annotations["description"]} {
				if part == "" {
					t.Errorf("%s lacks a severity, a layer, a summary or a description", rule.Alert)
				}
			}
			if got, want := rule.Annotations["runbook_url"], runbook+"#"+strings.ToLower(rule.Alert); got != want {
				t.Errorf("%s links to %q, want %q", rule.Alert, got, want)
			}
			if !strings.Contains(string(entries), "\n## "+rule.Alert+"\n") {
				t.Errorf("the runbook has no entry %s", rule.Alert)
			}
		}
	}
	if alerts < 2 {
		t.Errorf("only %d alerts", alerts)
	}
}
