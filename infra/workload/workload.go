// Package workload is the one room for container rules: it turns a description
// into a hardened docker.Container, and alone knows the provider's pitfalls.
package workload

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Description says what is to run, and how much it may use.
type Description struct {
	Component    string
	Image        pulumi.StringInput // id of an image on the engine
	User         string             // the image's own if empty
	Entrypoint   []string
	Command      []string
	Hostname     string
	Env          map[string]pulumi.StringInput
	Files        []File
	Volumes      []Volume
	HostPaths    []HostPath
	Tmpfs        []string          // writable folders in memory
	Networks     []*docker.Network // the stack's own if empty
	Isolated     bool              // without a network: reached through sockets in volumes alone
	Aliases      []string          // further names on the networks
	Ports        []Port
	Health       *Health
	Capabilities []string // kept; all others are dropped
	Memory       int      // limit in MB, swap included
	CPUs         float64  // limit in cores; 0 is all there are
	Pids         int      // limit of processes and threads
	StopSignal   string   // the image's own if empty, else SIGTERM
	StopGrace    int      // seconds from StopSignal to SIGKILL
	Alone        bool     // the old one goes before the new one comes, as if it published a port

	// OneShot runs to its end while the stack is deployed: among the processes and
	// in the network of the container with the id Joins, or without a network. It
	// runs again when Attempt changes.
	OneShot bool
	Joins   pulumi.StringInput
	Attempt int
}

// File is put into the container before it starts, readable for everyone there.
// The provider can do so only where the container's root is writable, so files are
// for one-shots.
type File struct {
	Path    string
	Content pulumi.StringInput
}

// Volume is mounted at Path.
type Volume struct {
	Name     pulumi.StringInput
	Path     string
	ReadOnly bool
}

// HostPath is a file or folder of the host, mounted read-only at Path.
type HostPath struct {
	Host string
	Path string
}

// Port publishes a TCP port of the container on the host.
type Port struct {
	Bind      string // IP address of the host
	Host      int
	Container int
}

// Health is a command run inside the container; exit code 0 means healthy.
type Health struct {
	Command  []string
	Interval int // seconds between two checks
	Timeout  int // seconds one check may take
	Retries  int // failed checks in a row until it is unhealthy
}

// Log limits: a container keeps at most maxLogFiles files of maxLogSize.
const (
	maxLogSize  = "10m"
	maxLogFiles = "3"
)

// logOptions let every line tell whose it is: which container's, of which component
// and which stack. Rotated files are not compressed: a collector that is stopped while
// it reads a compressed one does not go on where it was.
func logOptions() pulumi.StringMap {
	return pulumi.StringMap{
		"max-size": pulumi.String(maxLogSize),
		"max-file": pulumi.String(maxLogFiles),
		"compress": pulumi.String("false"),
		"tag":      pulumi.String("{{.Name}}"),
		"labels":   pulumi.String(ComponentLabel + "," + IDLabel),
	}
}

// foreignLogOptions are those options of the log driver that the stack does not set:
// the engine's daemon.json may. They are read back, and would replace the container.
var foreignLogOptions = []string{
	"cache-compress", "cache-disabled", "cache-max-file", "cache-max-size",
	"env", "env-regex", "labels-regex", "max-buffer-size", "mode",
}

// ignoreForeign leaves to the engine what daemon.json sets. The provider knows these
// paths in this spelling only.
func ignoreForeign() pulumi.ResourceOption {
	var paths []string
	for _, option := range foreignLogOptions {
		paths = append(paths, "logOpts."+option)
	}
	return pulumi.IgnoreChanges(paths)
}

// cpuPeriod is the time in microseconds over which a CPU limit is kept.
const cpuPeriod = 100_000

// Run makes the container. A change of anything in the description replaces it:
// the new one is made before the old one goes, unless it publishes a port or is to be
// alone.
func Run(ctx *pulumi.Context, stack *Stack, name string, d Description, opts ...pulumi.ResourceOption) (*docker.Container, error) {
	alone := d.Alone || len(d.Ports) > 0
	opts = append(opts,
		pulumi.DeleteBeforeReplace(alone),
		pulumi.ReplaceOnChanges([]string{"*"}),
		ignoreForeign(),
		pulumi.ResourceHooks(stack.Hooks),
	)
	container, err := docker.NewContainer(ctx, stack.Prefix()+"-"+name, d.arguments(stack), opts...)
	if err != nil {
		return nil, fmt.Errorf("create %s container: %w", name, err)
	}
	return container, nil
}

