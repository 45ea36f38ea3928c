package e2e

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestLogging counts lines: each that was written is in VictoriaLogs once, whatever
// happens meanwhile.
func TestLogging(t *testing.T) {
	t.Parallel()
	p := newProject(t, "logging")
	p.start(t, "monitoring.enabled", "false") // whose test asks for the logs too
	for _, step := range []struct {
		name string
		run  func(*testing.T, *project)
	}{
		{"ARequestIsFoundByItsIDInBothLogs", foundByID},
		{"EveryRequestIsOneLineInEachLog", exactLines},
		{"AKilledCollectorLosesNoLine", killedCollector},
		{"OddLinesAreKeptAsText", oddLines},
		{"LinesOfOthersAreNotCollected", foreignLines},
		{"MakeLogsShowsThem", makeLogs},
		{"ABadConfigurationIsRefused", badCollector},
		{"SwitchingItOffAndOnLosesNoRequest", loggingSwitchedOff},
	} {
		t.Run(step.name, func(t *testing.T) { step.run(t, p) })
	}
}

// storeAddress is where VictoriaLogs answers: at its container's own address.
func (p *project) storeAddress(tb testing.TB) string {
	tb.Helper()
	addresses := docker(tb, "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}", p.containers(tb, "victorialogs")[0])
	if len(addresses) == 0 {
		return "127.0.0.1:9" // it does not run: nobody listens there
	}
	return addresses[0] + ":9428"
}

// askLogs asks VictoriaLogs at /select/logsql/endpoint.
func (p *project) askLogs(tb testing.TB, endpoint string, form url.Values) (string, error) {
	tb.Helper()
	response, err := (&http.Client{Timeout: 30 * time.Second}).PostForm("http://"+p.storeAddress(tb)+"/select/logsql/"+endpoint, form)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	out, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, out)
	}
	return string(out), err
}

// lines returns what LogsQL finds, a map of fields for each row.
func (p *project) lines(tb testing.TB, query string) ([]map[string]string, error) {
	tb.Helper()
	out, err := p.askLogs(tb, "query", url.Values{"query": {query}})
	if err != nil {
		return nil, err
	}
	var found []map[string]string
	for line := range strings.Lines(out) {
		var fields map[string]string
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			return nil, fmt.Errorf("%w: %s", err, line)
		}
		found = append(found, fields)
	}
	return found, nil
}

// count is how many lines of a service, and how many different requests in them,
// are there.
type count struct{ lines, requests int }

// counts returns the count of each service, of the requests whose id begins so.
func (p *project) counts(tb testing.TB, prefix string) map[string]count {
	tb.Helper()
	found, err := p.lines(tb, fmt.Sprintf("request_id:=%q* | stats by (service) count() lines, count_uniq(request_id) requests", prefix))
	if err != nil {
		return nil // it is being started
	}
	counts := map[string]count{}
	for _, row := range found {
		counts[row["service"]] = count{must(strconv.Atoi(row["lines"])), must(strconv.Atoi(row["requests"]))}
	}
	return counts
}

func foundByID(t *testing.T, p *project) {
	p.get(t, "GET", "/helloworld?x=1", func(r *http.Request) { r.Header.Set("X-Request-Id", "known-id-1") })
	var found []map[string]string
	eventually(t, 10*time.Second, "one query finds it in both logs", func() bool {
		lines, err := p.lines(t, `request_id:="known-id-1" | sort by (service)`)
		found = lines
		return err == nil && len(lines) == 2
	})
	for i, service := range []string{"proxy", "replica"} {
		line := found[i]
		seconds, err := strconv.ParseFloat(line["duration_s"], 64)
		if err != nil || seconds < 0 || seconds > 10 {
			t.Errorf("%s: it took %q s", service, line["duration_s"])
		}
		if line["service"] != service || line["route"] != "/helloworld" || line["status"] != "200" || line["level"] != "info" ||
			!strings.HasPrefix(line["container"], "helloworld-logging-"+service) || !strings.Contains(line["_msg"], `"request_id":"known-id-1"`) {
			t.Errorf("the line of the %s is %v", service, line)
		}
		if want := fmt.Sprintf(`{container=%q,level="info",service=%q,stack="helloworld/logging"}`, line["container"], service); line["_stream"] != want {
			t.Errorf("its labels are %s, want %s", line["_stream"], want)
		}
	}
}

