package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// storeURL is where VictoriaLogs answers, in its container: no port of the host
// leads to it.
const storeURL = "http://127.0.0.1:9428/select/logsql/"

// storeScript asks for a URL. Its end of input is the client's end, even of one that
// was killed: it ends wget, which would go on. It has no child but the two that it
// waits for, as nobody else would.
const storeScript = `
exec 3<&0
wget -q -T "$1" -O - "$0" </dev/null 3<&- &
wget=$!
(while read -r line; do :; done; kill $wget) <&3 >/dev/null 2>&1 &
watch=$!
wait $wget
code=$?
kill $watch 2>/dev/null
wait $watch 2>/dev/null
exit $code`

// storeContainer is the container of VictoriaLogs.
type storeContainer struct {
	api *client.Client
	id  string
}

// ask is an asker. An error of take is returned as it is.
func (s storeContainer) ask(ctx context.Context, endpoint string, arguments url.Values, take func(line) error) error {
	timeout := "35" // a query may take 30
	if endpoint == "tail" {
		timeout = "0" // none: there may be nothing to tell
	}
	err := s.exec(ctx, []string{"sh", "-c", storeScript, storeURL + endpoint + "?" + arguments.Encode(), timeout}, func(out io.Reader) error {
		return readRows(out, take)
	})
	if err != nil && !errors.As(err, new(*printError)) {
		err = fmt.Errorf("VictoriaLogs does not answer: %w", err)
	}
	return err
}

// exec runs a command in the container until it ends, and no longer than ctx or
// read, which reads what it prints.
func (s storeContainer) exec(ctx context.Context, command []string, read func(io.Reader) error) error {
	created, err := s.api.ExecCreate(ctx, s.id, client.ExecCreateOptions{Cmd: command, AttachStdin: true, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return err
	}
	attached, err := s.api.ExecAttach(ctx, created.ID, client.ExecAttachOptions{})
	if err != nil {
		return err
	}
	defer attached.Close()
	defer context.AfterFunc(ctx, attached.Close)()
	out, in := io.Pipe()
	var complaint strings.Builder
	copied := make(chan error, 1)
	go func() {
		_, err := stdcopy.StdCopy(in, &complaint, attached.Reader)
		in.CloseWithError(err) // nil is the end
		copied <- err
	}()
	if err := read(out); err != nil {
		out.CloseWithError(err)
		return err
	}
	if err := <-copied; err != nil {
		return err
	}
	ended, err := s.api.ExecInspect(ctx, created.ID, client.ExecInspectOptions{})
	if err == nil && ended.ExitCode != 0 {
		err = errors.New(cmp.Or(strings.TrimSpace(complaint.String()), fmt.Sprintf("wget ends with code %d", ended.ExitCode)))
	}
	return err
}

// readRows reads a row of JSON for each line.
func readRows(in io.Reader, take func(line) error) error {
	rows := json.NewDecoder(in)
	for {
		var row struct {
			Time      time.Time `json:"_time"`
			Text      string    `json:"_msg"`
			Container string
			Level     string
		}
		err := rows.Decode(&row)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		l := line{time: row.Time, container: row.Container, text: row.Text, failed: row.Level == "error" || row.Level == "fatal"}
		if err := take(l); err != nil {
			return err
		}
	}
}
