package main

import (
	"fmt"
	"strconv"
	"time"

	"helloworld/infra/config"
	"helloworld/infra/workload"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// host is the Docker Engine as the program sees it.
type host interface {
	Check(stack string, c config.Config) error
	Attempt(stack, component string) (int, error)
	AwaitReady(container string, command []string, limit time.Duration) error
	LimitPids(container string, limit int64) error
}

// newHooks limit the processes of each container once it is made: the provider
// cannot.
func newHooks(ctx *pulumi.Context, host host) (*pulumi.ResourceHookBinding, error) {
	limit, err := ctx.RegisterResourceHook("limit-pids", func(args *pulumi.ResourceHookArgs) error {
		limit, err := strconv.ParseInt(label(args.NewInputs, workload.PidsLabel), 10, 64)
		if err != nil {
			return fmt.Errorf("read the label %s: %w", workload.PidsLabel, err)
		}
		return host.LimitPids(string(args.ID), limit)
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("register hook: %w", err)
	}
	return &pulumi.ResourceHookBinding{AfterCreate: []*pulumi.ResourceHook{limit}}, nil
}

// label finds a label in a container's inputs.
func label(inputs resource.PropertyMap, name string) string {
	labels := inputs["labels"]
	if !labels.IsArray() {
		return ""
	}
	for _, entry := range labels.ArrayValue() {
		if entry.IsObject() && entry.ObjectValue()["label"].StringValue() == name {
			return entry.ObjectValue()["value"].StringValue()
		}
	}
	return ""
}
