// Package proxy runs nginx in front of the replicas. The container is long-lived;
// what changes is a revision in its volume: nginx.conf with certificate and key,
// tested, switched to atomically, probed, and taken back when bad.
package proxy

import (
	_ "embed"
	"fmt"
	"regexp"
	"time"

	"helloworld/infra/config"
	"helloworld/infra/workload"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

//go:embed bootstrap.conf
var bootstrapConf string

//go:embed check.sh
var checkScript string

//go:embed revision.sh
var revisionScript string

// folder holds all revisions.
const folder = "/etc/nginx/revisions"

// Ports inside the container: not privileged ones, so that it needs no
// capability for them.
const (
	httpPort    = 8080
	HTTPSPort   = 8443
	MetricsPort = 8082 // tells the number of replicas: not published
)

// Alias is the proxy's name on the stack's network.
const Alias = "proxy"

// ReplicasPath is where, on MetricsPort, the names of the replicas in the revision
// that serves are told, one per line.
const ReplicasPath = "/replicas"

// The status of nginx is served on a socket in a volume: who mounts the volume
// reaches it, and nobody else.
const (
	statusFolder = "/status"
	StatusSocket = "nginx.sock"
	StatusPath   = "/stub_status"
)

// Args says what the proxy serves, and to whom.
type Args struct {
	Stack     *workload.Stack
	Image     pulumi.StringInput // id of an image with nginx 1.27.4 or newer, sh, curl and flock
	Proxy     config.Proxy
	App       config.App              // what the replicas are asked, and how long they have
	Replicas  pulumi.StringArrayInput // host names of the replicas
	Authority pulumi.StringInput      // PEM
	Cert      pulumi.StringInput      // PEM
	Key       pulumi.StringInput      // PEM, secret
	Grafana   bool                    // whether Grafana is there, to be served at /grafana/
	// Report says how the container of a replica fares.
	Report func(container string) string
}

// Proxy is a running nginx.
type Proxy struct {
	pulumi.ResourceState

	URL      string              // without a path: https://localhost
	Revision pulumi.StringOutput // id of the revision that serves
	Status   pulumi.StringOutput // name of the volume with StatusSocket
}

// New runs the proxy and applies the revision for args. It fails, and leaves the
// revision before in place, if nginx refuses the new one or the service does not
// answer through it.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*Proxy, error) {
	p := &Proxy{URL: "https://" + args.Proxy.Domain + portSuffix(args.Proxy.HTTPSPort)}
	if err := ctx.RegisterComponentResource("helloworld:proxy:Proxy", name, p, opts...); err != nil {
		return nil, fmt.Errorf("register %s: %w", name, err)
	}
	status, err := workload.NewSocketVolume(ctx, args.Stack, "proxy-status", pulumi.Parent(p))
	if err != nil {
		return nil, err
	}
	p.Status = status.Name
	volume, err := workload.NewVolume(ctx, args.Stack, "proxy", pulumi.Parent(p))
	if err != nil {
		return nil, err
	}
	revisions := workload.Revisions{
		Volume:    volume.Name,
		Folder:    folder,
		Main:      "nginx.conf",
		Bootstrap: bootstrapConf,
		Script:    revisionScript,
	}
	args.Image, err = check(ctx, args, p, revisions)
	if err != nil {
		return nil, err
	}
	container, err := workload.Run(ctx, args.Stack, "proxy", describe(args, p, revisions), pulumi.Parent(p))
	if err != nil {
		return nil, err
	}
	applied, err := apply(ctx, args, p, revisions, container)
	if err != nil {
		return nil, err
	}
	p.Revision = applied
	if err := ctx.RegisterResourceOutputs(p, pulumi.Map{"revision": p.Revision}); err != nil {
		return nil, fmt.Errorf("register outputs of %s: %w", name, err)
	}
	return p, nil
}

// check returns the image's id once the image has shown that it can run the
// proxy: the proxy's old container goes before its new one comes.
func check(ctx *pulumi.Context, args Args, p *Proxy, revisions workload.Revisions) (pulumi.StringInput, error) {
	d := revisions.Share(nginx(args, p))
	d.Component = "proxy-check"
	d.Command = []string{checkScript}
	return workload.Check(ctx, args.Stack, d, pulumi.Parent(p))
}

