package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
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
		s := store{stack: "helloworld/dev", wanted: test.wanted}
		if got := s.filter(); got != test.want {
			t.Errorf("%+v: %s, want %s", test.wanted, got, test.want)
		}
	}
}

// keeper is a VictoriaLogs with those lines. It understands what the history asks.
type keeper struct {
	lines   []line
	fails   int // the number of the question that it does not answer, from 1
	queries []string
	most    int // lines in an answer
}

var (
	spanPattern  = regexp.MustCompile(`_time:\[(\S+), (\S+)\)`)
	limitPattern = regexp.MustCompile(`\| limit ([0-9]+)`)
	namesPattern = regexp.MustCompile(`container in \(([^)]*)\)`)
)

func (k *keeper) ask(_ context.Context, _ string, arguments url.Values, take func(line) error) error {
	query := arguments.Get("query")
	k.queries = append(k.queries, query)
	if len(k.queries) == k.fails {
		return errors.New("VictoriaLogs does not answer")
	}
	span := spanPattern.FindStringSubmatch(query)
	start, err := time.Parse(time.RFC3339, span[1])
	if err != nil {
		return err
	}
	end, err := time.Parse(time.RFC3339, span[2])
	if err != nil {
		return err
	}
	limit := len(k.lines)
	if found := limitPattern.FindStringSubmatch(query); found != nil {
		limit, _ = strconv.Atoi(found[1]) // they are digits
	}
	names := namesPattern.FindStringSubmatch(query)
	answered, last := 0, map[string]int{}
	for _, l := range slices.Backward(k.lines) { // in no order that would do
		if l.time.Before(start) || !l.time.Before(end) || answered == limit || names != nil && !strings.Contains(names[1], strconv.Quote(l.container)) {
			continue
		}
		if last[l.container]++; names != nil && last[l.container] > lastLines {
			continue
		}
		answered++
		if err := take(l); err != nil {
			return err
		}
	}
	k.most = max(k.most, answered)
	return nil
}

// every returns count lines of the containers in turn, that many apart, until noon.
func every(apart time.Duration, count int, containers ...string) []line {
	var lines []line
	for i := range count {
		lines = append(lines, line{time: noon.Add(-time.Duration(count-i) * apart), container: containers[i%len(containers)], text: strconv.Itoa(i)})
	}
	return lines
}

func printed(lines []line) string {
	var out strings.Builder
	_ = printer{out: &out}.print(lines...) // a builder takes all
	return out.String()
}

func TestALongHistoryComesInSlices(t *testing.T) {
	k := &keeper{lines: every(time.Millisecond, 4*sliceLines, "a", "b")}
	var out strings.Builder
	s := store{ask: k.ask, wanted: wanted{since: noon.Add(-24 * time.Hour)}, printer: printer{out: &out}, now: noon}
	at, err := s.show(context.Background(), nil)
	if err != nil || !at.since.Equal(noon) {
		t.Errorf("%v, %v", at, err)
	}
	if out.String() != printed(k.lines) {
		t.Error("lines are missing, doubled or in disorder")
	}
	if k.most > sliceLines+1 {
		t.Errorf("%d lines at once", k.most)
	}
	if len(k.queries) > 50 {
		t.Errorf("%d queries", len(k.queries))
	}
}

// Nothing is shown of a slice that was not answered.
func TestAHistoryThatFailsTellsHowFarItCame(t *testing.T) {
	k := &keeper{lines: every(time.Second, 2*sliceLines, "a"), fails: 3} // the second half
	var out strings.Builder
	s := store{ask: k.ask, wanted: wanted{since: noon.Add(-2 * sliceLines * time.Second)}, printer: printer{out: &out}, now: noon}
	at, err := s.show(context.Background(), nil)
	if err == nil || !at.since.Equal(noon.Add(-sliceLines*time.Second)) || out.String() != printed(k.lines[:sliceLines]) {
		t.Errorf("%v, %v", at, err)
	}
}

func TestManyLinesOfOneMomentAreNotDivided(t *testing.T) {
	k := &keeper{lines: every(0, 2*sliceLines, "a")}
	for i := range k.lines {
		k.lines[i].time = noon.Add(-time.Second)
	}
	count := 0
	s := store{ask: k.ask, wanted: wanted{since: noon.Add(-time.Hour)}, printer: printer{out: writer(func(text []byte) { count += bytes.Count(text, []byte("\n")) })}, now: noon}
	if _, err := s.show(context.Background(), nil); err != nil || count != len(k.lines) {
		t.Errorf("%d lines, %v", count, err)
	}
}

type writer func([]byte)

func (w writer) Write(text []byte) (int, error) {
	w(text)
	return len(text), nil
}

