package engine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// reportLines is how much of a log a report shows.
const reportLines = "20"

// Report says how a container fares: its state and the last lines of its log.
func (e *Engine) Report(id string) string { return e.report(id, "") }

// report says how a container fares: its state, the last output of its health
// command and the last lines of its log.
func (e *Engine) report(id, lastCheck string) string {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	inspected, err := e.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return err.Error()
	}
	found := inspected.Container
	var report strings.Builder
	fmt.Fprintf(&report, "it is %s, exit code %d, restarted %d times", found.State.Status, found.State.ExitCode, found.RestartCount)
	if found.State.OOMKilled {
		report.WriteString(", killed for using more memory than its limit")
	}
	if lastCheck != "" {
		fmt.Fprintf(&report, "\nits health command says: %s", strings.TrimSpace(lastCheck))
	}
	stream, err := e.api.ContainerLogs(ctx, id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: reportLines})
	if err != nil {
		return report.String() + "\n" + err.Error()
	}
	defer stream.Close()
	log, err := plain(stream)
	if err != nil {
		log += err.Error()
	}
	fmt.Fprintf(&report, "\nthe last lines of its log:\n%s", log)
	return report.String()
}

// plain reads the engine's stream of a container without a terminal: standard
// output and standard error, in one text.
func plain(stream io.Reader) (string, error) {
	var text bytes.Buffer
	_, err := stdcopy.StdCopy(&text, &text, stream)
	return text.String(), err
}
