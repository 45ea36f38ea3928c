package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// TestMonitoring looks at the stack as its monitoring does, and breaks what is
// watched.
func TestMonitoring(t *testing.T) {
	t.Parallel() // it waits most of the time
	p := newProject(t, "monitoring")
	p.start(t)
	upBy := time.Now().Add(time.Minute)
	outage := &outage{}
	t.Cleanup(func() { outage.receiver.stop(t) })
	for _, step := range []struct {
		name string
		run  func(*testing.T, *project)
	}{
		{"EveryTargetIsUpWithinAMinute", func(t *testing.T, p *project) { targetsUp(t, p, upBy) }},
		{"NothingListensOnAPublicAddress", listensLocally},
		{"TheTargetsFollowAScale", targetsFollow},
		{"EveryQueryReturnsData", queriesReturnData},
		{"AReceiverIsSecretAndTakenWithoutARestart", secretReceiver},
		// Alerts take their time: meanwhile something else is looked at.
		{"AReplicaIsStoppedForGood", outage.begin},
		{"APanicIsLogged", logPanic},
		{"EveryQueryOfLogsReturnsData", logQueriesReturnData},
		{"CAdvisorIsUnprivilegedAndSeesNothingElse", cadvisorIsUnprivileged},
		{"CAdvisorWaitsForItsFilter", cadvisorWaits},
		{"ThePanicIsTold", panicIsTold},
		{"StatusShowsWhatIsWrong", statusShows},
		{"TheAlertIsKeptForItsReceiver", outage.isTold},
		{"AChangedRuleLosesNoSample", changedRule},
		{"ABadRuleIsRefused", badRule},
		{"ItsEndIsToldToo", outage.endIsTold},
		{"WhatFollowsFromSomethingWorseIsNotTold", inhibited},
		{"AKilledPrometheusKeepsItsData", killedPrometheus},
		{"AVersionIsFinishedWhateverMonitoringDoes", finishedVersion},
		{"SwitchingItOffAndOnLosesNoRequest", switchedOff},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(t, p) }) && step.name == "EveryTargetIsUpWithinAMinute" {
			return
		}
	}
}

// api reads the data of an answer of Prometheus' API.
func (p *project) api(path string, data any) error {
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/api/v1/%s", p.prometheusPort, path))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Data  json.RawMessage
		Error string
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Error != "" {
		return fmt.Errorf("%s: %s", path, answer.Error)
	}
	return json.Unmarshal(answer.Data, data)
}

// series is one series of a query's answer.
type series struct {
	Metric map[string]string
	Value  []any   // of an instant
	Values [][]any // of a range
}

// query returns nothing if Prometheus does not answer.
func (p *project) query(expression string) ([]series, error) {
	var data struct{ Result json.RawMessage }
	if err := p.api("query?query="+url.QueryEscape(expression), &data); err != nil {
		return nil, err
	}
	var found []series
	err := json.Unmarshal(data.Result, &found)
	return found, err
}

// target is what Prometheus scrapes.
type target struct {
	Labels            struct{ Job, Instance string }
	Health, LastError string
}

func (p *project) targets() ([]target, error) {
	var data struct{ ActiveTargets []target }
	err := p.api("targets?state=active", &data)
	return data.ActiveTargets, err
}

func targetsUp(t *testing.T, p *project, by time.Time) {
	jobs := []string{"alertmanager", "collector", "containers", "endpoint", "host", "nginx", "prometheus", "proxy", "replica-watcher", "service", "service", "victorialogs", "vmalert"}
	if reference(t, p.dir, "grafana") != "" {
		jobs = slices.Insert(jobs, 4, "grafana")
	}
	eventually(t, time.Until(by), "every target is up", func() bool {
		targets, err := p.targets()
		var up []string
		for _, t := range targets {
			if t.Health == "up" {
				up = append(up, t.Labels.Job)
			}
		}
		slices.Sort(up)
		return err == nil && slices.Equal(up, jobs)
	})
}

