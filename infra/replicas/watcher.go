package replicas

import (
	_ "embed"
	"fmt"
	"regexp"
	"strings"
	"text/template"

	"helloworld/infra/config"
	"helloworld/infra/workload"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

//go:embed watcher.sh
var watcherScript string

//go:embed metrics.conf
var metricsConf string

//go:embed filter.conf.tmpl
var filterTemplate string

var filterConf = template.Must(template.New("filter.conf").Parse(filterTemplate))

// WatcherArgs says whom the watcher watches, and how it restarts them.
type WatcherArgs struct {
	Stack  *workload.Stack
	Image  pulumi.StringInput // id of an image with nginx, sh and curl
	App    config.App
	Domain string // by which clients know the service
	List   string // URL, on the stack's network, of the names of the replicas that serve
	Engine string // path of the engine's socket on its host
}

// Watcher restarts replicas that do not answer.
type Watcher struct {
	pulumi.ResourceState
}

// WatcherAddress is where the watcher shows its metrics on the stack's network.
const WatcherAddress = watcher + ":8083"

const (
	watcher = "replica-watcher"
	filter  = "replica-filter"
)

// NewWatcher runs the watcher, and between it and the engine a filter. Neither
// depends on the number of replicas, nor on their names.
func NewWatcher(ctx *pulumi.Context, name string, args WatcherArgs, opts ...pulumi.ResourceOption) (*Watcher, error) {
	w := &Watcher{}
	if err := ctx.RegisterComponentResource("helloworld:replicas:Watcher", name, w, opts...); err != nil {
		return nil, fmt.Errorf("register %s: %w", name, err)
	}
	socket, err := workload.NewSocketVolume(ctx, args.Stack, filter, pulumi.Parent(w))
	if err != nil {
		return nil, err
	}
	rules, err := renderFilter(args.Stack.Prefix())
	if err != nil {
		return nil, err
	}
	d := workload.Filter{Component: filter, Image: args.Image, Engine: args.Engine, Volume: socket.Name, Rules: rules}.Describe()
	if _, err := workload.Run(ctx, args.Stack, filter, d, pulumi.Parent(w)); err != nil {
		return nil, err
	}
	if _, err := workload.Run(ctx, args.Stack, watcher, describeWatcher(args, socket.Name), pulumi.Parent(w)); err != nil {
		return nil, err
	}
	if err := ctx.RegisterResourceOutputs(w, pulumi.Map{}); err != nil {
		return nil, fmt.Errorf("register outputs of %s: %w", name, err)
	}
	return w, nil
}

// renderFilter returns the rules of the filter of the stack whose names begin with
// prefix.
func renderFilter(prefix string) (string, error) {
	var text strings.Builder
	if err := filterConf.Execute(&text, map[string]string{"Prefix": regexp.QuoteMeta(prefix)}); err != nil {
		return "", fmt.Errorf("render filter.conf: %w", err)
	}
	return text.String(), nil
}

func describeWatcher(args WatcherArgs, socket pulumi.StringInput) workload.Description {
	return workload.Description{
		Component:  watcher,
		Image:      args.Image,
		User:       "65534:65534", // nobody
		Entrypoint: []string{"sh", "-c"},
		Command:    []string{watcherScript},
		Env: map[string]pulumi.StringInput{
			"LIST":          pulumi.String(args.List),
			"APP_PORT":      pulumi.Sprintf("%d", args.App.Port),
			"HEALTH_PATH":   pulumi.String(args.App.HealthPath),
			"DOMAIN":        pulumi.String(args.Domain),
			"HANG_TIMEOUT":  pulumi.Sprintf("%d", args.App.HangTimeout),
			"START_TIMEOUT": pulumi.Sprintf("%d", args.App.StartTimeout),
			"METRICS":       pulumi.String(metricsConf),
		},
		Volumes:    []workload.Volume{{Name: socket, Path: workload.FilterFolder, ReadOnly: true}},
		Tmpfs:      []string{"/tmp"},
		Aliases:    []string{watcher},
		Memory:     64,
		Pids:       200,       // with 100 replicas
		StopSignal: "SIGTERM", // the image's own is nginx's
		StopGrace:  5,
		Alone:      true, // two would restart a replica twice
	}
}
