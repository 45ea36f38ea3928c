package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"helloworld/infra/workload"

	"github.com/moby/moby/api/types/container"
)

const (
	// settled is how old a line is when it has surely come through the collector.
	settled = 10 * time.Second
	// sliceLines is how many lines are sorted at once. VictoriaLogs could sort no more
	// in its memory, and sends them as it finds them.
	sliceLines = 50_000
)

// storeClient asks VictoriaLogs, of whose address no proxy knows. A query may take 30
// seconds.
var storeClient = http.Client{
	Timeout:   35 * time.Second,
	Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext},
}

// store is the history that a stack's VictoriaLogs has.
type store struct {
	url    string        // of its queries
	filter string        // what selects the lines
	at     time.Time     // from when on they have not been read
	end    time.Time     // until when they are
	span   time.Duration // of the next slice, at most
}

// openStore returns the history of what is wanted until end, or nil where logging is
// off. It is an error if VictoriaLogs is there and cannot be asked, or is not told.
func openStore(v view, containers []container.Summary, w wanted, end time.Time) (*store, error) {
	address, err := findStore(containers, v.api.DaemonHost())
	if address == "" {
		return nil, err
	}
	return &store{
		url:    "http://" + address + "/select/logsql/query",
		filter: filter(v.stack.label(), w),
		at:     w.since,
		end:    end,
		span:   end.Sub(w.since),
	}, nil
}

// findStore returns where VictoriaLogs answers: at its container's own address, as no
// port of the host leads to it. A Linux host reaches the networks of its own engine.
func findStore(containers []container.Summary, engine string) (string, error) {
	known, running := map[string]bool{}, map[string]container.Summary{}
	for _, c := range containers {
		component := c.Labels[workload.ComponentLabel]
		known[component] = true
		if runs(c) {
			running[component] = c
		}
	}
	store, on := running["victorialogs"]
	_, told := running["collector"]
	switch {
	case !known["victorialogs"]:
		return "", nil
	case !on:
		return "", errors.New("VictoriaLogs does not run")
	case !told:
		return "", errors.New("the collector of the logs does not run")
	case !strings.HasPrefix(engine, "unix://"):
		return "", fmt.Errorf("VictoriaLogs is not reached from here: the engine is %s", engine)
	}
	networks := store.NetworkSettings.Networks
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		if address := networks[name].IPAddress; address.IsValid() {
			return net.JoinHostPort(address.String(), "9428"), nil
		}
	}
	return "", errors.New("VictoriaLogs has no address")
}

// filter is the LogsQL that selects the wanted lines of a stack.
func filter(stack string, w wanted) string {
	labels := fmt.Sprintf("stack=%q", stack)
	if len(w.services) > 0 {
		var quoted []string
		for _, service := range w.services {
			quoted = append(quoted, strconv.Quote(service))
		}
		labels += ",service in (" + strings.Join(quoted, ",") + ")"
	}
	filter := "{" + labels + "}"
	if w.grep != "" {
		// LogsQL's strings are Go's.
		filter += " _msg:*" + strconv.Quote(w.grep) + "*"
	}
	return filter
}

// stamp has all digits: in LogsQL a time with fewer may stand for a span.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000Z") }

// next returns the lines that come next, in order of time, and moves s.at behind them.
// Where they are too many it takes half of the time.
func (s *store) next(ctx context.Context) ([]line, error) {
	for {
		span := min(s.span, s.end.Sub(s.at))
		until := s.at.Add(span)
		query := fmt.Sprintf("%s _time:[%s, %s)", s.filter, stamp(s.at), stamp(until))
		divisible := span > 2*time.Millisecond
		if divisible {
			query += fmt.Sprintf(" | limit %d", sliceLines+1)
		}
		lines, err := s.ask(ctx, query+" | fields _time, container, _msg")
		if err != nil {
			return nil, fmt.Errorf("VictoriaLogs does not answer: %w", err)
		}
		if divisible && len(lines) > sliceLines {
			s.span = span / 2
			continue
		}
		if len(lines) < sliceLines/2 {
			s.span = 2 * span
		}
		s.at = until
		sortLines(lines)
		return lines, nil
	}
}

func (s *store) ask(ctx context.Context, query string) ([]line, error) {
	form := url.Values{"query": {query}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := storeClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		complaint, _ := io.ReadAll(io.LimitReader(response.Body, 300)) // the status tells enough
		return nil, fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(complaint)))
	}
	return readRows(response.Body)
}

// readRows reads a row of JSON for each line.
func readRows(in io.Reader) ([]line, error) {
	var lines []line
	rows := json.NewDecoder(in)
	for {
		var row struct {
			Time      time.Time `json:"_time"`
			Text      string    `json:"_msg"`
			Container string
		}
		err := rows.Decode(&row)
		if err == io.EOF {
			return lines, nil
		}
		if err != nil {
			return nil, err
		}
		lines = append(lines, line{time: row.Time, container: row.Container, text: row.Text})
	}
}

// sortLines sorts by time. What has the same time stays as it came.
func sortLines(lines []line) {
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Or(a.time.Compare(b.time), cmp.Compare(a.container, b.container)) })
}
