package monitoring

import (
	_ "embed"
	"strings"

	"helloworld/infra/workload"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// exporter describes what exporters have in common: their name is their host's.
func (m *Monitoring) exporter(name string, image pulumi.StringInput, memory int) workload.Description {
	return workload.Description{
		Component: name,
		Image:     image,
		Networks:  []*docker.Network{m.Network},
		Aliases:   []string{name},
		Memory:    memory,
		Pids:      50,
		StopGrace: 5,
	}
}

// runExporter runs an exporter under its component's name.
func runExporter(ctx *pulumi.Context, m *Monitoring, args Args, d workload.Description) (*docker.Container, error) {
	return workload.Run(ctx, args.Stack, d.Component, d, pulumi.Parent(m))
}

// hostCollectors are what the node exporter can see from inside a container: it
// has a network of its own, so none of the host's network.
var hostCollectors = []string{"cpu", "diskstats", "filesystem", "loadavg", "meminfo", "stat", "time", "uname", "vmstat"}

func runNodeExporter(ctx *pulumi.Context, m *Monitoring, args Args) (*docker.Container, error) {
	d := m.exporter("node-exporter", args.Images.NodeExporter, 48)
	d.HostPaths = []workload.HostPath{{Host: "/", Path: "/host"}}
	d.Command = []string{
		"--path.rootfs=/host",
		"--path.procfs=/host/proc",
		"--path.sysfs=/host/sys",
		"--collector.filesystem.mount-points-exclude=^/(dev|proc|run|sys|var/lib/(docker|containers)/.+)($|/)",
		"--collector.disable-defaults",
	}
	for _, collector := range hostCollectors {
		d.Command = append(d.Command, "--collector."+collector)
	}
	return runExporter(ctx, m, args, d)
}

func runBlackboxExporter(ctx *pulumi.Context, m *Monitoring, args Args) (*docker.Container, error) {
	configuration := args.Service.Authority.ToStringOutput().ApplyT(func(authority string) (string, error) {
		return renderBlackbox(args.Service.Domain, authority)
	}).(pulumi.StringOutput)
	d := m.exporter("blackbox-exporter", args.Images.BlackboxExporter, 48)
	d.User = nobody
	d.Networks = append(d.Networks, args.Stack.Network)
	d.Tmpfs = []string{"/tmp"}
	d.Env = map[string]pulumi.StringInput{"CONFIG": configuration}
	d.Entrypoint = []string{"sh", "-c"}
	d.Command = []string{`printf '%s' "$CONFIG" >/tmp/blackbox.yml && exec blackbox_exporter --config.file=/tmp/blackbox.yml`}
	return runExporter(ctx, m, args, d)
}

// nobody is the user for images that would run as root.
const nobody = "65534:65534"

func runNginxExporter(ctx *pulumi.Context, m *Monitoring, args Args) (*docker.Container, error) {
	d := m.exporter("nginx-exporter", args.Images.NginxExporter, 32)
	d.Volumes = []workload.Volume{{Name: args.Proxy.Status, Path: "/status", ReadOnly: true}}
	d.Command = []string{"--nginx.scrape-uri=unix:/status/" + args.Proxy.StatusSocket + ":" + args.Proxy.StatusPath}
	return runExporter(ctx, m, args, d)
}

//go:embed engine-filter.conf
var engineFilterConf string

//go:embed containerd-filter.conf
var containerdFilterConf string

// Where the filter listens, in the volume that it shares with cAdvisor.
const (
	engineSocket     = "/engine/docker.sock"
	containerdSocket = "/engine/containerd.sock"
)

// filterScript lets cAdvisor wait for the engine too.
const filterScript = `rm -f /engine/*.sock
until curl --silent --fail --max-time 5 --output /dev/null --unix-socket /docker.sock http://docker/_ping; do sleep 1; done
printf '%s' "$CONFIG" >/tmp/nginx.conf
printf '%s' "$CONTAINERD" >/tmp/containerd.conf
exec nginx -c /tmp/nginx.conf -g 'daemon off;'`

// filterEngine runs a filter before the engine, and before containerd where that
// keeps the images, and returns the volume with the filter's sockets.
func filterEngine(ctx *pulumi.Context, m *Monitoring, args Args) (*docker.Volume, error) {
	sockets, err := workload.NewSocketVolume(ctx, args.Stack, "engine-filter", pulumi.Parent(m))
	if err != nil {
		return nil, err
	}
	d := m.exporter("engine-filter", args.Images.Nginx, 32)
	d.HostPaths = []workload.HostPath{{Host: args.Engine.Socket, Path: "/docker.sock"}}
	d.Volumes = []workload.Volume{{Name: sockets.Name, Path: "/engine"}}
	d.Tmpfs = []string{"/run", "/tmp"}
	d.Capabilities = []string{"CAP_SETGID", "CAP_SETUID"}
	d.Env = map[string]pulumi.StringInput{"CONFIG": pulumi.String(engineFilterConf)}
	if args.Engine.Containerd != "" {
		d.HostPaths = append(d.HostPaths, workload.HostPath{Host: args.Engine.Containerd, Path: "/containerd.sock"})
		d.Env["CONTAINERD"] = pulumi.String(containerdFilterConf)
	}
	d.Entrypoint = []string{"sh", "-c"}
	d.Alone = true // two would have one socket
	d.Command = []string{filterScript}
	_, err = runExporter(ctx, m, args, d)
	return sockets, err
}

// runCAdvisor runs cAdvisor, and between it and the engine a filter.
func runCAdvisor(ctx *pulumi.Context, m *Monitoring, args Args) (*docker.Container, error) {
	sockets, err := filterEngine(ctx, m, args)
	if err != nil {
		return nil, err
	}
	d := m.exporter("cadvisor", args.Images.CAdvisor, 128)
	d.Volumes = []workload.Volume{{Name: sockets.Name, Path: "/engine", ReadOnly: true}}
	d.HostPaths = []workload.HostPath{
		{Host: "/proc", Path: "/rootfs/proc"},
		{Host: "/sys", Path: "/sys"},
	}
	there := "[ -S " + engineSocket + " ]"
	d.Command = []string{
		"--docker=unix://" + engineSocket,
		"--docker_only",
		"--housekeeping_interval=15s",
		"--max_housekeeping_interval=15s",
		"--disable_root_cgroup_stats",
		"--store_container_labels=false",
		"--whitelisted_container_labels=" + strings.Join([]string{workload.StackLabel, workload.ComponentLabel}, ","),
		"--disable_metrics=advtcp,cpu_topology,cpuset,disk,hugetlb,memory_numa,percpu,perf_event,process,referenced_memory,resctrl,sched,tcp,udp",
	}
	if args.Engine.Layers != "" {
		d.HostPaths = append(d.HostPaths, workload.HostPath{Host: args.Engine.Layers, Path: "/rootfs" + args.Engine.Layers})
	}
	if args.Engine.Containerd != "" {
		there += " && [ -S " + containerdSocket + " ]"
		d.Command = append(d.Command, "--containerd="+containerdSocket)
	}
	// It asks for the engine once, when it starts.
	d.Entrypoint = []string{"sh", "-c", "until " + there + `; do sleep 0.1; done; exec cadvisor -logtostderr "$@"`, "cadvisor"}
	return runExporter(ctx, m, args, d)
}
