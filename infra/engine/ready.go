package engine

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

const (
	readyPause  = 100 * time.Millisecond // between two questions
	maxRestarts = 3                      // a container that ends this often will not become ready
	steadyAfter = time.Second            // a container that has run this long did not end at once
	mendLimit   = 45 * time.Second       // what was ready, and hangs, is restarted within this time
)

// AwaitReady waits until the command succeeds inside the container or, if there is
// none, until the container has run for a moment, at most for limit. It starts a
// container that somebody stopped, and restarts one that somebody paused; it gives one
// that was ready a moment ago the time to be restarted. Its error says how the container
// fares, with the last lines of its log.
func (e *Engine) AwaitReady(id string, command []string, limit time.Duration) error {
	if e.wasReady(id) {
		limit += mendLimit
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	check := &readiness{engine: e, id: id, command: command, restarts: -1, steady: min(steadyAfter, limit/2)}
	for {
		if ready, err := check.once(ctx); ready || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("container %s is not ready after %s\n%s", check.name, limit, e.report(id, check.output))
		case <-time.After(readyPause):
		}
	}
}

// wasReady tells whether the engine's own, rare check of the container was good the last
// time, or failed too seldom yet.
func (e *Engine) wasReady(id string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	inspected, err := e.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil || inspected.Container.State.Health == nil {
		return false
	}
	return inspected.Container.State.Health.Status == container.Healthy
}

// readiness is what is known of a container while it is waited for.
type readiness struct {
	engine   *Engine
	id       string
	command  []string
	name     string
	output   string // of the last check
	restarts int    // before the first check; -1 until then
	steady   time.Duration
	started  string    // when it last started, by the engine's clock
	seen     time.Time // when that was seen
}

// once returns an error only if there is no use in waiting.
func (r *readiness) once(ctx context.Context) (bool, error) {
	inspected, err := r.engine.api.ContainerInspect(ctx, r.id, client.ContainerInspectOptions{})
	if errdefs.IsNotFound(err) {
		return false, fmt.Errorf("container %s is gone: make up makes it anew", r.id)
	}
	if err != nil {
		return false, nil
	}
	found := inspected.Container
	r.name = strings.TrimPrefix(found.Name, "/")
	if r.restarts < 0 {
		r.restarts = found.RestartCount
	}
	switch {
	case found.RestartCount-r.restarts >= maxRestarts:
		return false, fmt.Errorf("container %s ends again and again\n%s", r.name, r.engine.report(r.id, r.output))
	case found.State.Status == container.StateExited:
		if _, err := r.engine.api.ContainerStart(ctx, r.id, client.ContainerStartOptions{}); err != nil {
			return false, fmt.Errorf("start container %s: %w", r.name, err)
		}
		return false, nil
	case found.State.Paused:
		return false, r.engine.restartPaused(ctx, r.id)
	case !found.State.Running || found.State.Restarting:
		return false, nil
	}
	if len(r.command) == 0 {
		if !r.runsSteadily(found.State.StartedAt) {
			return false, nil
		}
		return true, r.engine.limitPids(ctx, found)
	}
	code, output, err := r.engine.run(ctx, r.id, r.command)
	if err != nil {
		if ctx.Err() == nil {
			r.output = err.Error() // it may have ended meanwhile
		}
		return false, nil
	}
	r.output = output
	switch {
	case code == 0:
		return true, r.engine.limitPids(ctx, found)
	case code >= cannotRun && notThere.MatchString(output):
		return false, fmt.Errorf("app.healthCommand is %q: allowed is a command that the image has\n%s", r.command, r.engine.report(r.id, output))
	}
	return false, nil
}

// cannotRun is the least exit code of a command that cannot be run.
const cannotRun = 126

// notThere is what the engine says of a command that the image does not have.
var notThere = regexp.MustCompile(`OCI runtime exec failed: .*(executable file not found|no such file or directory)`)

// pausedGrace is how long in seconds a container that was paused has to end: what it
// was working on is given up by now.
const pausedGrace = 2

// restartPaused restarts a paused container: its clients and servers have left it.
func (e *Engine) restartPaused(ctx context.Context, id string) error {
	// Whoever was faster has restarted it by now.
	_, unpauseErr := e.api.ContainerUnpause(ctx, id, client.ContainerUnpauseOptions{})
	grace := pausedGrace
	if _, err := e.api.ContainerRestart(ctx, id, client.ContainerRestartOptions{Timeout: &grace}); err != nil {
		return fmt.Errorf("restart the paused container %s: %w", id, errors.Join(unpauseErr, err))
	}
	return nil
}

// runsSteadily tells whether a running container, which last started then, has run for
// a moment: as its start says or, where the engine's clock is another one, as was seen.
func (r *readiness) runsSteadily(started string) bool {
	if r.started != started {
		r.started, r.seen = started, time.Now()
	}
	start, err := time.Parse(time.RFC3339Nano, started)
	return err == nil && time.Since(start) > r.steady || time.Since(r.seen) > r.steady
}

// run runs a command inside a container and returns its exit code and output.
func (e *Engine) run(ctx context.Context, id string, command []string) (int, string, error) {
	created, err := e.api.ExecCreate(ctx, id, client.ExecCreateOptions{Cmd: command, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return 0, "", err
	}
	attached, err := e.api.ExecAttach(ctx, created.ID, client.ExecAttachOptions{})
	if err != nil {
		return 0, "", err
	}
	defer attached.Close()
	context.AfterFunc(ctx, attached.Close)
	output, err := plain(attached.Reader)
	if err != nil {
		return 0, "", err
	}
	result, err := e.api.ExecInspect(ctx, created.ID, client.ExecInspectOptions{})
	return result.ExitCode, output, err
}

// Output runs a command inside a container, and returns what it prints once it has
// succeeded.
func (e *Engine) Output(ctx context.Context, id string, command ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	code, output, err := e.run(ctx, id, command)
	if err == nil && code != 0 {
		err = fmt.Errorf("%q in container %s: exit code %d\n%s", command, id, code, output)
	}
	return output, err
}