func TestTheLastLinesOfSilentContainersAreOlder(t *testing.T) {
	busy := every(time.Second, 100, "busy")
	quiet := every(24*time.Hour, 3, "quiet")
	gone := every(time.Second, 3, "gone")
	k := &keeper{lines: slices.Concat(quiet, busy, gone)}
	var out strings.Builder
	s := store{ask: k.ask, printer: printer{out: &out}, now: noon}
	if _, err := s.show(context.Background(), []string{"busy", "quiet"}); err != nil {
		t.Error(err)
	}
	if want := printed(append(quiet, busy[100-lastLines:]...)); out.String() != want {
		t.Errorf("printed\n%swant\n%s", &out, want)
	}
	if len(k.queries) != 2 || strings.Contains(k.queries[1], "busy") {
		t.Errorf("asked for %q", k.queries)
	}
}

// The tail begins where the history ends. When it ends it is known what was told.
func TestTheTailFollowsTheHistory(t *testing.T) {
	seam := noon.Add(-settled)
	later := []line{
		{time: seam, container: "a", text: "1"},
		{time: noon, container: "a", text: "2"},
		{time: noon, container: "a", text: "3"},
		{time: noon.Add(-time.Second), container: "b", text: "4"},
	}
	k := &keeper{lines: every(settled-1, 2, "a")}
	var tail url.Values
	ask := func(ctx context.Context, endpoint string, arguments url.Values, take func(line) error) error {
		if endpoint != "tail" {
			return k.ask(ctx, endpoint, arguments, take)
		}
		tail = arguments
		for _, l := range later {
			if err := take(l); err != nil {
				return err
			}
		}
		return nil
	}
	var out strings.Builder
	s := store{ask: ask, stack: "helloworld/dev", wanted: wanted{since: noon.Add(-time.Hour), follow: true}, printer: printer{out: &out}, now: noon}
	at, err := s.show(context.Background(), nil)
	if err == nil || !strings.Contains(err.Error(), "VictoriaLogs has ended") {
		t.Errorf("error is %v", err)
	}
	if want := printed(append(k.lines[:1:1], later...)); out.String() != want {
		t.Errorf("printed\n%swant\n%s", &out, want)
	}
	if got, want := tail.Get("query"), `{stack="helloworld/dev"} _time:>=2026-01-02T11:59:50.000000000Z`+fields; got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
	if back, err := time.ParseDuration(tail.Get("start_offset")); err != nil || back < settled+time.Minute {
		t.Errorf("it begins %v before, %v", back, err)
	}
	want := position{since: seam, marks: map[string]mark{"a": {noon, 2}, "b": {noon.Add(-time.Second), 1}}}
	if !reflect.DeepEqual(at, want) {
		t.Errorf("it came to %v, want %v", at, want)
	}
}