// sendExactly sends count requests, each with an id of its own, so many a second or
// as fast as they are answered (0), and returns when all are.
func (p *project) sendExactly(tb testing.TB, prefix string, count, perSecond int) {
	tb.Helper()
	const clients = 16
	transport := &http.Transport{TLSClientConfig: insecure(), TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}, MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	var senders sync.WaitGroup
	began := time.Now()
	for first := range clients {
		senders.Go(func() {
			for i := first; i < count; i += clients {
				if perSecond > 0 {
					time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(perSecond))))
				}
				request, err := http.NewRequest("GET", fmt.Sprintf("https://127.0.0.1:%d/helloworld", p.httpsPort), nil)
				if err != nil {
					tb.Error(err)
					return
				}
				request.Header.Set("X-Request-Id", fmt.Sprintf("%s-%d", prefix, i))
				response, err := client.Do(request)
				if err == nil {
					err = expect(response, 200)
				}
				if err != nil {
					tb.Errorf("request %d: %v", i, err)
					return
				}
			}
		})
	}
	senders.Wait()
}

// exactLines sends requests to one replica, enough for its log and the proxy's to
// rotate. Meanwhile the collector is restarted twice, VictoriaLogs is away for half a
// minute, and two more replicas come and go with their files.
func exactLines(t *testing.T, p *project) {
	p.set(t, "replicas", "1")
	p.up(t)
	const requests = 36_000
	collector, store := p.containers(t, "collector")[0], p.containers(t, "victorialogs")[0]
	var sender sync.WaitGroup
	sender.Go(func() { p.sendExactly(t, "exact", requests, 800) })
	defer sender.Wait()
	time.Sleep(time.Second)
	docker(t, "restart", collector)
	time.Sleep(time.Second)
	docker(t, "stop", store)
	stopped := time.Now()
	for _, count := range []string{"3", "1"} {
		p.set(t, "replicas", count)
		p.up(t)
		time.Sleep(time.Second)
	}
	docker(t, "restart", collector)
	time.Sleep(time.Until(stopped.Add(30 * time.Second)))
	docker(t, "start", store)
	sender.Wait()
	for _, component := range []string{"proxy", "replica"} {
		if rotated := rotatedFiles(t, p.containers(t, component)[0]); rotated == 0 {
			t.Errorf("the log of the %s was not rotated", component)
		}
	}
	want := map[string]count{"proxy": {requests, requests}, "replica": {requests, requests}}
	var got map[string]count
	eventually(t, time.Minute, "every line is there", func() bool {
		got = p.counts(t, "exact-")
		return got["proxy"].requests == requests && got["replica"].requests == requests
	})
	time.Sleep(2 * time.Second)
	if got = p.counts(t, "exact-"); len(got) != 2 || got["proxy"] != want["proxy"] || got["replica"] != want["replica"] {
		t.Errorf("%+v, want %+v", got, want)
	}
	t.Logf("%d requests: %+v", requests, got)
}

// rotatedFiles counts the files that Docker has put aside of a container's log.
func rotatedFiles(t *testing.T, container string) int {
	t.Helper()
	path := docker(t, "inspect", "--format", "{{.LogPath}}", container)[0]
	rotated := 0
	for _, suffix := range []string{".1", ".2"} {
		if _, err := os.Stat(path + suffix); err == nil {
			rotated++
		}
	}
	return rotated
}

// killedCollector: what it was reading when it was killed it reads again. Nothing
// can be lost so; what it had sent of that, some hundred lines, may be there twice.
func killedCollector(t *testing.T, p *project) {
	const requests, reread = 4_000, 2_000
	var sender sync.WaitGroup
	sender.Go(func() { p.sendExactly(t, "killed", requests, 800) })
	defer sender.Wait()
	for range 3 {
		time.Sleep(time.Second)
		eventually(t, 10*time.Second, "the collector runs", func() bool {
			collector := inspect(t, p.containers(t, "collector")[0])[0].State
			return collector.Running && collector.Pid > 0 && syscall.Kill(collector.Pid, syscall.SIGKILL) == nil
		})
	}
	sender.Wait()
	var got map[string]count
	eventually(t, 30*time.Second, "every line is there", func() bool {
		got = p.counts(t, "killed-")
		return got["proxy"].requests == requests && got["replica"].requests == requests
	})
	for service, count := range got {
		if count.lines > requests+3*reread {
			t.Errorf("%s: %d lines of %d requests", service, count.lines, requests)
		}
	}
	if restarts := inspect(t, p.containers(t, "collector")[0])[0].RestartCount; restarts < 3 {
		t.Errorf("the collector was restarted %d times", restarts)
	}
	t.Logf("%d requests, 3 kills: %+v", requests, got)
}

