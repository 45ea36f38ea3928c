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
func NewStack(ctx *pulumi.Context, hooks *pulumi.ResourceHookBinding, attempt Attempts) (*Stack, error) {
	stack := &Stack{Project: ctx.Project(), Name: ctx.Stack(), Hooks: hooks, Attempt: attempt}
	if longest := len(stack.Prefix()) + len("-replica-100-1234567"); longest > maxNameLength {
		return nil, fmt.Errorf("the stack's name is %s: allowed are %d characters, so that its containers' names resolve",
			stack.Name, maxNameLength-longest+len(stack.Name))
	}
	if err := ctx.RegisterComponentResource("helloworld:workload:Stack", "stack", stack); err != nil {
		return nil, fmt.Errorf("register stack: %w", err)
	}
	network, err := newNetwork(ctx, stack, stack.Prefix(), false, pulumi.Parent(stack))
	if err != nil {
		return nil, err
	}
	stack.Network = network
	if err := ctx.RegisterResourceOutputs(stack, pulumi.Map{"network": network.Name}); err != nil {
		return nil, fmt.Errorf("register outputs of stack: %w", err)
	}
	return stack, nil
}

// NewNetwork makes a further network, for workloads that not all others may reach.
func NewNetwork(ctx *pulumi.Context, stack *Stack, name string, opts ...pulumi.ResourceOption) (*docker.Network, error) {
	return newNetwork(ctx, stack, stack.Prefix()+"-"+name, false, opts...)
}

// NewInternalNetwork makes a further network that leads nowhere else: not to other
// networks, and no port of its workloads can be published.
func NewInternalNetwork(ctx *pulumi.Context, stack *Stack, name string, opts ...pulumi.ResourceOption) (*docker.Network, error) {
	return newNetwork(ctx, stack, stack.Prefix()+"-"+name, true, opts...)
}

func newNetwork(ctx *pulumi.Context, stack *Stack, name string, internal bool, opts ...pulumi.ResourceOption) (*docker.Network, error) {
	network, err := docker.NewNetwork(ctx, name, &docker.NetworkArgs{
		Driver:   pulumi.String("bridge"),
		Internal: pulumi.Bool(internal),
		Labels: docker.NetworkLabelArray{docker.NetworkLabelArgs{
			Label: pulumi.String(StackLabel), Value: pulumi.String(stack.ID()),
		}},
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("create network %s: %w", name, err)
	}
	return network, nil
}

// NewVolume makes a volume for the workload called name.
func NewVolume(ctx *pulumi.Context, stack *Stack, name string, opts ...pulumi.ResourceOption) (*docker.Volume, error) {
	return newVolume(ctx, stack, name, nil, opts...)
}

// NewSocketVolume makes a volume in memory, through which workloads share a socket:
// nothing in it outlives those that use it.
func NewSocketVolume(ctx *pulumi.Context, stack *Stack, name string, opts ...pulumi.ResourceOption) (*docker.Volume, error) {
	tmpfs := pulumi.StringMap{"type": pulumi.String("tmpfs"), "device": pulumi.String("tmpfs"), "o": pulumi.String("mode=0755,size=64k")}
	return newVolume(ctx, stack, name, tmpfs, opts...)
}

func newVolume(ctx *pulumi.Context, stack *Stack, name string, driver pulumi.StringMapInput, opts ...pulumi.ResourceOption) (*docker.Volume, error) {
	volume, err := docker.NewVolume(ctx, stack.Prefix()+"-"+name, &docker.VolumeArgs{
		DriverOpts: driver,
		Labels: docker.VolumeLabelArray{docker.VolumeLabelArgs{
			Label: pulumi.String(StackLabel), Value: pulumi.String(stack.ID()),
		}},
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("create %s volume: %w", name, err)
	}
	return volume, nil
}
