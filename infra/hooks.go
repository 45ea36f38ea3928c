package main

import (
	"fmt"
	"time"

	"helloworld/infra/config"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// host is the Docker Engine as the program sees it.
type host interface {
	Check(stack string, c config.Config) error
	Attempt(stack, component string) (int, error)
	AwaitReady(container string, command []string, limit time.Duration) error
	LimitPids(container string) error
}

// newHooks limit the processes of each container once it is made: the provider
// cannot. A container that does not run just then cannot be limited either, which
// is no error: AwaitReady sees to it, or says why the container does not run.
func newHooks(ctx *pulumi.Context, host host) (*pulumi.ResourceHookBinding, error) {
	limit, err := ctx.RegisterResourceHook("limit-pids", func(args *pulumi.ResourceHookArgs) error {
		return host.LimitPids(string(args.ID))
	}, &pulumi.ResourceHookOptions{IgnoreErrors: true})
	if err != nil {
		return nil, fmt.Errorf("register hook: %w", err)
	}
	return &pulumi.ResourceHookBinding{AfterCreate: []*pulumi.ResourceHook{limit}}, nil
}
