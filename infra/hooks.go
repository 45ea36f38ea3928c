package main

import (
	"fmt"
	"strconv"

	"helloworld/infra/config"
	"helloworld/infra/workload"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// host is the Docker Engine as the program sees it.
type host interface {
	Check(stack string, c config.Config) error
	Attempt(stack, component string) (int, error)
	LimitPids(container string, limit int64) error
	Report(container string) string
}

// newHooks do for each container what the provider does not: limit its processes
// once it is made, and say why it could not be.
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
	report, err := ctx.RegisterErrorHook("report", func(args *pulumi.ErrorHookArgs) (bool, error) {
		name := args.NewInputs["name"]
		if args.FailedOperation == "create" && name.IsString() {
			if text := host.Report(name.StringValue()); text != "" {
				return false, ctx.Log.Error(text, nil)
			}
		}
		return false, nil
	})
	if err != nil {
		return nil, fmt.Errorf("register hook: %w", err)
	}
	return &pulumi.ResourceHookBinding{
		AfterCreate: []*pulumi.ResourceHook{limit},
		OnError:     []*pulumi.ErrorHook{report},
	}, nil
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
