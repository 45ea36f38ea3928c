// Package replicas runs N copies of the service.
package replicas

import (
	"fmt"
	"time"

	"helloworld/infra/config"
	"helloworld/infra/workload"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Args says what to run, and how often.
type Args struct {
	Stack *workload.Stack
	Image pulumi.StringInput // id of the service's image on the engine
	App   config.App
	Count int
	// AwaitReady waits until the container with the id runs and, if there is a
	// command, that succeeds inside it, at most for limit.
	AwaitReady func(id string, command []string, limit time.Duration) error
}

// Replicas are running copies of the service.
type Replicas struct {
	pulumi.ResourceState

	// Names are the containers' names, which resolve on the stack's network. They
	// are known once every replica is ready.
	Names pulumi.StringArrayOutput
}

// The engine's own health check shows in docker ps. It is rare, for it costs a
// process each time; a rollout asks by itself.
const (
	healthInterval = 10 // seconds
	healthTimeout  = 3  // seconds
	healthRetries  = 3
)

// Alias is a name on the stack's network that resolves to every replica.
const Alias = "replicas"

// New makes the replicas; each must run, and its health command succeed, within the
// start timeout. Whether they answer is asked before the proxy takes them.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*Replicas, error) {
	r := &Replicas{}
	if err := ctx.RegisterComponentResource("helloworld:replicas:Replicas", name, r, opts...); err != nil {
		return nil, fmt.Errorf("register %s: %w", name, err)
	}
	var names pulumi.StringArray
	for number := 1; number <= args.Count; number++ {
		replica := fmt.Sprintf("replica-%d", number)
		container, err := workload.Run(ctx, args.Stack, replica, describe(args, replica), pulumi.Parent(r))
		if err != nil {
			return nil, err
		}
		names = append(names, nameWhenReady(ctx, args, container))
	}
	r.Names = names.ToStringArrayOutput()
	if err := ctx.RegisterResourceOutputs(r, pulumi.Map{"names": r.Names}); err != nil {
		return nil, fmt.Errorf("register outputs of %s: %w", name, err)
	}
	return r, nil
}

// nameWhenReady returns the container's name once it is ready. The error of one
// that is not ends the update, and with it every deletion: what served before
// serves on.
func nameWhenReady(ctx *pulumi.Context, args Args, container *docker.Container) pulumi.StringOutput {
	return pulumi.All(container.Name, container.ID()).ApplyT(func(values []any) (string, error) {
		name, id := values[0].(string), values[1].(pulumi.ID)
		if ctx.DryRun() {
			return name, nil
		}
		limit := time.Duration(args.App.StartTimeout) * time.Second
		return name, args.AwaitReady(string(id), args.App.HealthCommand, limit)
	}).(pulumi.StringOutput)
}

func describe(args Args, replica string) workload.Description {
	return workload.Description{
		Component: "replica",
		Image:     args.Image,
		Hostname:  replica,
		Env:       environment(args.App, replica),
		Tmpfs:     []string{"/tmp"},
		Aliases:   []string{Alias},
		Memory:    args.App.Memory,
		CPUs:      args.App.CPUs,
		Pids:      args.App.Pids,
		StopGrace: args.App.StopGrace,
		Health:    health(args.App),
	}
}

// health is nil without a command.
func health(app config.App) *workload.Health {
	if len(app.HealthCommand) == 0 {
		return nil
	}
	return &workload.Health{
		Command:  app.HealthCommand,
		Interval: healthInterval,
		Timeout:  healthTimeout,
		Retries:  healthRetries,
	}
}

// environment tells the service its port, its name and its grace, and then what
// the configuration says.
func environment(app config.App, replica string) map[string]pulumi.StringInput {
	env := map[string]pulumi.StringInput{
		"PORT":       pulumi.Sprintf("%d", app.Port),
		"REPLICA":    pulumi.String(replica),
		"STOP_GRACE": pulumi.Sprintf("%ds", app.StopGrace),
	}
	for name, value := range app.Env {
		env[name] = pulumi.String(value)
		if app.EnvSecret {
			env[name] = pulumi.ToSecret(pulumi.String(value)).(pulumi.StringOutput)
		}
	}
	return env
}
