// Command infra declares the stack: one HTTP service on a Docker host, over
// HTTPS, from N replicas.
package main

import (
	"fmt"
	"os"

	"helloworld/infra/certificate"
	"helloworld/infra/config"
	"helloworld/infra/engine"
	"helloworld/infra/image"
	"helloworld/infra/monitoring"
	"helloworld/infra/proxy"
	"helloworld/infra/replicas"
	"helloworld/infra/state"
	"helloworld/infra/workload"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

func main() {
	runPlainly(func(ctx *pulumi.Context) error {
		cfg, err := config.FromEnvironment(ctx.Project(), ctx.RootDirectory())
		if err != nil {
			return err
		}
		host, err := engine.Connect()
		if err != nil {
			return err
		}
		hooks, err := newHooks(ctx, host)
		if err != nil {
			return err
		}
		last, err := state.Read(ctx)
		if err != nil {
			return err
		}
		return deploy(ctx, cfg, host, hooks, last)
	})
}

// deploy is the whole flow: what one component makes, the next one is given. last is
// what the stack's last run knew.
func deploy(ctx *pulumi.Context, cfg config.Config, host host, hooks hooks, last state.State) error {
	if err := check(ctx, cfg, host, last); err != nil {
		return fmt.Errorf("the configuration is refused, nothing has changed:\n%w", err)
	}
	stack, err := workload.NewStack(ctx, hooks.container, last)
	if err != nil {
		return err
	}
	cert, err := certificate.New(ctx, "certificate", certificate.Args{
		Organization: ctx.Project(),
		Domain:       cfg.Proxy.Domain,
		Names:        cfg.Proxy.Names,
	})
	if err != nil {
		return err
	}
	app, err := appImage(ctx, stack, cfg, hooks, last)
	if err != nil {
		return err
	}
	running, err := replicas.New(ctx, "replicas", replicas.Args{
		Stack: stack,
		Image: app.ID,
		App:   cfg.App,
		Count: cfg.Replicas,

		AwaitReady: host.AwaitReady,
	})
	if err != nil {
		return err
	}
	nginx, err := image.Pull(ctx, stack, "nginx", cfg.Images.Nginx)
	if err != nil {
		return err
	}
	front, err := proxy.New(ctx, "proxy", proxy.Args{
		Stack:     stack,
		Image:     nginx.ID,
		Proxy:     cfg.Proxy,
		App:       cfg.App,
		Replicas:  running.Names,
		Authority: cert.Authority,
		Cert:      cert.Certificate,
		Key:       cert.Key,
		Grafana:   cfg.ServesGrafana(),
		Report:    host.Report,
	})
	if err != nil {
		return err
	}
	_, err = replicas.NewWatcher(ctx, "watcher", replicas.WatcherArgs{
		Stack:  stack,
		Image:  nginx.ID,
		App:    cfg.App,
		Domain: cfg.Proxy.Domain,
		List:   fmt.Sprintf("http://%s:%d%s", proxy.Alias, proxy.MetricsPort, proxy.ReplicasPath),
		Engine: host.Socket(),
	})
	if err != nil {
		return err
	}
	ctx.Export("url", pulumi.String(front.URL))
	ctx.Export("probeUrl", pulumi.String(front.URL+cfg.App.ProbePath))
	ctx.Export("caCertificate", cert.Authority)
	ctx.Export("replicas", running.Names)
	ctx.Export("version", pulumi.String(app.Version))
	ctx.Export("revision", serves(ctx, cfg, host, app, front))
	ctx.Export("rollback", pulumi.Bool(oldVersion() != ""))
	data, err := dataVolumes(ctx, cfg, stack)
	if err != nil {
		return err
	}
	var watching *monitoring.Monitoring // nil where nothing is
	if cfg.Monitoring.Enabled {
		watching, err = watch(ctx, cfg, host, stack, data, cert, front, nginx)
		if err != nil {
			return err
		}
	}
	if cfg.Logging.Enabled {
		return keepLogs(ctx, cfg, host, stack, data, front, watching)
	}
	return nil
}

// check refuses what the engine or the state of the stack cannot take.
func check(ctx *pulumi.Context, cfg config.Config, host host, last state.State) error {
	prefix := workload.Prefix(ctx.Project(), ctx.Stack())
	if err := last.CheckName(prefix); err != nil {
		return err
	}
	if version := oldVersion(); version != "" {
		if cfg.App.Image != "" {
			return fmt.Errorf("VERSION is %s, and app.image is %s: allowed is a version only where the image is built; set app.image to go back", version, cfg.App.Image)
		}
		if err := host.CheckVersion(keptIn(prefix, last), version); err != nil {
			return err
		}
	}
	return host.Check(last.Containers(), cfg)
}

// oldVersion is the version to go back to, which make rollback sets; empty where the
// code is built.
func oldVersion() string { return os.Getenv("APP_VERSION") }

// keptIn is the repository of the versions that the stack's last runs built.
func keptIn(prefix string, last state.State) string {
	return image.Repository(prefix, workload.KnownID(last), "app")
}

// appImage builds the service's image, or takes the one that is configured, or the
// version to go back to.
func appImage(ctx *pulumi.Context, stack *workload.Stack, cfg config.Config, hooks hooks, last state.State) (*image.Image, error) {
	version := oldVersion()
	switch {
	case cfg.App.Image != "":
		return image.Pull(ctx, stack, "app", cfg.App.Image)
	case version != "":
		return image.Kept(ctx, stack, "app", keptIn(stack.Prefix(), last), version)
	}
	built, err := image.Build(ctx, "app", image.BuildArgs{
		Stack:   stack,
		Context: cfg.App.Build,
		Builder: cfg.Images.Builder,
		Hooks:   hooks.build,
	})
	if err == nil && last.Output("rollback") == true && last.Output("version") != built.Version {
		err = ctx.Log.Info(fmt.Sprintf("the rollback to version %v ends: version %s comes, from the code", last.Output("version"), built.Version), nil)
	}
	return built, err
}

// serves returns the revision's id once the engine has noted which version serves
// with it.
func serves(ctx *pulumi.Context, cfg config.Config, host host, app *image.Image, front *proxy.Proxy) pulumi.StringOutput {
	return pulumi.All(front.Revision, app.Repository).ApplyT(func(values []any) (string, error) {
		revision, repository := values[0].(string), values[1].(string)
		if ctx.DryRun() || repository == "" {
			return revision, nil
		}
		return revision, host.Serves(repository, app.Version, cfg.App.Keep)
	}).(pulumi.StringOutput)
}
