package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"helloworld/infra/config"
	"helloworld/infra/workload"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// noon is when most of these tests take place.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func environment(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestWhatIsWantedIsRead(t *testing.T) {
	services := []string{"prometheus", "proxy", "replica"}
	for _, test := range []struct {
		environment map[string]string
		want        wanted
		complaint   string
	}{
		{nil, wanted{follow: true}, ""},
		{map[string]string{"FOLLOW": "yes", "GREP": ` -a "b" `}, wanted{follow: true, grep: ` -a "b" `}, ""},
		{map[string]string{"FOLLOW": "no", "SERVICE": "proxy"}, wanted{services: []string{"proxy"}}, ""},
		{map[string]string{"FOLLOW": "no", "SERVICE": "replica, proxy,"}, wanted{services: []string{"replica", "proxy"}}, ""},
		{map[string]string{"FOLLOW": "no", "SINCE": "10m"}, wanted{since: noon.Add(-10 * time.Minute)}, ""},
		{map[string]string{"FOLLOW": "no", "SINCE": "1h30m"}, wanted{since: noon.Add(-90 * time.Minute)}, ""},
		{map[string]string{"FOLLOW": "no", "SINCE": "0s"}, wanted{since: noon}, ""},
		{map[string]string{"FOLLOW": "no", "SINCE": "7d"}, wanted{since: noon.AddDate(0, 0, -7)}, ""},
		{map[string]string{"FOLLOW": "no", "SINCE": "50000d"}, wanted{since: time.Unix(0, 0).UTC()}, ""},
		{map[string]string{"FOLLOW": "no", "SINCE": "2026-01-02T11:59:00.5Z"}, wanted{since: noon.Add(-59500 * time.Millisecond)}, ""},
		{map[string]string{"FOLLOW": "maybe"}, wanted{}, `FOLLOW is "maybe": allowed are yes and no`},
		{map[string]string{"SERVICE": "proxy,web"}, wanted{}, `SERVICE is "proxy,web": allowed are prometheus, proxy, replica, one or more with commas between them`},
		{map[string]string{"SINCE": "soon"}, wanted{}, `SINCE is "soon": allowed are a duration (90s, 10m, 1h30m, 7d) and a time (2026-01-02T12:00:00Z)`},
		{map[string]string{"SINCE": "10"}, wanted{}, `SINCE is "10": allowed are`},
		{map[string]string{"SINCE": "-10m"}, wanted{}, `SINCE is "-10m": allowed are`},
		{map[string]string{"SINCE": "999999999d"}, wanted{}, `SINCE is "999999999d": allowed are`},
		{map[string]string{"SINCE": "99999999999d"}, wanted{}, `SINCE is "99999999999d": allowed are`},
		{map[string]string{"SINCE": "2026-01-02T12:00:01Z"}, wanted{}, `SINCE is "2026-01-02T12:00:01Z": allowed is what has been`},
	} {
		got, err := readWanted(environment(test.environment), noon, services)
		if fmt.Sprint(err) == "<nil>" && test.complaint != "" || err != nil && (test.complaint == "" || !strings.Contains(err.Error(), test.complaint)) {
			t.Errorf("%v: error is %v, want %q", test.environment, err, test.complaint)
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%v: %+v, want %+v", test.environment, got, test.want)
		}
	}
}

func TestTheFilterSelectsWhatIsWanted(t *testing.T) {
	for _, test := range []struct {
		wanted wanted
		want   string
	}{
		{wanted{}, `{stack="helloworld/dev"}`},
		{wanted{services: []string{"proxy", "replica"}}, `{stack="helloworld/dev",service in ("proxy","replica")}`},
		{wanted{grep: `-a* "b" | c\d`}, `{stack="helloworld/dev"} _msg:*"-a* \"b\" | c\\d"*`},
		{wanted{grep: "a`b'\tc\u200bé\xff"}, `{stack="helloworld/dev"} _msg:*"a` + "`" + `b'\tc\u200bé\xff"*`},
	} {
		if got := filter("helloworld/dev", test.wanted); got != test.want {
			t.Errorf("%+v: %s, want %s", test.wanted, got, test.want)
		}
	}
}

// keeper is a VictoriaLogs with those lines. It understands what the history asks.
type keeper struct {
	lines   []line
	fails   int // the number of the question that it does not answer, from 1
	queries int
	most    int // lines in an answer
}