// writer starts a container that writes what the shell script says, logged as the
// stack's are and with the labels, and returns its id. With the test its log goes, too.
func (p *project) writer(t *testing.T, script string, labels ...string) string {
	t.Helper()
	args := []string{"run", "--detach", "--network", "none", "--log-opt", "tag={{.Name}}", "--log-opt", "labels=helloworld.component,helloworld.id"}
	for _, label := range labels {
		args = append(args, "--label", label)
	}
	container := docker(t, append(args, "--entrypoint", "sh", reference(t, p.dir, "nginx"), "-c", script)...)[0]
	t.Cleanup(func() { docker(t, "rm", "--force", container) })
	return container
}

// writeLines returns when the writer has ended.
func (p *project) writeLines(t *testing.T, script string, labels ...string) {
	t.Helper()
	docker(t, "wait", p.writer(t, script, labels...))
}

// id tells the stack from others of its name: its containers' lines carry it.
func (p *project) id(t *testing.T) string {
	t.Helper()
	return inspect(t, p.containers(t, "proxy")[0])[0].Config.Labels["helloworld.id"]
}

// oddLines: the text of each is kept, also of two containers that begin alike.
func oddLines(t *testing.T, p *project) {
	for _, end := range []string{"one", "two"} {
		p.writeLines(t, fmt.Sprintf(`head -c 3000 /dev/zero | tr '\0' b; echo; echo 'alike, %s'`, end), "helloworld.component=alike", "helloworld.id="+p.id(t))
	}
	p.writeLines(t, `
		echo '{"level":"ERROR","broken'
		echo '{"level":7,"request_id":{"a":1},"status":"x","duration_ms":"long"}'
		printf 'invalid \377\376 bytes\n'
		echo
		echo 'panic: runtime error: index out of range'
		head -c 1000000 /dev/zero | tr '\0' a
		echo
		printf 'no end of line'`,
		"helloworld.component=odd", "helloworld.id="+p.id(t))
	var levels map[string]string
	eventually(t, 10*time.Second, "all of them are there, and a line of 1 MB", func() bool {
		lines, err := p.lines(t, `{service="odd"}`)
		levels = map[string]string{}
		long := 0
		for _, line := range lines {
			if strings.HasPrefix(line["_msg"], "aaa") {
				long += len(line["_msg"])
				continue
			}
			levels[line["_msg"]] = line["level"]
		}
		return err == nil && long == 1_000_000 && len(levels) >= 6
	})
	for text, level := range map[string]string{
		"":                         "info",
		`{"level":"ERROR","broken`: "info",
		`{"level":7,"request_id":{"a":1},"status":"x","duration_ms":"long"}`: "info",
		"invalid \ufffd\ufffd bytes":                                         "info",
		"panic: runtime error: index out of range":                           "fatal",
		"no end of line": "info",
	} {
		if levels[text] != level {
			t.Errorf("%q has the level %q, want %q: %q", text, levels[text], level, levels)
		}
	}
}

// foreignLines: neither a container without the stack's labels nor one of another
// stack is collected, even if it writes what those of this stack look like.
func foreignLines(t *testing.T, p *project) {
	forged := fmt.Sprintf(`echo 'foreign "helloworld.id":"%s"'`, p.id(t))
	p.writeLines(t, forged)
	p.writeLines(t, forged, "helloworld.component=replica", "helloworld.id="+strings.Repeat("0", 64))
	p.writeLines(t, "echo 'foreign no more'", "helloworld.component=seen", "helloworld.id="+p.id(t))
	eventually(t, 10*time.Second, "the stack's own line is there", func() bool {
		lines, err := p.lines(t, `{service="seen"}`)
		return err == nil && len(lines) == 1
	})
	time.Sleep(time.Second)
	if lines, err := p.lines(t, `"foreign" service:!=seen`); err != nil || len(lines) > 0 {
		t.Errorf("%v, %v", lines, err)
	}
}

