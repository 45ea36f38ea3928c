package main

import (
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
}

// wanted says which lines are shown.
type wanted struct {
	services []string  // components; none are all
	since    time.Time // zero is the last lines of each container
	grep     string    // what each line contains
	follow   bool
}

// logs prints the lines of the stack's containers and those that come. Of what was
// before VictoriaLogs tells, also of containers that are gone; of all else, and where
// it does not run or answer, Docker does. It asks nothing of Pulumi, which would take
// longer than all else.
func logs(ctx context.Context, s stack) error {
	api, err := client.New(client.FromEnv)
	if err != nil {
		return err
	}
	v := view{stack: s, api: api, labelled: s.namesakes()}
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
	from := w.since
	// What is younger may not have come to VictoriaLogs yet, and the last lines of each
	// container Docker finds faster. What a container wrote that was removed a moment ago
	// is missing until it is history.
	if end := now.Add(-settled); !from.IsZero() && from.Before(end) {
		history, err := openStore(v, containers, w, end)
		for err == nil && history != nil && from.Before(end) {
			var lines []line
			lines, err = history.next(ctx) // none if there is an error
			if err := p.print(lines...); err != nil {
				return err
			}
			from = history.at
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			fmt.Fprintf(complaints, "%v; what follows is from Docker\n", err)
		}
	}
	return dockerLogs{view: v, wanted: w, printer: p}.show(ctx, from)
}

func runs(c container.Summary) bool { return c.State == container.StateRunning }

func name(c container.Summary) string { return strings.TrimPrefix(c.Names[0], "/") }

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

func (p printer) print(lines ...line) error {
	var text strings.Builder
	for _, l := range lines {
		text.WriteString(p.format(l))
	}
	_, err := io.WriteString(p.out, text.String())
	return err
}

// palette are colours of the 256 that can be read on black and on white.
var palette = []int{32, 29, 133, 166, 30, 97, 168, 62}

func (p printer) format(l line) string {
	if !p.colours {
		return l.container + " | " + l.text + "\n"
	}
	return fmt.Sprintf("\x1b[38;5;%dm%s | \x1b[0m%s\n", colour(l.container), l.container, l.text)
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