var (
	spanPattern  = regexp.MustCompile(`^{stack="helloworld/dev"} _time:\[(\S+), (\S+)\)`)
	limitPattern = regexp.MustCompile(`\| limit ([0-9]+)`)
)

func (k *keeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.PostFormValue("query")
	span := spanPattern.FindStringSubmatch(query)
	k.queries++
	if k.queries == k.fails || span == nil {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	start, _ := time.Parse(time.RFC3339, span[1]) // without one nothing is found
	end, _ := time.Parse(time.RFC3339, span[2])
	limit := len(k.lines)
	if found := limitPattern.FindStringSubmatch(query); found != nil {
		limit, _ = strconv.Atoi(found[1]) // they are digits
	}
	answered := 0
	for _, l := range slices.Backward(k.lines) { // in no order that would do
		if l.time.Before(start) || !l.time.Before(end) || answered == limit {
			continue
		}
		answered++
		fmt.Fprintf(w, `{"_time":%q,"container":%q,"_msg":%q}`+"\n", stamp(l.time), l.container, l.text)
	}
	k.most = max(k.most, answered)
}

// history is what the keeper tells of the time until noon.
func (k *keeper) history(t *testing.T, back time.Duration) *store {
	t.Helper()
	server := httptest.NewServer(k)
	t.Cleanup(server.Close)
	return &store{url: server.URL, filter: filter("helloworld/dev", wanted{}), at: noon.Add(-back), end: noon, span: back}
}

// all reads the history to its end, or as far as it is told.
func (s *store) all() ([]line, error) {
	var all []line
	for s.at.Before(s.end) {
		lines, err := s.next(context.Background())
		if err != nil {
			return all, err
		}
		all = append(all, lines...)
	}
	return all, nil
}

// every returns count lines of the containers in turn, that many apart, until noon.
func every(apart time.Duration, count int, containers ...string) []line {
	var lines []line
	for i := range count {
		lines = append(lines, line{time: noon.Add(-time.Duration(count-i) * apart), container: containers[i%len(containers)], text: strconv.Itoa(i)})
	}
	return lines
}

func TestALongHistoryComesInSlices(t *testing.T) {
	k := &keeper{lines: every(time.Millisecond, 4*sliceLines, "a", "b")}
	lines, err := k.history(t, time.Hour).all()
	if err != nil || !slices.Equal(lines, k.lines) {
		t.Errorf("%d lines: some are missing, doubled or in disorder, %v", len(lines), err)
	}
	if k.most > sliceLines+1 {
		t.Errorf("%d lines at once", k.most)
	}
	if k.queries > 50 {
		t.Errorf("%d queries", k.queries)
	}
}

// Nothing is known of a slice that was not answered.
func TestAHistoryThatFailsTellsHowFarItCame(t *testing.T) {
	k := &keeper{lines: every(time.Second, 2*sliceLines, "a"), fails: 3} // the second half
	s := k.history(t, 2*sliceLines*time.Second)
	lines, err := s.all()
	if want := "VictoriaLogs does not answer: 503 Service Unavailable: not now"; err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
	if !s.at.Equal(noon.Add(-sliceLines*time.Second)) || !slices.Equal(lines, k.lines[:sliceLines]) {
		t.Errorf("%d lines until %v", len(lines), s.at)
	}
}

func TestManyLinesOfOneMomentAreNotDivided(t *testing.T) {
	k := &keeper{lines: every(0, 2*sliceLines, "a")}
	for i := range k.lines {
		k.lines[i].time = noon.Add(-time.Millisecond)
	}
	if lines, err := k.history(t, 10*time.Millisecond).all(); err != nil || len(lines) != len(k.lines) {
		t.Errorf("%d lines, %v", len(lines), err)
	}
}

// VictoriaLogs breaks off so when a query takes too long.
func TestHalfAnAnswerIsNone(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, `{"_time":"2026-01-02T12:00:00Z","container":"a","_msg":"b"}`)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(server.Close)
	s := &store{url: server.URL, end: noon, span: time.Hour}
	if lines, err := s.next(context.Background()); err == nil || len(lines) > 0 || !s.at.IsZero() {
		t.Errorf("%v until %v, %v", lines, s.at, err)
	}
}

