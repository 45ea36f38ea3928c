package logging

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"text/template"

	"helloworld/infra/workload"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

//go:embed collector.yml.tmpl
var collectorTemplate string

// JSON's strings are YAML's.
var collectorConfiguration = template.Must(template.New("collector.yml").Funcs(template.FuncMap{"json": quote}).Parse(collectorTemplate))

func quote(text string) (string, error) {
	quoted, err := json.Marshal(text)
	return string(quoted), err
}

// Where the collector finds Docker's log files, and keeps how far it has read them
// and what it could not send yet.
const (
	logFiles        = "/containers"
	collectorFolder = "/var/lib/otelcol"
)

// queueSize is what the collector keeps while VictoriaLogs is away, in bytes.
const queueSize = 512 << 20

// runCollector runs the collector. Docker's folder is mounted read-only, and the
// engine's socket is not.
func runCollector(ctx *pulumi.Context, l *Logging, args Args) error {
	configuration := args.Stack.ID.ApplyT(func(id string) (string, error) {
		return renderCollector(args.Stack.Label(), id)
	}).(pulumi.StringOutput)
	d := l.describe(args, "collector", args.Images.Collector, 128)
	d.Env["CONFIG"] = configuration
	d.Alone = true // two would have one folder, and send everything twice
	d.HostPaths = []workload.HostPath{{Host: args.LogFiles, Path: logFiles}}
	d.Volumes = []workload.Volume{{Name: args.Data["collector"], Path: collectorFolder}}
	// With the gate a line counts as read when the queue on disk has it.
	d.Command = []string{"--config=env:CONFIG", "--feature-gates=stanza.synchronousLogEmitter"}
	check := d
	check.Tmpfs = []string{collectorFolder}
	image, err := l.check(ctx, args, check, append([]string{"validate"}, d.Command...)...)
	if err != nil {
		return err
	}
	d.Image = image
	_, err = workload.Run(ctx, args.Stack, "collector", d, pulumi.Parent(l))
	return err
}

// renderCollector returns the configuration of the collector for the stack
// (project/stack) with that id.
func renderCollector(stack, id string) (string, error) {
	var text strings.Builder
	err := collectorConfiguration.Execute(&text, map[string]any{
		"Stack":          stack,
		"ID":             id,
		"IDLabel":        workload.IDLabel,
		"ComponentLabel": workload.ComponentLabel,
		"Files":          logFiles,
		"Folder":         collectorFolder,
		"Store":          URL,
		"Queue":          queueSize,
		"MetricsPort":    collectorPort,
	})
	if err != nil {
		return "", fmt.Errorf("render collector.yml: %w", err)
	}
	return text.String(), nil
}
