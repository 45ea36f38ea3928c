// Command infra declares the stack: one HTTP service on a Docker host, over
// HTTPS, from N replicas.
package main

import (
	"fmt"

	"helloworld/infra/certificate"
	"helloworld/infra/config"
	"helloworld/infra/engine"
	"helloworld/infra/image"
	"helloworld/infra/monitoring"
	"helloworld/infra/proxy"
	"helloworld/infra/replicas"
	"helloworld/infra/workload"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

func main() {
	pulumi.Run(func(ctx *pulumi.Context) error {
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
		return deploy(ctx, cfg, host, hooks)
	})
}

// deploy is the whole flow: what one component makes, the next one is given.
func deploy(ctx *pulumi.Context, cfg config.Config, host host, hooks hooks) error {
	id := ctx.Project() + "/" + ctx.Stack()
	if err := host.Check(id, cfg); err != nil {
		return fmt.Errorf("the configuration is refused, nothing has changed:\n%w", err)
	}
	stack, err := workload.NewStack(ctx, hooks.container, host.Attempt)
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
	app, err := appImage(ctx, stack, cfg, hooks)
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
		AppPort:   cfg.App.Port,
		StopGrace: cfg.App.StopGrace,
		Replicas:  running.Names,
		Authority: cert.Authority,
		Cert:      cert.Certificate,
		Key:       cert.Key,
		Grafana:   cfg.Monitoring.Enabled && cfg.Images.Grafana != "",
	})
	if err != nil {
		return err
	}
	ctx.Export("url", pulumi.String(front.URL))
	ctx.Export("caCertificate", cert.Authority)
	ctx.Export("replicas", running.Names)
	ctx.Export("version", pulumi.String(app.Version))
	ctx.Export("revision", front.Revision)
	var watching *monitoring.Monitoring // nil where nothing is
	if cfg.Monitoring.Enabled {
		watching, err = watch(ctx, cfg, host, stack, cert, front, nginx)
		if err != nil {
			return err
		}
	}
	if cfg.Logging.Enabled {
		return keepLogs(ctx, cfg, host, stack, watching)
	}
	return nil
}

// appImage builds the service's image, or takes the one that is configured.
func appImage(ctx *pulumi.Context, stack *workload.Stack, cfg config.Config, hooks hooks) (*image.Image, error) {
	if cfg.App.Image != "" {
		return image.Pull(ctx, stack, "app", cfg.App.Image)
	}
	return image.Build(ctx, "app", image.BuildArgs{
		Stack:   stack,
		Context: cfg.App.Build,
		Builder: cfg.Images.Builder,
		Hooks:   hooks.build,
	})
}
