// Package logging brings the lines of all containers of the stack to one place: a
// collector reads Docker's log files and sends them to VictoriaLogs, which keeps and
// searches them; vmalert judges what only lines tell.
package logging

import (
	"fmt"

	"helloworld/infra/config"
	"helloworld/infra/workload"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Where VictoriaLogs answers, on logging's and on monitoring's network.
const (
	storePort = 9428
	storeName = "victorialogs"
)

// URL is the address of VictoriaLogs.
var URL = fmt.Sprintf("http://%s:%d", storeName, storePort)

// Ports inside the containers at which the other two tell how they fare.
const (
	collectorPort = 8888
	vmalertPort   = 8880
)

// Target is where a component tells how it fares: at http://Address/metrics.
type Target struct {
	Job     string // its component's name
	Address string // host:port
}

// Targets are those of all components.
func Targets() []Target {
	return []Target{
		{"collector", fmt.Sprintf("collector:%d", collectorPort)},
		{storeName, fmt.Sprintf("%s:%d", storeName, storePort)},
		{"vmalert", fmt.Sprintf("vmalert:%d", vmalertPort)},
	}
}

// Args says what is logged, and how long it is kept.
type Args struct {
	Stack    *workload.Stack
	Images   Images
	Data     map[string]pulumi.StringInput // names of the volumes that keep data, by component
	Logging  config.Logging
	LogFiles string  // folder, on the engine's host, of the containers' log files
	Alerts   *Alerts // nil where nothing is monitored: then nothing is judged
}

// Alerts says who is told of alerts.
type Alerts struct {
	Network *docker.Network // monitoring's
	URL     string          // of Alertmanager, on that network
	Runbook string          // URL of the runbook; empty is its path in the project
}

// Images holds the id of an image on the engine for each component.
type Images struct {
	Collector    pulumi.StringInput
	VictoriaLogs pulumi.StringInput
	VMAlert      pulumi.StringInput
}

// Logging is what keeps the logs.
type Logging struct {
	pulumi.ResourceState

	network *docker.Network
}

// New runs all of it.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*Logging, error) {
	l := &Logging{}
	if err := ctx.RegisterComponentResource("helloworld:logging:Logging", name, l, opts...); err != nil {
		return nil, fmt.Errorf("register %s: %w", name, err)
	}
	network, err := workload.NewInternalNetwork(ctx, args.Stack, "logging", pulumi.Parent(l))
	if err != nil {
		return nil, err
	}
	l.network = network
	parts := []func(*pulumi.Context, *Logging, Args) error{runStore, runCollector}
	if args.Alerts != nil {
		parts = append(parts, runVMAlert)
	}
	for _, run := range parts {
		if err := run(ctx, l, args); err != nil {
			return nil, err
		}
	}
	if err := ctx.RegisterResourceOutputs(l, pulumi.Map{"network": network.Name}); err != nil {
		return nil, fmt.Errorf("register outputs of %s: %w", name, err)
	}
	return l, nil
}

// describe describes what the components have in common: each is found by its name,
// by monitoring too. They run as root without a capability: so they can read Docker's
// files and own their volumes.
func (l *Logging) describe(args Args, name string, image pulumi.StringInput, memory int) workload.Description {
	d := workload.Description{
		Component: name,
		Image:     image,
		User:      "0:0",
		Networks:  []*docker.Network{l.network},
		Aliases:   []string{name},
		Memory:    memory,
		Pids:      200,
		StopGrace: 30,
		// Of the limit, a tenth is left for what Go does not count.
		Env: map[string]pulumi.StringInput{"GOMEMLIMIT": pulumi.Sprintf("%dMiB", memory*9/10)},
	}
	if args.Alerts != nil {
		d.Networks = append(d.Networks, args.Alerts.Network)
	}
	return d
}

// check returns the image's id once the command has found the configuration good.
// Not being alone the check can be replaced, and what depends on it stays.
func (l *Logging) check(ctx *pulumi.Context, args Args, d workload.Description, command ...string) (pulumi.StringInput, error) {
	d.Component += "-check"
	d.Command = command
	d.Volumes, d.HostPaths, d.Health, d.Alone = nil, nil, nil, false
	return workload.Check(ctx, args.Stack, d, pulumi.Parent(l))
}

// runStore runs VictoriaLogs. It has no login, so no port of the host leads to it. Its
// image has nothing to look at its health with: monitoring does.
func runStore(ctx *pulumi.Context, l *Logging, args Args) error {
	const data = "/victoria-logs-data"
	d := l.describe(args, storeName, args.Images.VictoriaLogs, 256)
	d.Volumes = []workload.Volume{{Name: args.Data[storeName], Path: data}}
	d.Alone = true // two would write one folder
	d.Command = []string{
		"-storageDataPath=" + data,
		fmt.Sprintf("-httpListenAddr=:%d", storePort),
		"-retentionPeriod=" + args.Logging.Retention,
		"-retention.maxDiskSpaceUsageBytes=" + args.Logging.RetentionSize,
		"-inmemoryDataFlushInterval=1s",
		"-memory.allowedBytes=96MiB",
		"-defaultMsgValue=", // an empty line is one
		"-loggerFormat=json",
	}
	_, err := workload.Run(ctx, args.Stack, storeName, d, pulumi.Parent(l))
	return err
}