func listensLocally(t *testing.T, p *project) {
	for _, id := range p.resources(t)["containers"] {
		component := inspect(t, id)[0].Config.Labels["helloworld.component"]
		for _, line := range docker(t, "port", id) {
			if strings.Contains(line, ":") && component != "proxy" && !strings.HasPrefix(line, "127.0.0.1:") {
				t.Errorf("%s is published at %s", component, line)
			}
		}
	}
	for _, path := range []string{"/stub_status", "/metrics"} {
		if response, _ := p.get(t, "GET", path, nil); response.StatusCode != 404 {
			t.Errorf("%s: %s", path, response.Status)
		}
	}
}

// replicasUp waits until exactly count replicas are targets, and are up.
func (p *project) replicasUp(t *testing.T, count int) {
	t.Helper()
	eventually(t, 30*time.Second, fmt.Sprintf("%d replicas are up", count), func() bool {
		targets, err := p.targets()
		up := 0
		for _, t := range targets {
			if t.Labels.Job == "service" {
				if t.Health != "up" {
					return false
				}
				up++
			}
		}
		return err == nil && up == count
	})
}

// targetsFollow scales under load: the targets follow, and Prometheus is not
// touched.
func targetsFollow(t *testing.T, p *project) {
	load := p.startLoad(false)
	defer load.end(t)
	revision := p.containers(t, "prometheus-revision")
	for _, count := range []string{"5", "2"} {
		p.set(t, "replicas", count)
		p.up(t)
		p.replicasUp(t, int(count[0]-'0'))
	}
	if !slices.Equal(p.containers(t, "prometheus-revision"), revision) {
		t.Error("Prometheus' configuration changed")
	}
	p.firesNothing(t)
}

// firesNothing: no alert has fired, and none is about to. How the host fares, under
// the load of a test, is its own affair.
func (p *project) firesNothing(t *testing.T) {
	t.Helper()
	eventually(t, 45*time.Second, "no alert is pending", func() bool {
		pending, err := p.query(`ALERTS{alertstate="pending",layer!="host"}`)
		return err == nil && len(pending) == 0
	})
	fired, err := p.query(`count_over_time(ALERTS{alertstate="firing",layer!="host",alertname!="Watchdog"}[1h])`)
	if err != nil {
		t.Fatal(err)
	}
	for _, alert := range fired {
		t.Errorf("fired: %v", alert.Metric)
	}
	for _, alert := range []string{"AppPanicked", "ErrorsInLogs"} { // Alertmanager alone knows of them
		if p.firing(alert) {
			t.Errorf("fires: %s", alert)
		}
	}
}

