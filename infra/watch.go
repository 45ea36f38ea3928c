package main

import (
	"helloworld/infra/certificate"
	"helloworld/infra/config"
	"helloworld/infra/image"
	"helloworld/infra/logging"
	"helloworld/infra/monitoring"
	"helloworld/infra/proxy"
	"helloworld/infra/replicas"
	"helloworld/infra/workload"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// watch runs the monitoring of what deploy made.
func watch(ctx *pulumi.Context, cfg config.Config, host host, stack *workload.Stack, data map[string]pulumi.StringInput, cert *certificate.Certificate, front *proxy.Proxy, nginx *image.Image) (*monitoring.Monitoring, error) {
	layers, containerd, err := host.Layers()
	if err != nil {
		return nil, err
	}
	images := monitoring.Images{Nginx: nginx.ID}
	err = pull(ctx, stack, front, []pulled{
		{"prometheus", cfg.Images.Prometheus, &images.Prometheus},
		{"alertmanager", cfg.Images.Alertmanager, &images.Alertmanager},
		{"node-exporter", cfg.Images.NodeExporter, &images.NodeExporter},
		{"blackbox-exporter", cfg.Images.BlackboxExporter, &images.BlackboxExporter},
		{"nginx-exporter", cfg.Images.NginxExporter, &images.NginxExporter},
		{"cadvisor", cfg.Images.CAdvisor, &images.CAdvisor},
		{"grafana", cfg.Images.Grafana, &images.Grafana},
	})
	if err != nil {
		return nil, err
	}
	watching, err := monitoring.New(ctx, "monitoring", monitoring.Args{
		Stack:      stack,
		Images:     images,
		Data:       data,
		Monitoring: cfg.Monitoring,
		Service: monitoring.Service{
			URL:       front.URL,
			ProbePath: cfg.App.ProbePath,
			Domain:    cfg.Proxy.Domain,
			Authority: cert.Authority,
			Alias:     replicas.Alias,
			Port:      cfg.App.Port,
			Watcher:   replicas.WatcherAddress,
		},
		Proxy: monitoring.Proxy{
			Alias:        proxy.Alias,
			HTTPSPort:    proxy.HTTPSPort,
			MetricsPort:  proxy.MetricsPort,
			Status:       front.Status,
			StatusSocket: proxy.StatusSocket,
			StatusPath:   proxy.StatusPath,
		},
		Engine:  monitoring.Engine{Socket: host.Socket(), Layers: layers, Containerd: containerd},
		Logging: logsOf(cfg),
		After:   []pulumi.Resource{front},
	})
	if err != nil {
		return nil, err
	}
	ctx.Export("prometheusUrl", pulumi.String(watching.PrometheusURL))
	ctx.Export("alertmanagerUrl", pulumi.String(watching.AlertmanagerURL))
	ctx.Export("alertReceivers", pulumi.ToStringArray(cfg.Monitoring.Receivers()))
	if watching.GrafanaURL != "" {
		ctx.Export("grafanaUrl", pulumi.String(watching.GrafanaURL))
		ctx.Export("grafanaPassword", watching.GrafanaPassword)
	}
	return watching, nil
}

// logsOf is what monitoring is told of logging.
func logsOf(cfg config.Config) monitoring.Logging {
	if !cfg.Logging.Enabled {
		return monitoring.Logging{}
	}
	logs := monitoring.Logging{URL: logging.URL}
	for _, target := range logging.Targets() {
		logs.Targets = append(logs.Targets, monitoring.Target(target))
	}
	return logs
}

// keepLogs runs the logging of what deploy made, and watch if it did.
func keepLogs(ctx *pulumi.Context, cfg config.Config, host host, stack *workload.Stack, data map[string]pulumi.StringInput, front *proxy.Proxy, watching *monitoring.Monitoring) error {
	files, err := host.LogFiles()
	if err != nil {
		return err
	}
	args := logging.Args{Stack: stack, Data: data, Logging: cfg.Logging, LogFiles: files}
	needed := []pulled{
		{"collector", cfg.Images.Collector, &args.Images.Collector},
		{"victorialogs", cfg.Images.VictoriaLogs, &args.Images.VictoriaLogs},
	}
	if watching != nil {
		needed = append(needed, pulled{"vmalert", cfg.Images.VMAlert, &args.Images.VMAlert})
		args.Alerts = &logging.Alerts{Network: watching.Network, URL: watching.AlertsURL, Runbook: cfg.Monitoring.Runbook}
	}
	if err := pull(ctx, stack, front, needed); err != nil {
		return err
	}
	_, err = logging.New(ctx, "logging", args)
	return err
}

// dataVolumes makes the volumes that keep what monitoring and logging collect, and
// returns their names by component. What was made stays where they are switched off:
// only the whole stack's end takes data along.
func dataVolumes(ctx *pulumi.Context, cfg config.Config, stack *workload.Stack) (map[string]pulumi.StringInput, error) {
	const watcher, keeper = "helloworld:monitoring:Monitoring", "helloworld:logging:Logging"
	data := map[string]pulumi.StringInput{}
	for _, volume := range []struct {
		component                string
		wanted                   bool
		formerType, formerParent string
	}{
		{"prometheus", cfg.Monitoring.Enabled, watcher, "monitoring"},
		{"alertmanager", cfg.Monitoring.Enabled, watcher, "monitoring"},
		{"grafana", cfg.ServesGrafana(), watcher, "monitoring"},
		{"victorialogs", cfg.Logging.Enabled, keeper, "logging"},
		{"collector", cfg.Logging.Enabled, keeper, "logging"},
	} {
		if !volume.wanted && !stack.HasVolume(volume.component) {
			continue
		}
		made, err := workload.NewDataVolume(ctx, stack, volume.component, volume.formerType, volume.formerParent)
		if err != nil {
			return nil, err
		}
		data[volume.component] = made.Name
	}
	return data, nil
}

// pulled is an image under the name of its resource, and where its id belongs.
type pulled struct {
	name, reference string
	id              *pulumi.StringInput
}

// pull pulls the images that can be had, once the service is in place: what they are for
// then fails after a change of the service, and not in its way.
func pull(ctx *pulumi.Context, stack *workload.Stack, front *proxy.Proxy, images []pulled) error {
	for _, p := range images {
		if p.reference == "" {
			continue
		}
		image, err := image.Pull(ctx, stack, p.name, p.reference, pulumi.DependsOn([]pulumi.Resource{front}))
		if err != nil {
			return err
		}
		*p.id = image.ID
	}
	return nil
}
