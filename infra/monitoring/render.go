package monitoring

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"helloworld/infra/config"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

//go:embed *.tmpl
var templateFiles embed.FS

// JSON's strings are YAML's.
var templates = template.Must(template.New("").Funcs(template.FuncMap{"json": quote}).ParseFS(templateFiles, "*.tmpl"))

func quote(text string) (string, error) {
	quoted, err := json.Marshal(text)
	return string(quoted), err
}

// rules are Prometheus' rules, as they lie in the project.
//
//go:embed rules.yml
var rules string

// runbook is where rules link to, as they lie in the project.
const runbook = "infra/monitoring/RUNBOOK.md"

// namer names a revision by what it consists of.
type namer func(parts ...string) string

// revision is a rendered configuration, named by the hash of its content.
type revision struct {
	id     string
	files  map[string]string // content by name
	secret bool              // whether the content must not be shown
}

// inputs are the files as a resource takes them.
func (r revision) inputs() map[string]pulumi.StringInput {
	inputs := map[string]pulumi.StringInput{}
	for name, content := range r.files {
		inputs[name] = pulumi.String(content)
		if r.secret {
			inputs[name] = pulumi.ToSecret(pulumi.String(content)).(pulumi.StringOutput)
		}
	}
	return inputs
}

// prometheusSettings is what Prometheus' configuration depends on.
type prometheusSettings struct {
	Stack         string // project/stack
	ReplicasAlias string
	AppPort       int
	ProxyMetrics  string // host:port
	Watcher       string // host:port
	Endpoint      string // URL that is probed
	URL           string // by which users know it
	Grafana       bool
	Targets       []Target // of logging
	runbook       string   // URL, or empty
}

// StackPattern matches the stack's name and nothing else.
func (s prometheusSettings) StackPattern() string { return regexp.QuoteMeta(s.Stack) }

// renderPrometheus returns the revision for the settings: the same settings give
// the same revision.
func renderPrometheus(s prometheusSettings, name namer) (revision, error) {
	rules := rules
	if s.runbook != "" {
		rules = strings.ReplaceAll(rules, runbook, s.runbook)
	}
	return named(name, func(id string) (map[string]string, error) {
		text, err := execute("prometheus.yml.tmpl", struct {
			prometheusSettings
			Revision string
		}{s, id})
		return map[string]string{"prometheus.yml": text, "rules.yml": rules}, err
	})
}

// renderAlertmanager returns the revision for the receivers that are configured.
func renderAlertmanager(m config.Monitoring, name namer) (revision, error) {
	r, err := named(name, func(id string) (map[string]string, error) {
		text, err := execute("alertmanager.yml.tmpl", map[string]any{
			"Revision": id,
			"Webhook":  m.AlertWebhook,
			"Slack":    m.AlertSlack,
			"Email":    m.AlertEmail,
		})
		return map[string]string{"alertmanager.yml": text}, err
	})
	r.secret = true
	return r, err
}

// named renders a revision twice: for its name, and with it.
func named(name namer, render func(id string) (map[string]string, error)) (revision, error) {
	draft, err := render("")
	if err != nil {
		return revision{}, err
	}
	var parts []string
	for _, file := range slices.Sorted(maps.Keys(draft)) {
		parts = append(parts, draft[file])
	}
	id := name(parts...)
	files, err := render(id)
	return revision{id: id, files: files}, err
}

// renderBlackbox returns the configuration of the blackbox exporter, which trusts
// the authority alone.
func renderBlackbox(domain, authority string) (string, error) {
	var good []int
	for code := 200; code < 500; code++ {
		good = append(good, code)
	}
	return execute("blackbox.yml.tmpl", map[string]any{"Domain": domain, "Authority": authority, "GoodCodes": good})
}

func execute(file string, data any) (string, error) {
	var text strings.Builder
	if err := templates.ExecuteTemplate(&text, file, data); err != nil {
		return "", fmt.Errorf("render %s: %w", strings.TrimSuffix(file, ".tmpl"), err)
	}
	return text.String(), nil
}