func (d Description) arguments(stack *Stack) *docker.ContainerArgs {
	args := &docker.ContainerArgs{
		Image:               d.Image,
		Envs:                d.environment(),
		Uploads:             d.uploads(),
		Mounts:              d.mounts(),
		Tmpfs:               d.tmpfs(),
		Labels:              d.labels(stack),
		ReadOnly:            pulumi.Bool(len(d.Files) == 0),
		Capabilities:        d.capabilities(),
		SecurityOpts:        pulumi.StringArray{pulumi.String("no-new-privileges")},
		Memory:              pulumi.Int(d.Memory),
		MemorySwap:          pulumi.Int(d.Memory), // unset, it would show as changed
		LogDriver:           pulumi.String("json-file"),
		LogOpts:             logOptions(),
		StopTimeout:         pulumi.Int(d.StopGrace),
		DestroyGraceSeconds: pulumi.Int(d.StopGrace), // unset, there would be none
	}
	// Unset lists are the image's own, empty ones would show as changed.
	if len(d.Entrypoint) > 0 {
		args.Entrypoints = pulumi.ToStringArray(d.Entrypoint)
	}
	if len(d.Command) > 0 {
		args.Command = pulumi.ToStringArray(d.Command)
	}
	if d.CPUs > 0 {
		// As a quota: cpus is read back in another spelling and would show as changed.
		args.CpuPeriod = pulumi.Int(cpuPeriod)
		args.CpuQuota = pulumi.Int(int(d.CPUs * cpuPeriod))
	}
	if d.Hostname != "" {
		args.Hostname = pulumi.String(d.Hostname)
	}
	if d.User != "" {
		args.User = pulumi.String(d.User)
	}
	if d.StopSignal != "" {
		args.StopSignal = pulumi.String(d.StopSignal)
	}
	if d.Health != nil {
		args.Healthcheck = d.Health.check()
	}
	if d.OneShot {
		args.Attach, args.Logs, args.MustRun = pulumi.Bool(true), pulumi.Bool(true), pulumi.Bool(false)
		args.Restart = pulumi.String("no")
		args.NetworkMode = pulumi.String("none")
		if d.Joins != nil {
			joined := pulumi.Sprintf("container:%s", d.Joins)
			args.PidMode, args.NetworkMode = joined, joined
		}
		return args
	}
	args.Restart = pulumi.String("unless-stopped")
	if d.Isolated {
		args.NetworkMode = pulumi.String("none")
		return args
	}
	args.NetworkMode = pulumi.String("bridge")
	args.NetworksAdvanced = d.networks(stack)
	args.Ports = d.ports()
	return args
}

// networks are attached when the container is made: a later change replaces it.
func (d Description) networks(stack *Stack) docker.ContainerNetworksAdvancedArray {
	if len(d.Networks) == 0 {
		d.Networks = []*docker.Network{stack.Network}
	}
	var networks docker.ContainerNetworksAdvancedArray
	for _, network := range d.Networks {
		networks = append(networks, docker.ContainerNetworksAdvancedArgs{
			Name:    network.Name,
			Aliases: pulumi.ToStringArray(d.Aliases),
		})
	}
	return networks
}

func (d Description) environment() pulumi.StringArray {
	var env pulumi.StringArray
	for _, name := range slices.Sorted(maps.Keys(d.Env)) {
		env = append(env, pulumi.Sprintf("%s=%s", name, d.Env[name]))
	}
	return env
}

func (d Description) uploads() docker.ContainerUploadArray {
	var uploads docker.ContainerUploadArray
	for _, file := range d.Files {
		uploads = append(uploads, docker.ContainerUploadArgs{
			File:        pulumi.String(file.Path),
			Content:     file.Content.ToStringOutput().ToStringPtrOutput(),
			Permissions: pulumi.String("0644"),
		})
	}
	return uploads
}

func (d Description) mounts() docker.ContainerMountArray {
	var mounts docker.ContainerMountArray
	for _, volume := range d.Volumes {
		mounts = append(mounts, docker.ContainerMountArgs{
			Type:     pulumi.String("volume"),
			Source:   volume.Name.ToStringOutput().ToStringPtrOutput(),
			Target:   pulumi.String(volume.Path),
			ReadOnly: pulumi.Bool(volume.ReadOnly),
		})
	}
	for _, path := range d.HostPaths {
		mounts = append(mounts, docker.ContainerMountArgs{
			Type:     pulumi.String("bind"),
			Source:   pulumi.String(path.Host),
			Target:   pulumi.String(path.Path),
			ReadOnly: pulumi.Bool(true),
		})
	}
	return mounts
}

func (d Description) tmpfs() pulumi.StringMap {
	tmpfs := pulumi.StringMap{}
	for _, path := range d.Tmpfs {
		tmpfs[path] = pulumi.String("rw,noexec,nosuid,size=64m")
	}
	return tmpfs
}

func (d Description) ports() docker.ContainerPortArray {
	var ports docker.ContainerPortArray
	for _, port := range d.Ports {
		ports = append(ports, docker.ContainerPortArgs{
			Ip:       pulumi.String(port.Bind),
			External: pulumi.Int(port.Host),
			Internal: pulumi.Int(port.Container),
		})
	}
	return ports
}

// capabilities are spelled as the engine reads them back.
func (d Description) capabilities() docker.ContainerCapabilitiesArgs {
	return docker.ContainerCapabilitiesArgs{
		Adds:  pulumi.ToStringArray(d.Capabilities),
		Drops: pulumi.StringArray{pulumi.String("ALL")},
	}
}

func (d Description) labels(stack *Stack) docker.ContainerLabelArray {
	labels := docker.ContainerLabelArray{}
	add := func(name string, value pulumi.StringInput) {
		labels = append(labels, docker.ContainerLabelArgs{Label: pulumi.String(name), Value: value})
	}
	add(ComponentLabel, pulumi.String(d.Component))
	// The provider does not see that a health check is there no more.
	if d.Health != nil {
		add(HealthLabel, pulumi.String(strings.Join(d.Health.Command, " ")))
	}
	add(IDLabel, stack.ID)
	add(PidsLabel, pulumi.String(strconv.Itoa(d.Pids)))
	add(StackLabel, pulumi.String(stack.Label()))
	if d.OneShot {
		add(AttemptLabel, pulumi.String(strconv.Itoa(d.Attempt)))
	}
	return labels
}

func (h Health) check() docker.ContainerHealthcheckArgs {
	return docker.ContainerHealthcheckArgs{
		Tests:    pulumi.ToStringArray(append([]string{"CMD"}, h.Command...)),
		Interval: pulumi.String(fmt.Sprintf("%ds", h.Interval)),
		Timeout:  pulumi.String(fmt.Sprintf("%ds", h.Timeout)),
		Retries:  pulumi.Int(h.Retries),
	}
}