// queries returns the expressions of all rules and dashboards by where they stand.
// An alert's condition, which no healthy stack meets, comes as the series in it.
func (p *project) queries(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	var rules struct {
		Groups []struct {
			Rules []struct{ Record, Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal([]byte(p.read(t, "infra/monitoring/rules.yml")), &rules); err != nil {
		t.Fatal(err)
	}
	selector := regexp.MustCompile(`[a-zA-Z_:]+\{[^}]*\}|[a-z]+:[a-z_:0-9]+|(prometheus|alertmanager)_[a-z_]+`)
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			if rule.Record != "" {
				found["rule "+rule.Record] = rule.Expr
				continue
			}
			for _, input := range selector.FindAllString(rule.Expr, -1) {
				found["alert "+rule.Alert+": "+input] = input
			}
		}
	}
	type query struct {
		Name, Expr, RefID, QueryType string
		Query                        any // a text where Prometheus is asked
	}
	variables := strings.NewReplacer("$__rate_interval", "1m", "$__interval", "15s", "$__range", "1h", "$replica", ".*", "$component", ".*")
	labelValues := regexp.MustCompile(`^label_values\((.*), *\w+\)$`)
	for _, file := range must(fs.Glob(os.DirFS(p.dir), "infra/monitoring/dashboards/*.json")) {
		var dashboard struct {
			Panels []struct {
				Title   string
				Targets []query
			}
			Annotations, Templating struct{ List []query }
		}
		if err := json.Unmarshal([]byte(p.read(t, file)), &dashboard); err != nil {
			t.Fatal(err)
		}
		where := filepath.Base(file)
		for _, panel := range dashboard.Panels {
			for _, target := range panel.Targets {
				if target.QueryType == "" { // else it is LogsQL
					found[where+" "+panel.Title+" "+target.RefID] = variables.Replace(target.Expr)
				}
			}
		}
		for _, annotation := range dashboard.Annotations.List {
			if annotation.Expr != "" {
				found[where+" annotation "+annotation.Name] = variables.Replace(annotation.Expr)
			}
		}
		for _, variable := range dashboard.Templating.List {
			if text, ok := variable.Query.(string); ok && strings.HasPrefix(text, "label_values") {
				found[where+" variable "+variable.Name] = labelValues.ReplaceAllString(text, "$1")
			}
		}
	}
	return found
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// What is no metric's name in an expression: texts, labels, and functions.
var notMetrics = regexp.MustCompile(`"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(by|on|without|ignoring|group_left|group_right) *\([^)]*\)|[a-z_]+ *\(`)

// metrics returns the metrics that an expression names: all have a _ or a : in them.
func metrics(expression string) []string {
	return regexp.MustCompile(`[a-zA-Z0-9]+[_:][a-zA-Z0-9_:]*`).FindAllString(notMetrics.ReplaceAllString(expression, " "), -1)
}

// queriesReturnData sends a little traffic, and asks the live Prometheus all that
// rules and dashboards ask. What only a change or a fault makes may be empty, but not
// of a metric that does not exist, as any part of a query may not.
func queriesReturnData(t *testing.T, p *project) {
	for range 100 {
		p.get(t, "GET", "/helloworld", nil)
		p.get(t, "GET", "/nothing", nil)
	}
	queries := p.queries(t)
	if len(queries) < 150 {
		t.Errorf("only %d queries", len(queries))
	}
	check := func(where, expression string, names []string) error {
		found, err := p.query(expression)
		rare := strings.HasPrefix(expression, "ALERTS") || strings.Contains(where, " annotation ")
		if err != nil || len(found) == 0 && !rare {
			return fmt.Errorf("%d series, %v: %s", len(found), err, expression)
		}
		for _, metric := range metrics(expression) {
			if !slices.Contains(names, metric) {
				return fmt.Errorf("there is no metric %s: %s", metric, expression)
			}
		}
		return nil
	}
	missing := map[string]error{}
	for limit := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Second) {
		clear(missing)
		var names []string
		if err := p.api("label/__name__/values", &names); err != nil {
			t.Fatal(err)
		}
		for where, expression := range queries {
			if err := check(where, expression, names); err != nil {
				missing[where] = err
			}
		}
		if len(missing) == 0 || time.Now().After(limit) {
			break
		}
	}
	for where, err := range missing {
		t.Errorf("%s: %v", where, err)
	}
	t.Logf("%d queries", len(queries))
}

// logPanic writes what a service writes when it panics.
func logPanic(t *testing.T, p *project) {
	p.writeLines(t, "echo 'panic: runtime error: index out of range'", "helloworld.component=replica", "helloworld.id="+p.id(t))
	eventually(t, 10*time.Second, "the line is there", func() bool {
		lines, err := p.lines(t, `{service="replica"} level:=fatal`)
		return err == nil && len(lines) == 1
	})
}

func panicIsTold(t *testing.T, p *project) {
	eventually(t, time.Minute, "Alertmanager knows of it", func() bool { return p.firing("AppPanicked") })
}

// logQuery is a query in LogsQL, and the endpoint at which it is asked.
type logQuery struct{ endpoint, query string }

// logQueries returns the queries of rules and dashboards by where they stand. Of the
// rules' conditions, which a healthy stack does not meet, the last filter is left out.
func (p *project) logQueries(t *testing.T) map[string]logQuery {
	t.Helper()
	found := map[string]logQuery{}
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal([]byte(p.read(t, "infra/logging/rules.yml")), &rules); err != nil {
		t.Fatal(err)
	}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			condition, _, _ := strings.Cut(rule.Expr, "| filter")
			found["alert "+rule.Alert] = logQuery{"stats_query", condition}
		}
	}
	endpoints := map[string]string{"instant": "query", "stats": "stats_query", "statsRange": "stats_query_range"}
	variables := strings.NewReplacer("($service)", "(*)", "($level)", "(*)", "($container)", "(*)", "$search", "", "$slow", "0", "$request_id", "panel-1")
	for _, file := range must(fs.Glob(os.DirFS(p.dir), "infra/monitoring/dashboards/*.json")) {
		var dashboard struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr, QueryType string }
			}
			Templating struct {
				List []struct {
					Name  string
					Query any
				}
			}
		}
		if err := json.Unmarshal([]byte(p.read(t, file)), &dashboard); err != nil {
			t.Fatal(err)
		}
		for _, panel := range dashboard.Panels {
			for i, target := range panel.Targets {
				if target.QueryType != "" {
					found[fmt.Sprintf("%s %s %d", filepath.Base(file), panel.Title, i)] = logQuery{endpoints[target.QueryType], variables.Replace(target.Expr)}
				}
			}
		}
		for _, variable := range dashboard.Templating.List {
			if query, ok := variable.Query.(map[string]any); ok {
				found[filepath.Base(file)+" variable "+variable.Name] = logQuery{"field_values?field=" + query["field"].(string), variables.Replace(query["query"].(string))}
			}
		}
	}
	return found
}