func TestRowsAreRead(t *testing.T) {
	lines, err := readRows(strings.NewReader(`{"_time":"2026-01-02T12:00:00.000000001Z","container":"a","_msg":"{\"b\": \"\\u00e9\"}"}
{"_time":"2026-01-02T12:00:00Z","container":"b"}
`))
	want := []line{{noon.Add(1), "a", `{"b": "\u00e9"}`}, {noon, "b", ""}}
	if err != nil || !slices.Equal(lines, want) {
		t.Errorf("%v, %v", lines, err)
	}
	if _, err := readRows(strings.NewReader(`{"_time":"2026-01-02T12:0`)); err == nil {
		t.Error("half a row is read")
	}
}

func summary(component string, state container.ContainerState, addresses ...string) container.Summary {
	networks := map[string]*network.EndpointSettings{"a": {}} // without an address
	for i, address := range addresses {
		networks[fmt.Sprint("b", i)] = &network.EndpointSettings{IPAddress: netip.MustParseAddr(address)}
	}
	return container.Summary{
		ID: component, Names: []string{"/" + component}, State: state, Labels: map[string]string{workload.ComponentLabel: component},
		NetworkSettings: &container.NetworkSettingsSummary{Networks: networks},
	}
}

func TestTheStoreIsFound(t *testing.T) {
	const local = "unix:///var/run/docker.sock"
	replica := summary("replica", container.StateRunning)
	store, stopped := summary("victorialogs", container.StateRunning, "172.18.0.2", "172.19.0.2"), summary("victorialogs", container.StateExited)
	collector, restarting := summary("collector", container.StateRunning), summary("collector", container.StateRestarting)
	for name, test := range map[string]struct {
		engine        string
		containers    []container.Summary
		address, want string
	}{
		"all is well":         {local, []container.Summary{replica, collector, store}, "172.18.0.2:9428", "<nil>"},
		"logging is off":      {local, []container.Summary{replica}, "", "<nil>"},
		"it is off elsewhere": {"tcp://10.0.0.1:2376", []container.Summary{replica}, "", "<nil>"},
		"it is stopped":       {local, []container.Summary{stopped, collector}, "", "VictoriaLogs does not run"},
		"it is replaced":      {local, []container.Summary{store, stopped, collector}, "172.18.0.2:9428", "<nil>"},
		"it has no network":   {local, []container.Summary{summary("victorialogs", container.StateRunning), collector}, "", "VictoriaLogs has no address"},
		"nothing tells it":    {local, []container.Summary{store}, "", "the collector of the logs does not run"},
		"nobody is told soon": {local, []container.Summary{store, restarting}, "", "the collector of the logs does not run"},
		"it is elsewhere":     {"tcp://10.0.0.1:2376", []container.Summary{store, collector}, "", "VictoriaLogs is not reached from here: the engine is tcp://10.0.0.1:2376"},
	} {
		if address, err := findStore(test.containers, test.engine); address != test.address || fmt.Sprint(err) != test.want {
			t.Errorf("%s: %q, %v", name, address, err)
		}
	}
}

func TestLinesHaveTheirContainersColour(t *testing.T) {
	l := line{container: "helloworld-dev-proxy", text: "\x1b[1mbold"}
	if got := (printer{}).format(l); got != "helloworld-dev-proxy | \x1b[1mbold\n" {
		t.Errorf("%q", got)
	}
	own := strconv.Itoa(colour(l.container))
	if got, want := (printer{colours: true}).format(l), "\x1b[38;5;"+own+"mhelloworld-dev-proxy | \x1b[0m\x1b[1mbold\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if isTerminal(&strings.Builder{}) {
		t.Error("a text is a terminal")
	}
}

func frame(stream byte, text string) string {
	size := len(text)
	return string([]byte{stream, 0, 0, 0, byte(size >> 24), byte(size >> 16), byte(size >> 8), byte(size)}) + text
}

