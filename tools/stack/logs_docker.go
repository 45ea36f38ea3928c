package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// lookEvery is how often containers are looked for that have come.
const lookEvery = 2 * time.Second

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

// dockerLogs shows what the engine keeps of each container's log.
type dockerLogs struct {
	view
	wanted  wanted
	printer printer
}

// show prints what is wanted since then. The zero time is the last lines of each
// container.
func (d dockerLogs) show(ctx context.Context, since time.Time) error {
	marks, err := d.history(ctx, since)
	if err != nil || !d.wanted.follow {
		return err
	}
	return d.follow(ctx, since, marks)
}

// history prints the lines of now, and returns the last of each container, by its id.
func (d dockerLogs) history(ctx context.Context, since time.Time) (map[string]mark, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	containers, err := d.containers(ctx)
	if err != nil {
		return nil, err
	}
	var readers []*logReader
	var streams []<-chan line
	for _, c := range d.wanted.choose(containers) {
		r := &logReader{api: d.api, container: c, grep: d.wanted.grep, since: since}
		if since.IsZero() {
			r.last = lastLines
		}
		readers, streams = append(readers, r), append(streams, r.start(ctx))
	}
	if err := merge(streams, func(l line) error { return d.printer.print(l) }); err != nil {
		return nil, err
	}
	marks := map[string]mark{}
	for _, r := range readers {
		// One that was removed meanwhile has no lines.
		if r.err != nil && !errdefs.IsNotFound(r.err) && !errdefs.IsConflict(r.err) {
			return nil, fmt.Errorf("read the log of %s: %w", name(r.container), r.err)
		}
		marks[r.container.ID] = r.after
	}
	return marks, nil
}

// follow prints lines as they come, of containers that come too.
func (d dockerLogs) follow(ctx context.Context, since time.Time, marks map[string]mark) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f := follower{marks: marks, busy: map[string]bool{}, read: map[string]bool{}, lines: make(chan line), ended: make(chan *logReader)}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		containers, err := d.containers(ctx)
		if err != nil {
			return err
		}
		for _, c := range d.wanted.choose(containers) {
			if f.due(c) {
				f.start(ctx, &logReader{api: d.api, container: c, grep: d.wanted.grep, since: since, after: marks[c.ID], follow: true})
			}
		}
		if err := f.pass(ctx, look.C, d.printer); err != nil {
			return err
		}
	}
}

// follower reads the logs of many containers at once, whose ids are the keys.
type follower struct {
	marks map[string]mark
	busy  map[string]bool // it is being read
	read  map[string]bool // it was read after the container had exited
	lines chan line
	ended chan *logReader
}

// due tells whether a container's log is to be read. That of one which has exited is
// read once more: it may have been seen last before its last lines.
func (f follower) due(c container.Summary) bool {
	exited := c.State == container.StateExited
	if f.busy[c.ID] || exited && f.read[c.ID] {
		return false
	}
	f.busy[c.ID], f.read[c.ID] = true, exited
	return true
}

func (f follower) start(ctx context.Context, r *logReader) {
	go func() {
		for l := range r.start(ctx) {
			select {
			case f.lines <- l:
			case <-ctx.Done():
			}
		}
		select {
		case f.ended <- r:
		case <-ctx.Done():
		}
	}()
}

// pass prints what comes until it is time to look again.
func (f follower) pass(ctx context.Context, look <-chan time.Time, p printer) error {
	for {
		select {
		case l := <-f.lines:
			if err := p.print(l); err != nil {
				return err
			}
		case r := <-f.ended:
			// Its error tells nothing: the next look does, if the container is still there.
			f.busy[r.container.ID] = false
			f.marks[r.container.ID] = r.after
		case <-look:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// logReader reads the log of a container.
type logReader struct {
	api       *client.Client
	container container.Summary
	grep      string
	since     time.Time // zero is from the beginning
	last      int       // how many of the last lines; 0 is all
	follow    bool

	after mark  // what was seen before, then what has been read
	err   error // once the lines have ended
}

// start returns the lines, which end when the log does, or with an error.
func (r *logReader) start(ctx context.Context) <-chan line {
	lines := make(chan line, 100)
	go func() {
		defer close(lines)
		send := func(l line) error {
			select {
			case lines <- l:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		var kept []line // while it is not known which are the last
		take := send
		if r.last > 0 {
			take = func(l line) error {
				if len(kept) == r.last {
					kept = slices.Delete(kept, 0, 1)
				}
				kept = append(kept, l)
				return nil
			}
		}
		r.err = r.read(ctx, take)
		for _, l := range kept {
			if err := send(l); err != nil {
				return
			}
		}
	}()
	return lines
}

func (r *logReader) read(ctx context.Context, take func(line) error) error {
	options := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true, Follow: r.follow}
	since := r.since
	if r.after.time.After(since) {
		since = r.after.time
	}
	if !since.IsZero() {
		options.Since = since.UTC().Format(time.RFC3339Nano)
	}
	if r.last > 0 && r.grep == "" {
		options.Tail = strconv.Itoa(r.last)
	}
	log, err := r.api.ContainerLogs(ctx, r.container.ID, options)
	if err != nil {
		return err
	}
	defer log.Close()
	seen := r.after // the engine begins with the lines of its time
	return readFrames(log, func(at time.Time, text string) error {
		// Newer engines look for the first line, and send what comes out of order after it.
		if at.Before(since) {
			return nil
		}
		if at.Equal(seen.time) && seen.seen > 0 {
			seen.seen--
			return nil
		}
		r.after = r.after.next(at)
		if !strings.Contains(text, r.grep) {
			return nil
		}
		return take(line{time: at, container: name(r.container), text: text})
	})
}

// readFrames reads what the engine sends: each frame is a time and a line, or a part
// of one that is longer than 16 KB, which VictoriaLogs has as a line, too.
func readFrames(in io.Reader, take func(time.Time, string) error) error {
	frames := frameWriter(func(frame []byte) error {
		stamp, text, _ := bytes.Cut(frame, []byte(" "))
		at, err := time.Parse(time.RFC3339Nano, string(stamp))
		if err != nil {
			return err
		}
		return take(at, string(bytes.TrimSuffix(text, []byte("\n"))))
	})
	_, err := stdcopy.StdCopy(frames, frames, in)
	return err
}

// frameWriter is called with each frame.
type frameWriter func([]byte) error

func (f frameWriter) Write(frame []byte) (int, error) {
	if err := f(frame); err != nil {
		return 0, err
	}
	return len(frame), nil
}

// merge takes lines from all streams, each in its own order, in order of time.
func merge(streams []<-chan line, take func(line) error) error {
	type head struct {
		line
		rest <-chan line
	}
	var heads []head
	for _, s := range streams {
		if l, ok := <-s; ok {
			heads = append(heads, head{l, s})
		}
	}
	for len(heads) > 0 {
		first := 0
		for i := range heads {
			if heads[i].time.Before(heads[first].time) {
				first = i
			}
		}
		if err := take(heads[first].line); err != nil {
			return err
		}
		l, ok := <-heads[first].rest
		if !ok {
			heads = slices.Delete(heads, first, first+1)
			continue
		}
		heads[first].line = l
	}
	return nil
}