// logQueriesReturnData asks the live VictoriaLogs all that rules and dashboards ask.
func logQueriesReturnData(t *testing.T, p *project) {
	p.get(t, "GET", "/helloworld", func(r *http.Request) { r.Header.Set("X-Request-Id", "panel-1") })
	queries := p.logQueries(t)
	if len(queries) < 16 {
		t.Errorf("only %d queries", len(queries))
	}
	for where, q := range queries {
		eventually(t, 15*time.Second, fmt.Sprintf("%s returns data: %+v", where, q), func() bool {
			now := time.Now()
			out, err := p.askLogs(t, q.endpoint, url.Values{
				"query": {q.query}, "start": {now.Add(-time.Hour).Format(time.RFC3339)}, "end": {now.Format(time.RFC3339)}, "step": {"15s"},
			})
			return err == nil && logsFound(q.endpoint, out)
		})
	}
	t.Logf("%d queries", len(queries))
}

// logsFound tells whether an answer of VictoriaLogs has data: lines, or numbers that
// are not all 0.
func logsFound(endpoint, answer string) bool {
	var found struct {
		Data struct {
			Result []struct {
				Value  []any
				Values [][]any
			}
		}
		Values []any
	}
	if endpoint == "query" {
		return strings.HasPrefix(answer, "{")
	}
	if json.Unmarshal([]byte(answer), &found) != nil {
		return false
	}
	for _, result := range found.Data.Result {
		for _, value := range append(result.Values, result.Value) {
			if len(value) == 2 && value[1] != "0" {
				return true
			}
		}
	}
	return len(found.Values) > 0
}

