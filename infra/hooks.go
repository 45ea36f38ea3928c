package main

import (
	"fmt"
	"time"

	"helloworld/infra/config"
	"helloworld/infra/image"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// host is the Docker Engine as the program sees it.
type host interface {
	Check(own []string, c config.Config) error
	CheckVersion(repository, version string) error
	Serves(repository, version string, keep int) error
	AwaitReady(container string, command []string, limit time.Duration) error
	Report(container string) string
	LimitPids(container string) error
	Socket() string
	Layers() (folder, socket string, err error)
	LogFiles() (string, error)
}

// hooks are run by Pulumi when a resource was made, or could not be.
type hooks struct {
	container *pulumi.ResourceHookBinding
	build     *pulumi.ResourceHookBinding
}

// newHooks limits the processes of each container once it is made, which the
// provider cannot, and reports failed builds. A container that does not run just
// then cannot be limited either, which is no error: AwaitReady sees to it, or says
// why the container does not run.
func newHooks(ctx *pulumi.Context, host host) (hooks, error) {
	limit, err := ctx.RegisterResourceHook("limit-pids", func(args *pulumi.ResourceHookArgs) error {
		return host.LimitPids(string(args.ID))
	}, &pulumi.ResourceHookOptions{IgnoreErrors: true})
	if err != nil {
		return hooks{}, fmt.Errorf("register hook: %w", err)
	}
	build, err := image.Hooks(ctx)
	if err != nil {
		return hooks{}, err
	}
	return hooks{
		container: &pulumi.ResourceHookBinding{AfterCreate: []*pulumi.ResourceHook{limit}},
		build:     build,
	}, nil
}