// Of a long line each part is a frame, and has no end but the last.
func TestFramesAreRead(t *testing.T) {
	part := strings.Repeat("a", 16<<10)
	stream := frame(1, "2026-01-02T12:00:00.000000001Z one  two \n") + frame(2, "2026-01-02T12:00:00Z \n") +
		frame(1, "2026-01-02T12:00:00Z "+part) + frame(1, "2026-01-02T12:00:00Z a\n")
	var got []string
	err := readFrames(strings.NewReader(stream), func(at time.Time, text string) error {
		got = append(got, fmt.Sprint(at.Sub(noon).Nanoseconds(), text))
		return nil
	})
	if want := []string{"1one  two ", "0", "0" + part, "0a"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	if err := readFrames(strings.NewReader(frame(1, "no time\n")), nil); err == nil {
		t.Error("a frame without a time is read")
	}
}

// Newer engines send what is older, too, once they have found a line of that time.
func TestALogIsReadSinceATime(t *testing.T) {
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i, after := range []time.Duration{0, 0, -1, 1} {
			fmt.Fprint(w, frame(1, fmt.Sprintf("%s %d\n", stamp(noon.Add(after)), i)))
		}
	}))
	t.Cleanup(engine.Close)
	api, err := client.New(client.WithHost(engine.URL), client.WithAPIVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		after mark
		want  []string
	}{
		{mark{}, []string{"0", "1", "3"}},
		{mark{noon, 1}, []string{"1", "3"}},
	} {
		r := &logReader{api: api, container: summary("proxy", container.StateRunning), since: noon, after: test.after}
		var got []string
		for l := range r.start(t.Context()) {
			got = append(got, l.text)
		}
		if r.err != nil || !slices.Equal(got, test.want) || r.after != (mark{noon.Add(1), 1}) {
			t.Errorf("%v: %q, %v, %v", test.after, got, r.after, r.err)
		}
	}
}