// cadvisorIsUnprivileged: no capability, no engine's socket, and of the containers
// on the host those of this stack alone.
func cadvisorIsUnprivileged(t *testing.T, p *project) {
	foreign := docker(t, "run", "--detach", "--rm", "--name", "e2e-unwatched", "--network", "none", reference(t, p.dir, "nginx"), "sleep", "300")[0]
	defer docker(t, "rm", "--force", foreign)
	c := inspect(t, p.containers(t, "cadvisor")[0])[0].HostConfig
	if c.Privileged || len(c.CapAdd) > 0 || !slices.Equal(c.CapDrop, []string{"ALL"}) || !c.ReadonlyRootfs {
		t.Errorf("cAdvisor runs with %+v", c)
	}
	ask := func(method, path string) string {
		out, err := exec.Command("docker", "exec", p.containers(t, "engine-filter")[0],
			"curl", "--path-as-is", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--request", method, "--unix-socket", "/engine/docker.sock", "http://docker"+path).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	for request, want := range map[string]string{
		"GET /v1.41/containers/json":                 "403",
		"GET /v1.41/containers/" + foreign + "/json": "200",
		"GET /version":                                                "200",
		"POST /v1.41/containers/create":                               "403",
		"DELETE /v1.41/containers/" + foreign:                         "403",
		"GET /v1.41/containers/" + foreign + "/archive?path=/":        "403",
		"GET /v1.41/containers/" + foreign + "/../../images/json":     "403",
		"GET /v1.41/secrets":                                          "403",
		"POST /v1.41/containers/" + foreign + "/json":                 "403",
		"GET /v1.41/containers/" + foreign + "/json%2f..%2f../export": "403",
	} {
		method, path, _ := strings.Cut(request, " ")
		if got := ask(method, path); got != want {
			t.Errorf("%s is answered %s, want %s", request, got, want)
		}
	}
	time.Sleep(20 * time.Second) // cAdvisor looks every 15 s, and is asked as often
	seen, err := p.query(`count by (container) ({job="containers"})`)
	if err != nil || len(seen) < 10 {
		t.Fatalf("%d containers, %v", len(seen), err)
	}
	for _, s := range seen {
		if container := s.Metric["container"]; container != "" && !strings.HasPrefix(container, "helloworld-"+p.stack+"-") {
			t.Errorf("it watches %v", s.Metric)
		}
	}
}

// cadvisorWaits starts cAdvisor before the filter, as a host that starts may do: it
// asks the engine for its containers once only.
func cadvisorWaits(t *testing.T, p *project) {
	cadvisor, filter := p.containers(t, "cadvisor")[0], p.containers(t, "engine-filter")[0]
	docker(t, "stop", cadvisor, filter)
	docker(t, "start", cadvisor)
	time.Sleep(2 * time.Second)
	docker(t, "start", filter)
	started := time.Now().Unix()
	eventually(t, 45*time.Second, "it sees the containers again", func() bool {
		seen, err := p.query(fmt.Sprintf(`timestamp(container_start_time_seconds{job="containers"}) > %d`, started))
		return err == nil && len(seen) > 8
	})
}

// receiverConf is a receiver of notifications that logs what it gets.
const receiverConf = `error_log stderr warn; pid /tmp/pid; events {}
http {
    log_format body escape=none '$request_body'; access_log off;
    client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; fastcgi_temp_path /tmp/c; uwsgi_temp_path /tmp/d; scgi_temp_path /tmp/e;
    client_body_buffer_size 1m;
    server { listen 8080; access_log /dev/stdout body; location / { proxy_pass http://127.0.0.1:8081; } }
    server { listen 127.0.0.1:8081; location / { return 200; } }
}`

// receiver takes notifications on monitoring's network.
type receiver struct{ container string }

func (p *project) startReceiver(t *testing.T) receiver {
	t.Helper()
	network := docker(t, "network", "ls", "--quiet", "--filter", "name=helloworld-"+p.stack+"-monitoring")[0]
	return receiver{startNginx(t, reference(t, p.dir, "nginx"), receiverConf, "--network", network, "--network-alias", "receiver")}
}

// startNginx runs a container of the image with the configuration and further options
// of docker run, and returns its id.
func startNginx(t *testing.T, image, conf string, options ...string) string {
	t.Helper()
	args := append([]string{"run", "--detach", "--env", "CONFIG=" + conf, "--entrypoint", "sh"}, options...)
	return docker(t, append(args, image, "-c", `printf '%s' "$CONFIG" >/tmp/nginx.conf; exec nginx -c /tmp/nginx.conf -g 'daemon off;'`)...)[0]
}

func (r *receiver) stop(t *testing.T) {
	if r.container != "" {
		docker(t, "rm", "--force", r.container)
		r.container = ""
	}
}

// got tells whether it was told that the alert is in the state: firing, resolved.
func (r receiver) got(t *testing.T, alert, state string) bool {
	t.Helper()
	out, err := exec.Command("docker", "logs", r.container).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		var notification struct {
			Alerts []struct {
				Status              string
				Labels, Annotations map[string]string
			}
		}
		if json.Unmarshal([]byte(line), &notification) != nil {
			continue
		}
		for _, a := range notification.Alerts {
			if a.Labels["alertname"] == alert && a.Status == state && a.Annotations["runbook_url"] != "" {
				return true
			}
		}
	}
	return false
}

