package engine

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// reportLines is how much of a log a report shows.
const reportLines = "20"

// Report says how the container with the name fares: its state, the last output
// of its health check and the last lines of its log.
func (e *Engine) Report(name string) string {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	inspected, err := e.api.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if err != nil {
		return "" // it was never made: the provider's message says why
	}
	found := inspected.Container
	var report strings.Builder
	fmt.Fprintf(&report, "container %s is %s", name, found.State.Status)
	if found.RestartCount > 0 || !found.State.Running {
		fmt.Fprintf(&report, ", exit code %d, restarted %d times", found.State.ExitCode, found.RestartCount)
	}
	if found.State.OOMKilled {
		report.WriteString(", killed for using more memory than its limit")
	}
	if health := found.State.Health; health != nil {
		fmt.Fprintf(&report, ", %s", health.Status)
		if len(health.Log) > 0 {
			last := health.Log[len(health.Log)-1]
			fmt.Fprintf(&report, "\nlast health check (exit code %d): %s", last.ExitCode, strings.TrimSpace(last.Output))
		}
	}
	fmt.Fprintf(&report, "\nlast lines of its log:\n%s", e.log(ctx, found.ID, found.Config.Tty))
	return report.String()
}

func (e *Engine) log(ctx context.Context, id string, tty bool) string {
	stream, err := e.api.ContainerLogs(ctx, id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: reportLines})
	if err != nil {
		return err.Error()
	}
	defer stream.Close()
	var text bytes.Buffer
	if tty {
		_, err = text.ReadFrom(stream)
	} else {
		_, err = stdcopy.StdCopy(&text, &text, stream)
	}
	if err != nil {
		fmt.Fprintln(&text, err)
	}
	return text.String()
}