func TestStreamsAreMergedByTime(t *testing.T) {
	want := every(time.Second, 100, "a", "b", "c")
	want = append(want, every(0, 1, "c")...)
	streams := map[string]chan line{"a": make(chan line), "b": make(chan line), "c": make(chan line), "empty": make(chan line)}
	var all []<-chan line
	for name, stream := range streams {
		all = append(all, stream)
		go func() {
			defer close(stream)
			for _, l := range want {
				if l.container == name {
					stream <- l
				}
			}
		}()
	}
	var got []line
	err := merge(all, func(l line) error {
		got = append(got, l)
		return nil
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestALogIsReadOnceMoreWhenItsContainerHasExited(t *testing.T) {
	f := follower{busy: map[string]bool{}, read: map[string]bool{}}
	c := container.Summary{ID: "a"}
	for i, test := range []struct {
		state container.ContainerState
		ended bool // the reading, before
		want  bool
	}{
		{container.StateRunning, false, true},
		{container.StateRunning, false, false},
		{container.StateExited, false, false},
		{container.StateExited, true, true},
		{container.StateExited, true, false},
		{container.StateRestarting, true, true},
		{container.StateRunning, true, true},
	} {
		if test.ended {
			f.busy[c.ID] = false
		}
		c.State = test.state
		if got := f.due(c); got != test.want {
			t.Errorf("%d: %v", i, got)
		}
	}
}

// onEngine is a stack of real containers, each with a shell script, on a network.
type onEngine struct {
	view
	image string
}

func newOnEngine(t *testing.T) *onEngine {
	t.Helper()
	api, err := client.New(client.FromEnv)
	if err != nil {
		t.Fatal(err)
	}
	s := stack{project: "helloworld", name: fmt.Sprintf("logs%d", os.Getpid())}
	images := config.UpstreamImages
	e := &onEngine{
		view:  view{stack: s, api: api, labelled: s.namesakes()},
		image: *images.References()["nginx"],
	}
	if standIn, err := os.ReadFile(filepath.Join("../..", config.StandInImages, "nginx")); err == nil {
		e.image = strings.TrimSpace(string(standIn))
	}
	docker(t, "network", "create", "--internal", e.network())
	t.Cleanup(func() {
		containers, err := e.containers(context.Background())
		if err != nil {
			t.Error(err)
		}
		for _, c := range containers {
			docker(t, "rm", "--force", "--volumes", c.ID)
		}
		docker(t, "network", "rm", e.network())
	})
	return e
}

func (e *onEngine) network() string { return "helloworld-" + e.stack.name }

func docker(t *testing.T, args ...string) string {
	t.Helper()
	var complaint bytes.Buffer
	command := exec.Command("docker", args...)
	command.Stderr = &complaint
	out, err := command.Output()
	if err != nil {
		t.Fatalf("docker %v: %v\n%s", args, err, &complaint)
	}
	return strings.TrimSpace(string(out))
}

// run starts a container and returns its name.
func (e *onEngine) run(t *testing.T, component, suffix, script string) string {
	t.Helper()
	name := "helloworld-" + e.stack.name + "-" + component + suffix
	// make tools brings the image: a test asks no registry.
	docker(t, "run", "--detach", "--pull", "never", "--network", e.network(), "--log-driver", "json-file", "--pids-limit", "50", "--name", name,
		"--label", workload.StackLabel+"="+e.stack.label(), "--label", workload.ComponentLabel+"="+component,
		"--entrypoint", "sh", e.image, "-c", script)
	return name
}

// buffer is a builder that two may use.
type buffer struct {
	sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(text []byte) (int, error) {
	b.Lock()
	defer b.Unlock()
	return b.text.Write(text)
}

func (b *buffer) String() string {
	b.Lock()
	defer b.Unlock()
	return b.text.String()
}

// print prints what is wanted and there, and what is complained of.
func (e *onEngine) print(t *testing.T, environmentOf map[string]string) (out, complaints string) {
	t.Helper()
	var o, c buffer
	values := map[string]string{"FOLLOW": "no"}
	for name, value := range environmentOf {
		values[name] = value
	}
	if err := e.logs(t.Context(), environment(values), &o, &c); err != nil {
		t.Errorf("%v: %v", values, err)
	}
	return o.String(), c.String()
}

// follow starts to print what is wanted. What it returns ends that.
func (e *onEngine) follow(t *testing.T, values map[string]string) (out, complaints *buffer, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	out, complaints = &buffer{}, &buffer{}
	go func() { done <- e.logs(ctx, environment(values), out, complaints) }()
	end = sync.OnceFunc(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Error("it does not end")
		}
	})
	t.Cleanup(end)
	return out, complaints, end
}

func eventually(t *testing.T, what string, true func() bool) {
	t.Helper()
	for until := time.Now().Add(15 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if true() {
			return
		}
	}
	t.Errorf("not within 15 s: %s", what)
}

// numbered are the lines first to last of a container.
func numbered(container string, first, last int) string {
	var text strings.Builder
	for i := first; i <= last; i++ {
		fmt.Fprintf(&text, "%s | line %d\n", container, i)
	}
	return text.String()
}

func TestWithoutAStoreTheLogsAreDockers(t *testing.T) {
	e := newOnEngine(t)
	if err := e.logs(t.Context(), environment(nil), io.Discard, io.Discard); err == nil || err.Error() != "nothing runs: make up" {
		t.Errorf("error is %v", err)
	}
	// The engine writes the two streams of a container at once: the pauses make an order.
	const script = `for i in $(seq 30); do echo "line $i"; done; sleep 0.2; printf '%s\n' '-a "b" \c [$d' >&2; sleep 0.2; head -c 20000 /dev/zero | tr '\0' x; echo; `
	exited := e.run(t, "check", "", script)
	docker(t, "wait", exited)
	running := e.run(t, "replica", "-1", "echo one; sleep infinity")
	silent := e.run(t, "proxy", "", "mkfifo /pipe; while read -r line; do echo \"$line\"; done <>/pipe")
	long := exited + " | " + strings.Repeat("x", 16<<10) + "\n" + exited + " | " + strings.Repeat("x", 20000-16<<10) + "\n"
	odd := exited + ` | -a "b" \c [$d` + "\n"
	for _, test := range []struct {
		values map[string]string
		want   string
	}{
		{map[string]string{"SERVICE": "check"}, numbered(exited, 14, 30) + odd + long},
		{map[string]string{"SERVICE": "check", "SINCE": "5m"}, numbered(exited, 1, 30) + odd + long},
		{map[string]string{"SERVICE": "check", "GREP": "line "}, numbered(exited, 11, 30)},
		{map[string]string{"SERVICE": "replica,check", "GREP": "ne", "SINCE": "5m"}, numbered(exited, 1, 30) + running + " | one\n"},
		{map[string]string{"GREP": "one"}, running + " | one\n"},
		{map[string]string{"GREP": "ONE"}, ""},
		{map[string]string{"GREP": `-a "b" \c [$`}, odd},
		{map[string]string{"SINCE": "0s"}, ""},
	} {
		eventually(t, fmt.Sprintf("%v shows\n%.300s", test.values, test.want), func() bool {
			out, complaints := e.print(t, test.values)
			return out == test.want && complaints == ""
		})
	}

	out, _, end := e.follow(t, map[string]string{"GREP": "line", "SERVICE": "proxy,replica"})
	say := func(text string) { docker(t, "exec", silent, "sh", "-c", "echo '"+text+"' >/pipe") }
	for i := 1; i <= 3; i++ {
		say(fmt.Sprintf("line %d", i))
		say("nothing")
	}
	eventually(t, "what comes is shown", func() bool { return out.String() == numbered(silent, 1, 3) })
	more := e.run(t, "replica", "-2", "for i in $(seq 500); do echo line $i; done")
	eventually(t, "so is a container that comes", func() bool { return strings.Count(out.String(), more) == 500 })
	docker(t, "restart", "--time", "0", silent)
	docker(t, "rm", "--force", running)
	say("line 4")
	eventually(t, "and one that was restarted", func() bool { return strings.HasSuffix(out.String(), numbered(silent, 4, 4)) })
	if got, want := out.String(), numbered(silent, 1, 3)+numbered(more, 1, 500)+numbered(silent, 4, 4); got != want {
		t.Errorf("printed\n%swant\n%s", got, want)
	}
	end()

	docker(t, "wait", e.run(t, "victorialogs", "", "true"))
	if out, complaints := e.print(t, map[string]string{"SERVICE": "proxy", "GREP": "line 4"}); out != numbered(silent, 4, 4) || complaints != "" {
		t.Errorf("printed %q, complained %q", out, complaints)
	}
	if out, complaints := e.print(t, map[string]string{"SERVICE": "proxy", "GREP": "line 4", "SINCE": "5m"}); out != numbered(silent, 4, 4) || complaints != "VictoriaLogs does not run; what follows is from Docker\n" {
		t.Errorf("printed %q, complained %q", out, complaints)
	}
}

// fakeStore makes of a container a VictoriaLogs that knows one line.
const fakeStore = `echo 'events {}
pid /tmp/pid;
http { server { listen 9428; location = /select/logsql/query {
	return 200 "{\"_time\":\"2026-01-02T12:00:00.5Z\",\"container\":\"gone\",\"_msg\":\"told\"}\n";
} } }' >/tmp/conf; exec nginx -c /tmp/conf -g 'daemon off;'`

func TestTheStoreIsAskedAtItsContainersAddress(t *testing.T) {
	e := newOnEngine(t)
	pipe := e.run(t, "collector", "", "mkfifo /pipe; echo line 1; while read -r line; do echo \"$line\"; done <>/pipe")
	store := e.run(t, "victorialogs", "", fakeStore)
	long := map[string]string{"SINCE": "5m", "SERVICE": "collector"}
	eventually(t, "VictoriaLogs tells the history, Docker what is young", func() bool {
		out, complaints := e.print(t, long)
		return out == "gone | told\n"+numbered(pipe, 1, 1) && complaints == ""
	})
	for _, values := range []map[string]string{{"SERVICE": "collector"}, {"SINCE": "9s", "SERVICE": "collector"}} {
		if out, complaints := e.print(t, values); strings.Contains(out, "told") || complaints != "" {
			t.Errorf("%v: printed %q, complained %q", values, out, complaints)
		}
	}
	out, complaints, end := e.follow(t, long)
	eventually(t, "the history is shown", func() bool { return out.String() == "gone | told\n"+numbered(pipe, 1, 1) })
	docker(t, "exec", pipe, "sh", "-c", "echo line 2 >/pipe")
	eventually(t, "and what comes", func() bool { return out.String() == "gone | told\n"+numbered(pipe, 1, 2) })
	if complaints.String() != "" {
		t.Errorf("complained %q", complaints)
	}
	end()

	// It runs, and does not listen.
	docker(t, "rm", "--force", store)
	e.run(t, "victorialogs", "", "sleep infinity")
	printed, complained := e.print(t, long)
	if printed != numbered(pipe, 1, 2) || !strings.HasPrefix(complained, "VictoriaLogs does not answer: ") || !strings.HasSuffix(complained, "; what follows is from Docker\n") || strings.Count(complained, "\n") != 1 {
		t.Errorf("printed %q, complained %q", printed, complained)
	}
}
