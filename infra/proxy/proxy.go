// Package proxy runs nginx in front of the replicas. The container is long-lived;
// what changes is a revision in its volume: nginx.conf with certificate and key,
// tested, switched to atomically, probed, and taken back when bad.
package proxy

import (
	_ "embed"
	"fmt"

	"helloworld/infra/config"
	"helloworld/infra/workload"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

//go:embed bootstrap.conf
var bootstrapConf string

//go:embed start.sh
var startScript string

//go:embed check.sh
var checkScript string

//go:embed revision.sh
var revisionScript string

// folder holds all revisions; current.conf there links to the one that serves.
const folder = "/etc/nginx/revisions"

// Ports inside the container: not privileged ones, so that it needs no
// capability for them.
const (
	httpPort  = 8080
	httpsPort = 8443
)

// Args says what the proxy serves, and to whom.
type Args struct {
	Stack     *workload.Stack
	Image     pulumi.StringInput // id of an image with nginx 1.27.4 or newer, sh, curl and flock
	Proxy     config.Proxy
	AppPort   int                     // TCP port of the replicas
	StopGrace int                     // seconds a replica has to end its requests
	Replicas  pulumi.StringArrayInput // host names of the replicas
	Authority pulumi.StringInput      // PEM
	Cert      pulumi.StringInput      // PEM
	Key       pulumi.StringInput      // PEM, secret
	Attempt   int                     // number of the run: another one applies the revision again
}

// Proxy is a running nginx.
type Proxy struct {
	pulumi.ResourceState

	URL      string              // without a path: https://localhost
	Revision pulumi.StringOutput // id of the revision that serves
}

// New runs the proxy and applies the revision for args. It fails, and leaves the
// revision before in place, if nginx refuses the new one or the service does not
// answer through it.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*Proxy, error) {
	p := &Proxy{URL: "https://" + args.Proxy.Domain + portSuffix(args.Proxy.HTTPSPort)}
	if err := ctx.RegisterComponentResource("helloworld:proxy:Proxy", name, p, opts...); err != nil {
		return nil, fmt.Errorf("register %s: %w", name, err)
	}
	volume, err := workload.NewVolume(ctx, args.Stack, "proxy", pulumi.Parent(p))
	if err != nil {
		return nil, err
	}
	args.Image, err = check(ctx, args, volume, pulumi.Parent(p))
	if err != nil {
		return nil, err
	}
	container, err := workload.Run(ctx, args.Stack, "proxy", describe(args, volume), pulumi.Parent(p))
	if err != nil {
		return nil, err
	}
	applied, err := apply(ctx, args, volume, container, pulumi.Parent(p))
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
func check(ctx *pulumi.Context, args Args, volume *docker.Volume, opts ...pulumi.ResourceOption) (pulumi.StringInput, error) {
	d := nginx(args, volume)
	d.Component = "check"
	d.OneShot = true
	d.Command = []string{checkScript}
	d.Env = map[string]pulumi.StringInput{"PREFIX": pulumi.String(folder)}
	container, err := workload.Run(ctx, args.Stack, "proxy-check", d, opts...)
	if err != nil {
		return nil, err
	}
	return workload.WhenSucceeded(container, "the check of the proxy's image", args.Image), nil
}

func describe(args Args, volume *docker.Volume) workload.Description {
	d := nginx(args, volume)
	d.Component = "proxy"
	d.Command = []string{startScript}
	d.Env = map[string]pulumi.StringInput{"PREFIX": pulumi.String(folder), "BOOTSTRAP": pulumi.String(bootstrapConf)}
	d.Ports = []workload.Port{
		{Bind: args.Proxy.Bind, Host: args.Proxy.HTTPPort, Container: httpPort},
		{Bind: args.Proxy.Bind, Host: args.Proxy.HTTPSPort, Container: httpsPort},
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
func nginx(args Args, volume *docker.Volume) workload.Description {
	return workload.Description{
		Image:        args.Image,
		Entrypoint:   []string{"sh", "-c"},
		Volumes:      []workload.Volume{{Name: volume.Name, Path: folder}},
		Tmpfs:        []string{"/run", "/tmp"},
		Capabilities: []string{"CAP_CHOWN", "CAP_SETGID", "CAP_SETUID"},
		Memory:       256,
		Pids:         100,
	}
}

// apply runs the revision's container and returns the revision's id once it
// serves.
func apply(ctx *pulumi.Context, args Args, volume *docker.Volume, proxy *docker.Container, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	rendered := pulumi.All(args.Replicas, args.Cert, args.Authority).ApplyT(func(values []any) (revision, error) {
		return render(settings{
			proxy:       args.Proxy,
			appPort:     args.AppPort,
			stopGrace:   args.StopGrace,
			servers:     values[0].([]string),
			certificate: values[1].(string),
			authority:   values[2].(string),
		})
	})
	part := func(of func(revision) string) pulumi.StringOutput {
		return rendered.ApplyT(func(r any) string { return of(r.(revision)) }).(pulumi.StringOutput)
	}
	id := part(func(r revision) string { return r.id })
	file := func(name, mode string, content pulumi.StringInput) workload.File {
		return workload.File{Path: pulumi.Sprintf("%s/%s/%s", folder, id, name), Content: content, Mode: mode}
	}
	d := nginx(args, volume)
	d.Component = "revision"
	d.OneShot, d.Joins, d.Attempt = true, proxy.ID(), args.Attempt
	d.Command = []string{revisionScript}
	d.Files = []workload.File{
		file("nginx.conf", "0644", part(func(r revision) string { return r.nginxConf })),
		file("servers.conf", "0644", part(func(r revision) string { return r.serversConf })),
		file("ca.crt", "0644", args.Authority),
		file("tls.crt", "0644", args.Cert),
		file("tls.key", "0600", args.Key),
	}
	d.Env = map[string]pulumi.StringInput{
		"REVISION": id,
		"PREFIX":   pulumi.String(folder),
		"DOMAIN":   pulumi.String(args.Proxy.Domain),
		"PORT":     pulumi.Sprintf("%d", httpsPort),
	}
	container, err := workload.Run(ctx, args.Stack, "revision", d, opts...)
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	return workload.WhenSucceeded(container, "the proxy's revision", id), nil
}