func TestNothingIsAskedOfOtherSourcesWhenNobodyReads(t *testing.T) {
	k := &keeper{lines: every(time.Second, 1, "a")}
	s := store{ask: k.ask, wanted: wanted{since: noon.Add(-time.Hour)}, printer: printer{out: broken{}}, now: noon}
	if _, err := s.show(context.Background(), nil); !errors.As(err, new(*printError)) {
		t.Errorf("error is %v", err)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestRowsAreRead(t *testing.T) {
	var lines []line
	err := readRows(strings.NewReader(`{"_time":"2026-01-02T12:00:00.000000001Z","_stream_id":"x","container":"a","level":"error","_msg":"{\"b\": \"\\u00e9\"}"}
{"_time":"2026-01-02T12:00:00Z","container":"b","level":"info"}
`), func(l line) error {
		lines = append(lines, l)
		return nil
	})
	want := []line{{noon.Add(1), "a", `{"b": "\u00e9"}`, true}, {noon, "b", "", false}}
	if err != nil || !slices.Equal(lines, want) {
		t.Errorf("%v, %v", lines, err)
	}
	if err := readRows(strings.NewReader(`{"_time":"2026-01-02T12:0`), nil); err == nil {
		t.Error("half a row is read")
	}
}

func summary(component string, state container.ContainerState) container.Summary {
	return container.Summary{ID: component + " " + string(state), Names: []string{"/" + component}, State: state, Labels: map[string]string{workload.ComponentLabel: component}}
}

func TestTheStoreIsFound(t *testing.T) {
	store, stopped := summary("victorialogs", container.StateRunning), summary("victorialogs", container.StateExited)
	collector, restarting := summary("collector", container.StateRunning), summary("collector", container.StateRestarting)
	for name, test := range map[string]struct {
		containers []container.Summary
		id, want   string
	}{
		"all is well":         {[]container.Summary{summary("replica", container.StateRunning), collector, store}, store.ID, "<nil>"},
		"logging is off":      {[]container.Summary{summary("replica", container.StateRunning)}, "", "<nil>"},
		"it is stopped":       {[]container.Summary{stopped, collector}, "", "VictoriaLogs does not run"},
		"it is replaced":      {[]container.Summary{store, stopped, collector}, store.ID, "<nil>"},
		"nothing tells it":    {[]container.Summary{store}, "", "the collector of the logs does not run"},
		"nobody is told soon": {[]container.Summary{store, restarting}, "", "the collector of the logs does not run"},
	} {
		if id, err := findStore(test.containers); id != test.id || fmt.Sprint(err) != test.want {
			t.Errorf("%s: %q, %v", name, id, err)
		}
	}
}

func TestLinesHaveTheirContainersColour(t *testing.T) {
	l := line{container: "helloworld-dev-proxy", text: "\x1b[1mbold"}
	if got := (printer{}).format(l); got != "helloworld-dev-proxy | \x1b[1mbold\n" {
		t.Errorf("%q", got)
	}
	own := strconv.Itoa(colour(l.container))
	painted := "\x1b[38;5;" + own + "mhelloworld-dev-proxy\x1b[0m\x1b[38;5;%sm | \x1b[0m\x1b[1mbold\n"
	if got, want := (printer{colours: true}).format(l), fmt.Sprintf(painted, own); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	l.failed = true
	if got, want := (printer{colours: true}).format(l), fmt.Sprintf(painted, "160"); got != want {
		t.Errorf("an error is %q, want %q", got, want)
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

// onEngine is a stack of real containers, each with a shell script.
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
		view:  view{stack: s, api: api, labelled: make(client.Filters).Add("label", workload.StackLabel+"="+s.id())},
		image: *images.References()["nginx"],
	}
	if standIn, err := os.ReadFile(filepath.Join("../..", config.StandInImages, "nginx")); err == nil {
		e.image = strings.TrimSpace(string(standIn))
	}
	t.Cleanup(func() {
		containers, err := e.containers(context.Background())
		if err != nil {
			t.Error(err)
		}
		for _, c := range containers {
			docker(t, "rm", "--force", "--volumes", c.ID)
		}
	})
	return e
}

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
	docker(t, "run", "--detach", "--pull", "never", "--network", "none", "--log-driver", "json-file", "--pids-limit", "50", "--name", name,
		"--label", workload.StackLabel+"="+e.stack.id(), "--label", workload.ComponentLabel+"="+component,
		"--env", "PATH=/fake:/usr/sbin:/usr/bin:/sbin:/bin", "--entrypoint", "sh", e.image, "-c", script)
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
	if out, complaints := e.print(t, map[string]string{"SERVICE": "proxy", "GREP": "line 4"}); out != numbered(silent, 4, 4) || complaints != "VictoriaLogs does not run; what follows is from Docker\n" {
		t.Errorf("printed %q, complained %q", out, complaints)
	}
}

// fakeWget makes of a container a VictoriaLogs that knows no line of before, and whose
// tail tells of two that were a moment ago, until the file /stop is there.
const fakeWget = `mkdir /fake; cat >/fake/wget <<'end'
#!/bin/sh
echo "$@" >>/asked
case "$*" in
*/tail*)
	echo '{"_time":"2026-01-02T12:00:00.5Z","container":"c","level":"info","_msg":"told"}'
	while [ ! -e /stop ]; do sleep 0.1; done
	[ ! -s /stop ] || { cat /stop >&2; exit 1; } ;;
esac
end
chmod +x /fake/wget; sleep infinity & trap 'kill $!' TERM; wait`

// The script is the real one, and so are the engine and its processes.
func TestTheStoreIsAskedInItsContainer(t *testing.T) {
	e := newOnEngine(t)
	e.run(t, "collector", "", "for i in 1 2 3; do echo line $i; done; sleep infinity")
	store := e.run(t, "victorialogs", "", fakeWget)
	processes := func() int { return strings.Count(docker(t, "top", store, "-o", "pid,args"), "\n") }
	eventually(t, "it runs", func() bool { return processes() == 2 })
	if out, complaints := e.print(t, nil); out != "" || complaints != "" {
		t.Errorf("printed %q, complained %q", out, complaints)
	}
	if asked := docker(t, "exec", store, "cat", "/asked"); strings.Count(asked, "\n") != 1 || !strings.HasPrefix(asked, "-q -T 35 -O - http://127.0.0.1:9428/select/logsql/query?query=") {
		t.Errorf("wget was called with %s", asked)
	}
	out, complaints, end := e.follow(t, nil)
	eventually(t, "the tail is shown", func() bool { return out.String() == "c | told\n" })
	if processes() < 5 {
		t.Error("the script is not there")
	}
	end()
	eventually(t, "nothing is left when the client ends", func() bool { return processes() == 2 })

	out, complaints, end = e.follow(t, map[string]string{"SERVICE": "collector"})
	eventually(t, "the tail is shown again", func() bool { return out.String() == "c | told\n" })
	docker(t, "exec", store, "sh", "-c", "echo 'wget: gone' >/stop")
	eventually(t, "it is said that it ended", func() bool {
		return complaints.String() == "VictoriaLogs does not answer: wget: gone; what follows is from Docker\n"
	})
	eventually(t, "nothing is left when wget ends", func() bool { return processes() == 2 })
	collector := strings.Replace(store, "victorialogs", "collector", 1)
	docker(t, "exec", collector, "sh", "-c", "echo line 4 >/proc/1/fd/1")
	eventually(t, "Docker goes on", func() bool { return strings.HasSuffix(out.String(), numbered(collector, 4, 4)) })
	// What was before the tail is not shown again; what might have been in it is.
	if want := "c | told\n" + numbered(collector, 1, 4); out.String() != want {
		t.Errorf("printed\n%swant\n%s", out, want)
	}
	end()
}