// firing tells whether Alertmanager knows of the alert.
func (p *project) firing(alert string) bool {
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/api/v2/alerts?filter=alertname=%s", p.alertmanagerPort, alert))
	if err != nil {
		return false
	}
	defer response.Body.Close()
	var alerts []any
	return json.NewDecoder(response.Body).Decode(&alerts) == nil && len(alerts) > 0
}

// webhook is where the receiver listens, as a secret.
const webhook = "http://receiver:8080/secret-path"

// secretReceiver sets a receiver that is not there yet.
func secretReceiver(t *testing.T, p *project) {
	if out, err := p.pulumi("config", "set", "--path", "--secret", "monitoring.alertWebhook", webhook); err != nil {
		t.Fatalf("pulumi config set: %v\n%s", err, out)
	}
	before := inspect(t, p.containers(t, "alertmanager")[0])[0].State.StartedAt
	p.up(t)
	if after := inspect(t, p.containers(t, "alertmanager")[0])[0].State.StartedAt; after != before {
		t.Error("Alertmanager was restarted")
	}
	p.nowhere(t, webhook)
	p.up(t, "--expect-no-changes")
}

// outage is a replica that is missing, until its alert was told.
type outage struct {
	replica  string
	began    time.Time
	receiver receiver
	ended    time.Time
}

func (o *outage) begin(t *testing.T, p *project) {
	o.replica = p.containers(t, "replica")[0]
	docker(t, "stop", o.replica)
	o.began = time.Now()
}

// isTold starts the receiver only when Alertmanager has tried in vain to tell it.
func (o *outage) isTold(t *testing.T, p *project) {
	defer func() { docker(t, "start", o.replica); o.ended = time.Now() }()
	eventually(t, time.Until(o.began.Add(150*time.Second)), "the alert fires", func() bool { return p.firing("ReplicasMissing") })
	time.Sleep(12 * time.Second) // longer than Alertmanager waits for more of a group
	p.nowhere(t, webhook)        // not even in what Alertmanager says of that
	o.receiver = p.startReceiver(t)
	eventually(t, time.Until(o.began.Add(3*time.Minute)), "the alert is told", func() bool { return o.receiver.got(t, "ReplicasMissing", "firing") })
	t.Logf("told %s after the replica was stopped", time.Since(o.began).Round(time.Second))
}

func (o *outage) endIsTold(t *testing.T, p *project) {
	eventually(t, time.Until(o.ended.Add(4*time.Minute)), "its end is told", func() bool { return o.receiver.got(t, "ReplicasMissing", "resolved") })
	t.Logf("its end was told within %s", time.Since(o.ended).Round(time.Second))
	o.receiver.stop(t)
}

// inhibited tells the real Alertmanager of alerts by hand, and asks which of them
// it would keep to itself.
func inhibited(t *testing.T, p *project) {
	type alert struct {
		Labels map[string]string `json:"labels"`
		EndsAt time.Time         `json:"endsAt"`
		Status struct {
			InhibitedBy []string `json:"inhibitedBy"`
		} `json:"status"`
	}
	address := fmt.Sprintf("http://127.0.0.1:%d/api/v2/alerts", p.alertmanagerPort)
	tell := func(alerts ...map[string]string) {
		var list []alert
		for _, labels := range alerts {
			labels["test"] = "inhibited"
			list = append(list, alert{Labels: labels, EndsAt: time.Now().Add(time.Minute)})
		}
		text, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.Post(address, "application/json", bytes.NewReader(text))
		if err != nil || response.StatusCode != 200 {
			t.Fatalf("%v, %v", response, err)
		}
		response.Body.Close()
	}
	tell(
		map[string]string{"alertname": "HostDown", "layer": "host"},
		map[string]string{"alertname": "HostMemoryLow", "layer": "host"},
		map[string]string{"alertname": "ContainerRestarting", "layer": "container"},
		map[string]string{"alertname": "ProxyDown", "layer": "proxy"},
		map[string]string{"alertname": "EndpointDown", "layer": "service"},
		map[string]string{"alertname": "SlowRequests", "layer": "service"},
	)
	response, err := http.Get(address + "?filter=test=inhibited")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var alerts []alert
	if err := json.NewDecoder(response.Body).Decode(&alerts); err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, a := range alerts {
		if len(a.Status.InhibitedBy) == 0 {
			told = append(told, a.Labels["alertname"])
		}
	}
	slices.Sort(told)
	if want := []string{"HostDown", "ProxyDown", "SlowRequests"}; len(alerts) != 6 || !slices.Equal(told, want) {
		t.Errorf("%d alerts, told are %q, want %q", len(alerts), told, want)
	}
}

