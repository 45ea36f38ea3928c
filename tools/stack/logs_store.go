package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"helloworld/infra/workload"

	"github.com/moby/moby/api/types/container"
)

const (
	// settled is how old a line is when it has surely come through the collector:
	// what is older is history, what is younger the tail tells.
	settled = 10 * time.Second
	// tailDelay is how old lines are when the tail tells them. It looks back for 5
	// seconds more at each look.
	tailDelay = 2 * time.Second
	// sliceLines is how many lines of the history are sorted at once. VictoriaLogs
	// could sort no more in its memory, and sends them as it finds them.
	sliceLines = 50_000
)

// store shows what the VictoriaLogs of a stack has.
type store struct {
	ask     asker
	stack   string // its id
	wanted  wanted
	printer printer
	now     time.Time
}

// asker asks VictoriaLogs at an endpoint and gives each line to take.
type asker func(ctx context.Context, endpoint string, arguments url.Values, take func(line) error) error

// findStore returns the id of the container of the stack's VictoriaLogs, or nothing
// where logging is off. It is an error if it is there and cannot tell, or is not told.
func findStore(containers []container.Summary) (string, error) {
	running := map[string]string{} // component to id, empty if it does not run
	for _, c := range containers {
		if component := c.Labels[workload.ComponentLabel]; runs(c) {
			running[component] = c.ID
		} else if running[component] == "" {
			running[component] = ""
		}
	}
	id, on := running["victorialogs"]
	switch {
	case !on:
		return "", nil
	case id == "":
		return "", errors.New("VictoriaLogs does not run")
	case running["collector"] == "":
		return "", errors.New("the collector of the logs does not run")
	}
	return id, nil
}

// show prints what is wanted. When VictoriaLogs fails it returns how far it came.
func (s store) show(ctx context.Context, containers []string) (position, error) {
	began := time.Now()
	end := s.now
	if s.wanted.follow {
		end = end.Add(-settled)
	}
	at := position{since: s.wanted.since}
	if at.since.IsZero() {
		lines, err := s.last(ctx, containers, end)
		if err == nil {
			err = s.printer.print(lines...)
		}
		if err != nil {
			return at, err
		}
	} else if err := s.history(ctx, &at.since, end); err != nil {
		return at, err
	}
	if !s.wanted.follow {
		return at, nil
	}
	if at.since.Before(end) {
		at.since = end
	}
	at.marks = map[string]mark{}
	err := s.tail(ctx, at, settled+time.Since(began)+time.Minute)
	return at, err
}

// filter is what selects the wanted lines. One of a stream's labels selects fastest.
func (s store) filter(labels ...string) string {
	labels = append([]string{fmt.Sprintf("stack=%q", s.stack)}, labels...)
	if len(s.wanted.services) > 0 {
		labels = append(labels, "service in ("+quoteAll(s.wanted.services)+")")
	}
	filter := "{" + strings.Join(labels, ",") + "}"
	if s.wanted.grep != "" {
		// LogsQL's strings are Go's.
		filter += " _msg:*" + strconv.Quote(s.wanted.grep) + "*"
	}
	return filter
}

func quoteAll(texts []string) string {
	var quoted []string
	for _, text := range texts {
		quoted = append(quoted, strconv.Quote(text))
	}
	return strings.Join(quoted, ",")
}

// The tail needs the stream's id.
const fields = " | fields _time, _stream_id, container, level, _msg"

// within is the filter of a time.
func within(start, end time.Time) string {
	return fmt.Sprintf(" _time:[%s, %s)", stamp(start), stamp(end))
}

// stamp has all digits: in LogsQL a time with fewer may stand for a span.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000Z") }

// last returns the last lines of each of the containers before end. Those of the
// last hour are found quickly, and then only the silent containers are left.
func (s store) last(ctx context.Context, containers []string, end time.Time) ([]line, error) {
	found := map[string][]line{}
	for _, start := range []time.Time{end.Add(-time.Hour), time.Unix(0, 0)} {
		var silent []string
		for _, container := range containers {
			if len(found[container]) < lastLines {
				silent = append(silent, container)
				delete(found, container)
			}
		}
		if len(silent) == 0 {
			break
		}
		query := s.filter("container in ("+quoteAll(silent)+")") + within(start, end) +
			fmt.Sprintf(" | last %d by (_time) partition by (container)", lastLines) + fields
		err := s.ask(ctx, "query", url.Values{"query": {query}}, func(l line) error {
			found[l.container] = append(found[l.container], l)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	lines := slices.Concat(slices.Collect(maps.Values(found))...)
	sortLines(lines)
	return lines, nil
}

// history prints the lines from *start to end, and moves *start along with what it
// has printed. Where they are too many it takes one half of the time after the other.
func (s store) history(ctx context.Context, start *time.Time, end time.Time) error {
	if !start.Before(end) {
		return nil
	}
	half := end.Sub(*start) / 2
	query := s.filter() + within(*start, end)
	divisible := half > time.Millisecond
	if divisible {
		query += fmt.Sprintf(" | limit %d", sliceLines+1)
	}
	var lines []line
	err := s.ask(ctx, "query", url.Values{"query": {query + fields}}, func(l line) error {
		lines = append(lines, l)
		return nil
	})
	if err != nil {
		return err
	}
	if divisible && len(lines) > sliceLines {
		lines = nil // they are asked for again
		if err := s.history(ctx, start, start.Add(half)); err != nil {
			return err
		}
		return s.history(ctx, start, end)
	}
	sortLines(lines)
	if err := s.printer.print(lines...); err != nil {
		return err
	}
	*start = end
	return nil
}

// tail prints lines as they come, and marks them in at. It returns when VictoriaLogs
// does not go on. The tail begins earlier than what is wanted, by back from now: the
// filter cuts it where the history ended.
func (s store) tail(ctx context.Context, at position, back time.Duration) error {
	query := s.filter() + " _time:>=" + stamp(at.since) + fields
	err := s.ask(ctx, "tail", url.Values{
		"query":        {query},
		"offset":       {fmt.Sprintf("%dms", tailDelay.Milliseconds())},
		"start_offset": {fmt.Sprintf("%dms", back.Milliseconds())},
	}, func(l line) error {
		at.marks[l.container] = at.marks[l.container].next(l.time)
		return s.printer.print(l)
	})
	if err == nil {
		err = errors.New("VictoriaLogs has ended")
	}
	return err
}
