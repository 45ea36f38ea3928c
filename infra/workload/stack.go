package workload

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"helloworld/infra/state"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi-tls/sdk/v5/go/tls"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// maxNameLength is the longest name that resolves, in characters (RFC 1035).
const maxNameLength = 63

// Labels that everything the stack makes carries.
const (
	StackLabel     = "helloworld.stack"     // project and stack: helloworld/dev
	IDLabel        = "helloworld.id"        // tells this state's stack from others of its name
	ComponentLabel = "helloworld.component" // of containers: replica, proxy, ...
	PidsLabel      = "helloworld.pids"      // of containers: limit of processes and threads
	HealthLabel    = "helloworld.health"    // of containers: what looks at their health
	AttemptLabel   = "helloworld.attempt"   // of one-shots: number of the run
	DataLabel      = "helloworld.data"      // of volumes with data that nothing makes anew
)

// Stack is what all workloads of one stack share.
type Stack struct {
	pulumi.ResourceState

	Project string
	Name    string
	ID      pulumi.StringOutput // value of IDLabel
	Network *docker.Network
	Hooks   *pulumi.ResourceHookBinding // run by Pulumi when a container was made
	last    state.State
}

// Label is the value of StackLabel.
func (s *Stack) Label() string { return s.Project + "/" + s.Name }

// Prefix begins the names of everything the stack makes on the engine.
func (s *Stack) Prefix() string { return Prefix(s.Project, s.Name) }

// Prefix begins the names of everything that a project's stack makes on the engine.
func Prefix(project, stack string) string { return project + "-" + stack }

// Identity is the name of the key whose public half tells the state's stack from
// others that have its name.
const Identity = "identity"

// KnownID returns the value of IDLabel where the stack's last run made it, or nothing.
func KnownID(last state.State) string {
	if key := last.PublicKey(Identity); key != "" {
		return ID(key)
	}
	return ""
}

// HasVolume tells whether the stack's last run knew the volume called name.
func (s *Stack) HasVolume(name string) bool { return s.last.HasVolume(s.Prefix() + "-" + name) }

// ID is the value of IDLabel: 12 hexadecimal digits, from the PEM of a public key.
func ID(publicKey string) string {
	sum := sha256.Sum256([]byte(strings.TrimSpace(publicKey)))
	return hex.EncodeToString(sum[:])[:12]
}

// NewStack makes the stack's network, on which its workloads find each other by
// name, and describes the stack. last is what its last run knew.
func NewStack(ctx *pulumi.Context, hooks *pulumi.ResourceHookBinding, last state.State) (*Stack, error) {
	stack := &Stack{Project: ctx.Project(), Name: ctx.Stack(), Hooks: hooks, last: last}
	if longest := len(stack.Prefix()) + len("-replica-100-1234567"); longest > maxNameLength {
		return nil, fmt.Errorf("the stack's name is %s: allowed are %d characters, so that its containers' names resolve",
			stack.Name, maxNameLength-longest+len(stack.Name))
	}
	if err := ctx.RegisterComponentResource("helloworld:workload:Stack", "stack", stack); err != nil {
		return nil, fmt.Errorf("register stack: %w", err)
	}
	key, err := tls.NewPrivateKey(ctx, Identity, &tls.PrivateKeyArgs{Algorithm: pulumi.String("ED25519")}, pulumi.Parent(stack))
	if err != nil {
		return nil, fmt.Errorf("create identity: %w", err)
	}
	stack.ID = key.PublicKeyPem.ApplyT(ID).(pulumi.StringOutput)
	network, err := newNetwork(ctx, stack, stack.Prefix(), false, pulumi.Parent(stack))
	if err != nil {
		return nil, err
	}
	stack.Network = network
	if err := ctx.RegisterResourceOutputs(stack, pulumi.Map{"network": network.Name, "id": stack.ID}); err != nil {
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
		Labels: docker.NetworkLabelArray{
			docker.NetworkLabelArgs{Label: pulumi.String(IDLabel), Value: stack.ID},
			docker.NetworkLabelArgs{Label: pulumi.String(StackLabel), Value: pulumi.String(stack.Label())},
		},
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("create network %s: %w", name, err)
	}
	return network, nil
}

// NewVolume makes a volume for the workload called name.
func NewVolume(ctx *pulumi.Context, stack *Stack, name string, opts ...pulumi.ResourceOption) (*docker.Volume, error) {
	return newVolume(ctx, stack, name, docker.VolumeArgs{}, opts...)
}

// NewDataVolume makes a volume whose content nothing makes anew: once made it goes only
// with the whole stack. It was the child of a component of the type and name in earlier
// versions of this program.
func NewDataVolume(ctx *pulumi.Context, stack *Stack, name, formerType, formerParent string) (*docker.Volume, error) {
	former := pulumi.URN(fmt.Sprintf("urn:pulumi:%s::%s::%s::%s", stack.Name, stack.Project, formerType, formerParent))
	args := docker.VolumeArgs{Labels: docker.VolumeLabelArray{docker.VolumeLabelArgs{Label: pulumi.String(DataLabel), Value: pulumi.String(name)}}}
	return newVolume(ctx, stack, name, args, pulumi.Parent(stack), pulumi.Aliases([]pulumi.Alias{{ParentURN: former}}))
}

// NewSocketVolume makes a volume in memory, through which workloads share a socket:
// nothing in it outlives those that use it.
func NewSocketVolume(ctx *pulumi.Context, stack *Stack, name string, opts ...pulumi.ResourceOption) (*docker.Volume, error) {
	return newVolume(ctx, stack, name, docker.VolumeArgs{
		DriverOpts: pulumi.StringMap{"type": pulumi.String("tmpfs"), "device": pulumi.String("tmpfs"), "o": pulumi.String("mode=0755,size=64k")},
	}, opts...)
}

// newVolume makes a volume that no change replaces: what is in it would be lost, and
// everything that uses it replaced too.
func newVolume(ctx *pulumi.Context, stack *Stack, name string, args docker.VolumeArgs, opts ...pulumi.ResourceOption) (*docker.Volume, error) {
	labels, _ := args.Labels.(docker.VolumeLabelArray)
	args.Labels = append(labels,
		docker.VolumeLabelArgs{Label: pulumi.String(IDLabel), Value: stack.ID},
		docker.VolumeLabelArgs{Label: pulumi.String(StackLabel), Value: pulumi.String(stack.Label())},
	)
	opts = append(opts, pulumi.IgnoreChanges([]string{"driver", "driverOpts", "labels"}))
	volume, err := docker.NewVolume(ctx, stack.Prefix()+"-"+name, &args, opts...)
	if err != nil {
		return nil, fmt.Errorf("create %s volume: %w", name, err)
	}
	return volume, nil
}