func makeLogs(t *testing.T, p *project) {
	p.get(t, "GET", "/helloworld", func(r *http.Request) { r.Header.Set("X-Request-Id", `make-logs.1`) })
	shows := func(parts int, variables ...string) string {
		t.Helper()
		var out string
		eventually(t, 10*time.Second, fmt.Sprintf("make logs %v shows %d lines", variables, parts), func() bool {
			text, err := p.run("make", append([]string{"logs", "FOLLOW=no"}, variables...)...)
			out = text
			return err == nil && strings.Count(text, "make-logs.1") == parts
		})
		return out
	}
	shows(2, "SINCE=10m", "GREP=make-logs.1")
	if out := shows(1, "SINCE=10m", "GREP=make-logs.1", "SERVICE=proxy"); !strings.HasPrefix(out, "helloworld-logging-proxy-") || !strings.Contains(out, " | {") {
		t.Errorf("it is %s", out)
	}
	shows(0, "SINCE=10m", "GREP=make-logs.1.")
	if out, err := p.run("make", "logs", "SERVICE=nothing"); err == nil || !strings.Contains(out, "allowed") || !strings.Contains(out, "replica") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := p.run("make", "logs", "SINCE=soon"); err == nil || !strings.Contains(out, "SINCE") || !strings.Contains(out, "soon") {
		t.Errorf("%v\n%s", err, out)
	}
	docker(t, "stop", p.containers(t, "victorialogs")[0])
	shows(2, "SINCE=10m", "GREP=make-logs.1") // from Docker
	docker(t, "start", p.containers(t, "victorialogs")[0])
	followsLogs(t, p)
}

// followsLogs follows what a container counts. The first numbers are history, of which
// VictoriaLogs tells, and Docker of the others: none is missing or there twice.
func followsLogs(t *testing.T, p *project) {
	const count = 80
	p.writer(t, fmt.Sprintf("i=0; while [ $i -lt %d ]; do i=$((i+1)); echo \"number $i.\"; sleep 0.2; done; sleep 60", count),
		"helloworld.stack=helloworld/"+p.stack, "helloworld.component=writer", "helloworld.id="+p.id(t))
	time.Sleep(13 * time.Second)
	before := p.questions(t)
	follow := p.command("make", "logs", "SERVICE=writer", "SINCE=1h")
	var out bytes.Buffer
	follow.Stdout = &out
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(6 * time.Second)
	if err := syscall.Kill(-follow.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = follow.Wait() // how make ends is its own affair
	if p.questions(t) == before {
		t.Error("VictoriaLogs was not asked")
	}
	for i := 1; i <= count; i++ {
		if got := strings.Count(out.String(), fmt.Sprintf(" | number %d.\n", i)); got != 1 {
			t.Errorf("number %d is there %d times", i, got)
		}
	}
}

// questions is how many queries VictoriaLogs was asked.
func (p *project) questions(t *testing.T) string {
	t.Helper()
	response, err := http.Get("http://" + p.storeAddress(t) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text := must(io.ReadAll(response.Body))
	return string(regexp.MustCompile(`(?m)^vl_http_requests_total\{path="/select/logsql/query"[^}]*\} \d+$`).Find(text))
}

// badCollector: a configuration that the collector does not take leaves the one
// that runs.
func badCollector(t *testing.T, p *project) {
	before := p.containers(t, "collector")
	restore := p.edit(t, "infra/logging/collector.yml.tmpl", "type: json_parser", "type: yaml_parser")
	p.failingUp(t, "the collector check failed", "yaml_parser")
	p.intact(t, before)
	restore()
	p.up(t)
	if after := p.containers(t, "collector"); !slices.Equal(before, after) {
		t.Errorf("the collector was replaced: %v", after)
	}
	p.up(t, "--expect-no-changes")
}

// loggingSwitchedOff removes all of logging and brings it back, under load: the
// service is not touched, and docker logs has everything meanwhile.
func loggingSwitchedOff(t *testing.T, p *project) {
	load := p.startLoad(false)
	defer load.end(t)
	service := slices.Concat(p.containers(t, "replica"), p.containers(t, "replica-watcher"), p.containers(t, "replica-filter"), p.containers(t, "proxy"))
	volumes, data := len(p.resources(t)["volumes"]), p.data(t)
	p.set(t, "logging.enabled", "false")
	p.up(t)
	left := p.resources(t)
	if len(left["containers"]) != len(service)+2 || len(left["networks"]) != 1 || len(data) != 2 || !slices.Equal(p.data(t), data) {
		t.Errorf("left: %v", left)
	}
	p.intact(t, service)
	p.up(t, "--expect-no-changes")
	out, err := p.run("make", "logs", "FOLLOW=no", "SINCE=10m", "GREP=make-logs.1")
	if err != nil || strings.Count(out, "make-logs.1") != 2 {
		t.Errorf("make logs: %v\n%s", err, out)
	}
	p.set(t, "logging.enabled", "true")
	p.up(t)
	if got := len(p.resources(t)["volumes"]); got != volumes {
		t.Errorf("%d volumes, want %d", got, volumes)
	}
	p.intact(t, service)
	// It reads what was written before, too.
	eventually(t, 30*time.Second, "the request of before is there again", func() bool {
		return p.counts(t, "make-logs.1")["replica"].lines == 1
	})
}
