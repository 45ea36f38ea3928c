package workload

import (
	"fmt"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// maxNameLength is the longest name that resolves, in characters (RFC 1035).
const maxNameLength = 63

// NewStack makes the stack's network, on which its workloads find each other by
// name, and describes the stack.
func NewStack(ctx *pulumi.Context, hooks *pulumi.ResourceHookBinding) (*Stack, error) {
	stack := &Stack{Project: ctx.Project(), Name: ctx.Stack(), Hooks: hooks}
	if longest := len(stack.Prefix()) + len("-replica-100-1234567"); longest > maxNameLength {
		return nil, fmt.Errorf("the stack's name is %s: allowed are %d characters, so that its containers' names resolve",
			stack.Name, maxNameLength-longest+len(stack.Name))
	}
	if err := ctx.RegisterComponentResource("helloworld:workload:Stack", "stack", stack); err != nil {
		return nil, fmt.Errorf("register stack: %w", err)
	}
	network, err := docker.NewNetwork(ctx, stack.Prefix(), &docker.NetworkArgs{
		Driver: pulumi.String("bridge"),
		Labels: docker.NetworkLabelArray{docker.NetworkLabelArgs{
			Label: pulumi.String(StackLabel), Value: pulumi.String(stack.ID()),
		}},
	}, pulumi.Parent(stack))
	if err != nil {
		return nil, fmt.Errorf("create network: %w", err)
	}
	stack.Network = network
	if err := ctx.RegisterResourceOutputs(stack, pulumi.Map{"network": network.Name}); err != nil {
		return nil, fmt.Errorf("register outputs of stack: %w", err)
	}
	return stack, nil
}

// NewVolume makes a volume for the workload called name.
func NewVolume(ctx *pulumi.Context, stack *Stack, name string, opts ...pulumi.ResourceOption) (*docker.Volume, error) {
	volume, err := docker.NewVolume(ctx, stack.Prefix()+"-"+name, &docker.VolumeArgs{
		Labels: docker.VolumeLabelArray{docker.VolumeLabelArgs{
			Label: pulumi.String(StackLabel), Value: pulumi.String(stack.ID()),
		}},
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("create %s volume: %w", name, err)
	}
	return volume, nil
}