// nowhere checks that a secret is in no state and shown by no inspection.
func (p *project) nowhere(t *testing.T, secret string) {
	t.Helper()
	exported, err := p.pulumi("stack", "export")
	if err != nil || strings.Contains(exported, secret) {
		t.Errorf("the state shows %s, %v", secret, err)
	}
	for _, id := range p.resources(t)["containers"] {
		for _, command := range []string{"inspect", "logs"} {
			out, err := exec.Command("docker", command, id).CombinedOutput()
			if err != nil || strings.Contains(string(out), secret) {
				t.Errorf("docker %s %s shows %s, %v", command, id, secret, err)
			}
		}
	}
}

// changedRule changes a rule: it is there at once, the series go on without a gap,
// and Prometheus is not restarted.
func changedRule(t *testing.T, p *project) {
	before := inspect(t, p.containers(t, "prometheus")[0])[0].State.StartedAt
	p.edit(t, "infra/monitoring/rules.yml", "summary: Alerting works", "summary: Alerting works well")
	changed := time.Now()
	p.up(t)
	var data struct {
		Alerts []struct{ Annotations map[string]string }
	}
	eventually(t, 20*time.Second, "the rule is there", func() bool {
		err := p.api("alerts", &data)
		return err == nil && slices.ContainsFunc(data.Alerts, func(a struct{ Annotations map[string]string }) bool {
			return a.Annotations["summary"] == "Alerting works well"
		})
	})
	time.Sleep(time.Until(changed.Add(35 * time.Second))) // two scrapes more
	found, err := p.query(`up{job!="service"}[90s]`)
	if err != nil || len(found) < 7 {
		t.Fatalf("%d series, %v", len(found), err)
	}
	for _, s := range found {
		for i := 1; i < len(s.Values); i++ {
			if gap := s.Values[i][0].(float64) - s.Values[i-1][0].(float64); gap > 22 {
				t.Errorf("%s: no sample for %.1f s", s.Metric["job"], gap)
			}
		}
	}
	if after := inspect(t, p.containers(t, "prometheus")[0])[0].State.StartedAt; after != before {
		t.Error("Prometheus was restarted")
	}
	p.up(t, "--expect-no-changes")
}

// badRule: promtool refuses it, and Prometheus runs on with what it had.
func badRule(t *testing.T, p *project) {
	restore := p.edit(t, "infra/monitoring/rules.yml", "expr: vector(1)", "expr: vector(")
	p.failingUp(t, "the prometheus revision failed", "prometheus refuses it", "parse error")
	restore()
	p.up(t)
	if found, err := p.query(`ALERTS{alertname="Watchdog",alertstate="firing"}`); err != nil || len(found) != 1 {
		t.Errorf("%d watchdogs, %v", len(found), err)
	}
	p.up(t, "--expect-no-changes")
}