func describe(args Args, p *Proxy, revisions workload.Revisions) workload.Description {
	// A socket that a killed nginx left behind would be in the way of the next one.
	d := revisions.Start(nginx(args, p), "sh", "-c", fmt.Sprintf(
		"rm -f %s/%s && exec nginx -c %s -g 'daemon off;'", statusFolder, StatusSocket, revisions.Current()))
	d.Component = "proxy"
	d.Aliases = []string{Alias}
	d.Ports = []workload.Port{
		{Bind: args.Proxy.Bind, Host: args.Proxy.HTTPPort, Container: httpPort},
		{Bind: args.Proxy.Bind, Host: args.Proxy.HTTPSPort, Container: HTTPSPort},
	}
	d.Health = &workload.Health{
		Command:  []string{"curl", "--silent", "--fail", "--output", "/dev/null", "http://127.0.0.1:8081/"},
		Interval: 10, Timeout: 3, Retries: 3,
	}
	d.StopSignal = "SIGQUIT"
	d.StopGrace = 30
	return d
}

// nginx describes what the proxy and its revisions share. The master runs as root
// to read the key, the workers do not.
func nginx(args Args, p *Proxy) workload.Description {
	return workload.Description{
		Image:        args.Image,
		Volumes:      []workload.Volume{{Name: p.Status, Path: statusFolder}},
		Tmpfs:        []string{"/run", "/tmp"},
		Capabilities: []string{"CAP_CHOWN", "CAP_SETGID", "CAP_SETUID"},
		Memory:       256,
		Pids:         100,
	}
}

// apply runs the revision's container and returns the revision's id once it
// serves.
func apply(ctx *pulumi.Context, args Args, p *Proxy, revisions workload.Revisions, proxy *docker.Container) (pulumi.StringOutput, error) {
	rendered := pulumi.All(args.Replicas, args.Cert, args.Authority).ApplyT(func(values []any) (revision, error) {
		return render(settings{
			proxy:       args.Proxy,
			app:         args.App,
			grafana:     args.Grafana,
			replicas:    values[0].([]string),
			certificate: values[1].(string),
			authority:   values[2].(string),
		}, revisions.RevisionID)
	})
	part := func(of func(revision) string) pulumi.StringOutput {
		return rendered.ApplyT(func(r any) string { return of(r.(revision)) }).(pulumi.StringOutput)
	}
	return revisions.Apply(ctx, args.Stack, "proxy-revision", nginx(args, p), proxy, workload.Revision{
		ID: part(func(r revision) string { return r.id }),
		Files: map[string]pulumi.StringInput{
			"nginx.conf":   part(func(r revision) string { return r.nginxConf }),
			"servers.conf": part(func(r revision) string { return r.serversConf }),
			"ca.crt":       args.Authority,
			"tls.crt":      args.Cert,
			"tls.key":      args.Key,
		},
		Env: map[string]pulumi.StringInput{
			"SERVERS":        part(func(r revision) string { return r.servers }),
			"DOMAIN":         pulumi.String(args.Proxy.Domain),
			"PORT":           pulumi.Sprintf("%d", HTTPSPort),
			"HEALTH_PATH":    pulumi.String(args.App.HealthPath),
			"PROBE_PATH":     pulumi.String(args.App.ProbePath),
			"HEALTH_TIMEOUT": pulumi.Sprintf("%d", args.App.HealthTimeout),
			"START_TIMEOUT":  pulumi.Sprintf("%d", args.App.StartTimeout),
			"HANG_TIMEOUT":   pulumi.Sprintf("%d", args.App.HangTimeout),
			"STOP_GRACE":     pulumi.Sprintf("%d", args.App.StopGrace),
		},
		Required: "SERVERS",
		Explain:  args.explain,
	}, pulumi.Parent(p), pulumi.Timeouts(&pulumi.CustomTimeouts{Create: args.limit().String()}))
}

// refused finds the replica that a revision's log says is refused.
var refused = regexp.MustCompile(`revision \S+: replica ([^: ]+):`)

// explain says how the replica fares that a revision refuses.
func (args Args) explain(log string) string {
	found := refused.FindStringSubmatch(log)
	if found == nil {
		return ""
	}
	return "\n" + found[1] + ": " + args.Report(found[1])
}

// limit is how long a revision may take: the one before may have to end first.
func (args Args) limit() time.Duration {
	return time.Duration(2*(args.App.StartTimeout+args.App.HangTimeout)+args.App.StopGrace)*time.Second + 10*time.Minute
}
