package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"helloworld/infra/workload"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// lastLines is how many lines of each container are shown where SINCE says nothing.
const lastLines = 20

// line is one line of a container's log.
type line struct {
	time      time.Time
	container string
	text      string
	failed    bool // its level is error or fatal; only VictoriaLogs knows levels
}

// wanted says which lines are shown.
type wanted struct {
	services []string  // components; none are all
	since    time.Time // zero is the last lines of each container
	grep     string    // what each line contains
	follow   bool
}

// logs prints the lines of the stack's containers and those that come. VictoriaLogs
// is asked for them; where it does not run or answer, Docker is. It asks nothing of
// Pulumi, which would take longer than all else.
func logs(ctx context.Context, s stack) error {
	api, err := client.New(client.FromEnv)
	if err != nil {
		return err
	}
	v := view{stack: s, api: api, labelled: make(client.Filters).Add("label", workload.StackLabel+"="+s.id())}
	err = v.logs(ctx, os.Getenv, os.Stdout, os.Stderr)
	if ctx.Err() != nil {
		return nil // Ctrl-C is how it ends
	}
	return err
}

func (v view) logs(ctx context.Context, getenv func(string) string, out, complaints io.Writer) error {
	info, err := v.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return err
	}
	// The engine's clock, which the lines have: it may be another host's.
	now, err := time.Parse(time.RFC3339Nano, info.Info.SystemTime)
	if err != nil {
		return fmt.Errorf("read the engine's time: %w", err)
	}
	containers, err := v.containers(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(containers, runs) {
		return errors.New("nothing runs: make up")
	}
	w, err := readWanted(getenv, now, components(containers))
	if err != nil {
		return err
	}
	p := printer{out: out, colours: getenv("NO_COLOR") == "" && isTerminal(out)}
	from := position{since: w.since}
	id, err := findStore(containers)
	if id != "" {
		ask := storeContainer{v.api, id}.ask
		from, err = store{ask: ask, stack: v.stack.id(), wanted: w, printer: p, now: now}.show(ctx, names(w.choose(containers)))
		if err == nil || ctx.Err() != nil || errors.As(err, new(*printError)) {
			return err
		}
	}
	if err != nil {
		fmt.Fprintf(complaints, "%v; what follows is from Docker\n", err)
	}
	return dockerLogs{view: v, wanted: w, printer: p}.show(ctx, from)
}

// position is how far lines have been shown.
type position struct {
	since time.Time       // nothing is shown of what is older; zero is the last lines
	marks map[string]mark // by the container's name
}

// mark is the last line of a container that was seen.
type mark struct {
	time time.Time
	seen int // how many lines have that time: the parts of a long one do
}

// next is the mark after a line. Lines of two streams may come out of order.
func (m mark) next(t time.Time) mark {
	switch {
	case t.After(m.time):
		return mark{t, 1}
	case t.Equal(m.time):
		return mark{t, m.seen + 1}
	}
	return m
}

func runs(c container.Summary) bool { return c.State == container.StateRunning }

func name(c container.Summary) string { return strings.TrimPrefix(c.Names[0], "/") }

func names(containers []container.Summary) []string {
	var all []string
	for _, c := range containers {
		all = append(all, name(c))
	}
	slices.Sort(all)
	return all
}

// components are those of the containers, each once.
func components(containers []container.Summary) []string {
	var all []string
	for _, c := range containers {
		all = append(all, c.Labels[workload.ComponentLabel])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// choose returns those of the containers whose lines are wanted.
func (w wanted) choose(containers []container.Summary) []container.Summary {
	var chosen []container.Summary
	for _, c := range containers {
		if len(w.services) == 0 || slices.Contains(w.services, c.Labels[workload.ComponentLabel]) {
			chosen = append(chosen, c)
		}
	}
	return chosen
}

// readWanted reads SERVICE, SINCE, GREP and FOLLOW.
func readWanted(getenv func(string) string, now time.Time, components []string) (wanted, error) {
	w := wanted{grep: getenv("GREP")}
	var err error
	if w.services, err = readServices(getenv("SERVICE"), components); err != nil {
		return wanted{}, err
	}
	if w.since, err = readSince(getenv("SINCE"), now); err != nil {
		return wanted{}, err
	}
	switch follow := getenv("FOLLOW"); follow {
	case "", "yes":
		w.follow = true
	case "no":
	default:
		return wanted{}, fmt.Errorf("FOLLOW is %q: allowed are yes and no", follow)
	}
	return w, nil
}

func readServices(text string, components []string) ([]string, error) {
	var services []string
	for service := range strings.SplitSeq(text, ",") {
		service = strings.TrimSpace(service)
		switch {
		case service == "":
		case slices.Contains(components, service):
			services = append(services, service)
		default:
			return nil, fmt.Errorf("SERVICE is %q: allowed are %s, one or more with commas between them", text, strings.Join(components, ", "))
		}
	}
	return services, nil
}

var days = regexp.MustCompile(`^[0-9]+d$`)

// readSince reads how long ago, or when. Empty is the zero time.
func readSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	since, err := time.Parse(time.RFC3339, text)
	if err != nil {
		ago, err := readDuration(text)
		if err != nil || ago < 0 {
			return time.Time{}, fmt.Errorf("SINCE is %q: allowed are a duration (90s, 10m, 1h30m, 7d) and a time (%s)", text, now.Format(time.RFC3339))
		}
		since = now.Add(-ago)
	}
	if since.After(now) {
		return time.Time{}, fmt.Errorf("SINCE is %q: allowed is what has been, it is %s", text, now.Format(time.RFC3339))
	}
	// Neither Docker nor VictoriaLogs knows older times, and there were no lines.
	if epoch := time.Unix(0, 0).UTC(); since.Before(epoch) {
		since = epoch
	}
	return since, nil
}

func readDuration(text string) (time.Duration, error) {
	if !days.MatchString(text) {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(text, "d"), 10, 32)
	if err != nil {
		return 0, err
	}
	return time.ParseDuration(fmt.Sprintf("%dh", n*24)) // which sees an overflow
}

// printer prints lines, each after its container's name.
type printer struct {
	out     io.Writer
	colours bool
}

// printError is that of the one who reads what is printed: no other source helps.
type printError struct{ error }

func (p printer) print(lines ...line) error {
	var text strings.Builder
	for _, l := range lines {
		text.WriteString(p.format(l))
	}
	if _, err := io.WriteString(p.out, text.String()); err != nil {
		return &printError{err}
	}
	return nil
}

// palette are colours of the 256 that can be read on black and on white.
var palette = []int{32, 29, 133, 166, 30, 97, 168, 62}

const failedColour = 160

func (p printer) format(l line) string {
	if !p.colours {
		return l.container + " | " + l.text + "\n"
	}
	paint := func(colour int, text string) string { return fmt.Sprintf("\x1b[38;5;%dm%s\x1b[0m", colour, text) }
	own := colour(l.container)
	bar := own
	if l.failed {
		bar = failedColour
	}
	return paint(own, l.container) + paint(bar, " | ") + l.text + "\n"
}

// colour is the same in each run.
func colour(container string) int {
	hash := fnv.New32a()
	io.WriteString(hash, container) // which never fails
	return palette[hash.Sum32()%uint32(len(palette))]
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// sortLines sorts by time. What has the same time stays as it came.
func sortLines(lines []line) {
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Or(a.time.Compare(b.time), cmp.Compare(a.container, b.container)) })
}