// finishedVersion brings new versions while a part of monitoring cannot be: each serves,
// and none of the one before is left.
func finishedVersion(t *testing.T, p *project) {
	load := p.startLoad(false)
	defer load.end(t)
	count := len(p.containers(t, "replica"))
	for i, bad := range []struct {
		mend func()
		says string
	}{
		{p.edit(t, "infra/monitoring/rules.yml", "expr: vector(1)", "expr: vector("), "the prometheus revision failed"},
		{func() { p.unset(t, "images") }, "blackbox-exporter"},
	} {
		if i == 1 {
			p.set(t, "images.blackboxExporter", "helloworld.invalid/nowhere:1")
		}
		for version := range 2 {
			text := fmt.Sprintf("Hello, world %d %d!", i, version)
			restore := p.edit(t, "app/handler.go", "Hello, world!", text)
			out, err := p.run("make", "up")
			restore()
			if err == nil || !strings.Contains(out, bad.says) {
				t.Errorf("make up: %v\n%s", err, out)
			}
			p.answers(t, text)
			if got := len(p.containers(t, "replica")); got != count {
				t.Errorf("%d replicas after %s, want %d", got, text, count)
			}
		}
		bad.mend()
	}
	p.makeUp(t)
	p.answers(t, "Hello, world!")
	p.up(t, "--expect-no-changes")
}

func killedPrometheus(t *testing.T, p *project) {
	began := time.Now().Add(-30 * time.Second).Unix()
	old := fmt.Sprintf(`up{job="proxy"} @ %d`, began)
	if found, err := p.query(old); err != nil || len(found) != 1 {
		t.Fatalf("%d series, %v", len(found), err)
	}
	prometheus := inspect(t, p.containers(t, "prometheus")[0])[0]
	if err := syscall.Kill(prometheus.State.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "Prometheus has its data again", func() bool {
		found, err := p.query(old)
		restarted := inspect(t, prometheus.ID)[0].RestartCount > prometheus.RestartCount
		return restarted && err == nil && len(found) == 1
	})
	eventually(t, time.Minute, "the restart is seen", func() bool {
		found, err := p.query(`changes(container_start_time_seconds{component="prometheus"}[5m]) == 1`)
		return err == nil && len(found) == 1
	})
}

func statusShows(t *testing.T, p *project) {
	docker(t, "stop", p.containers(t, "nginx-exporter")[0])
	defer docker(t, "start", p.containers(t, "nginx-exporter")[0])
	eventually(t, 40*time.Second, "make status shows the target that is down", func() bool {
		out, err := p.run("make", "status")
		if err != nil {
			t.Fatalf("make status: %v\n%s", err, out)
		}
		return regexp.MustCompile(`(?m)^nginx +nginx-exporter:9113 +down +\S`).MatchString(out) &&
			regexp.MustCompile(`(?m)^service +\S+:8000 +up`).MatchString(out) &&
			regexp.MustCompile(`(?m)^ReplicasMissing +(pending|firing) +warning +Fewer replicas`).MatchString(out) &&
			regexp.MustCompile(`(?m)^AppPanicked +firing +critical +The service panicked`).MatchString(out) &&
			strings.Contains(out, fmt.Sprintf("http://127.0.0.1:%d", p.alertmanagerPort))
	})
}

// data lists the volumes with data.
func (p *project) data(t *testing.T) []string {
	t.Helper()
	return docker(t, "volume", "ls", "--quiet", "--filter", "label=helloworld.stack=helloworld/"+p.stack, "--filter", "label=helloworld.data")
}

// switchedOff removes all of monitoring and brings it back, under load: the
// service is not touched.
func switchedOff(t *testing.T, p *project) {
	load := p.startLoad(false)
	defer load.end(t)
	service := slices.Concat(p.containers(t, "replica"), p.containers(t, "replica-watcher"), p.containers(t, "replica-filter"), p.containers(t, "proxy"))
	volumes, data := len(p.resources(t)["volumes"]), p.data(t)
	p.set(t, "monitoring.enabled", "false")
	p.up(t)
	left := p.resources(t) // logging, but for its rules, stays
	if len(left["containers"]) != len(service)+2+3 || len(left["networks"]) != 2 || !slices.Equal(p.data(t), data) {
		t.Errorf("left: %v", left)
	}
	p.intact(t, service)
	p.up(t, "--expect-no-changes")
	p.set(t, "monitoring.enabled", "true")
	p.up(t)
	if got := len(p.resources(t)["volumes"]); got != volumes || !slices.Equal(p.data(t), data) {
		t.Errorf("%d volumes, want %d, those with data %q, want %q", got, volumes, p.data(t), data)
	}
	p.intact(t, service)
	targetsUp(t, p, time.Now().Add(time.Minute))
}
