package monitoring

import (
	_ "embed"

	"helloworld/infra/workload"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

//go:embed revision.sh
var revisionScript string

// server is a program that keeps data in a volume, takes a configuration while it
// runs, and answers on the host's loopback.
type server struct {
	name       string // of the program, its binary and its host name
	image      pulumi.StringInput
	data       string // folder
	main       string // name of the configuration's main file
	bootstrap  string // configuration until the first revision
	check      string // command that tests a configuration
	port       int    // TCP port, in the container
	published  int    // on the host
	memory     int    // limit in MB
	networks   []*docker.Network
	parameters []string
}

// run runs the server with the configuration that render makes. The output is the
// revision's id, resolved once it is live. The options are the revision's.
func (s server) run(ctx *pulumi.Context, m *Monitoring, args Args, render func(namer) (revision, error), opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	fail := func(err error) (pulumi.StringOutput, error) { return pulumi.StringOutput{}, err }
	configuration, err := workload.NewVolume(ctx, args.Stack, s.name+"-config", pulumi.Parent(m))
	if err != nil {
		return fail(err)
	}
	revisions := workload.Revisions{
		Volume:    configuration.Name,
		Folder:    "/etc/" + s.name,
		Main:      s.main,
		Bootstrap: s.bootstrap,
		Script:    revisionScript,
	}
	rendered, err := render(revisions.RevisionID)
	if err != nil {
		return fail(err)
	}
	container, err := workload.Run(ctx, args.Stack, s.name, s.describe(revisions, args.Data[s.name]), pulumi.Parent(m))
	if err != nil {
		return fail(err)
	}
	return revisions.Apply(ctx, args.Stack, s.name+"-revision", s.shared(), container, workload.Revision{
		ID:    pulumi.String(rendered.id),
		Files: rendered.inputs(),
		Env: map[string]pulumi.StringInput{
			"PROGRAM": pulumi.String(s.name),
			"URL":     pulumi.Sprintf("http://127.0.0.1:%d", s.port),
			"CHECK":   pulumi.String(s.check),
		},
	}, append(opts, pulumi.Parent(m))...)
}

func (s server) describe(revisions workload.Revisions, data pulumi.StringInput) workload.Description {
	d := s.shared()
	d.Component = s.name
	d.Volumes = []workload.Volume{{Name: data, Path: s.data}}
	d.Networks = s.networks
	d.Aliases = []string{s.name}
	d.Ports = []workload.Port{{Bind: local, Host: s.published, Container: s.port}}
	d.StopGrace = 30
	command := []string{s.name, "--config.file=" + revisions.Current()}
	return revisions.Start(d, append(command, s.parameters...)...)
}

// shared describes what the server and its revisions share.
func (s server) shared() workload.Description {
	return workload.Description{
		Image:  s.image,
		Tmpfs:  []string{"/tmp"},
		Memory: s.memory,
		Pids:   100,
	}
}
