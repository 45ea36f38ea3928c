package main

import (
	"helloworld/infra/certificate"
	"helloworld/infra/config"
	"helloworld/infra/image"
	"helloworld/infra/monitoring"
	"helloworld/infra/proxy"
	"helloworld/infra/replicas"
	"helloworld/infra/workload"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// watch runs the monitoring of what deploy made.
func watch(ctx *pulumi.Context, cfg config.Config, host host, stack *workload.Stack, cert *certificate.Certificate, front *proxy.Proxy, nginx *image.Image) error {
	layers, containerd, err := host.Layers()
	if err != nil {
		return err
	}
	images, err := monitoringImages(ctx, stack, cfg.Images)
	if err != nil {
		return err
	}
	images.Nginx = nginx.ID
	watching, err := monitoring.New(ctx, "monitoring", monitoring.Args{
		Stack:      stack,
		Images:     images,
		Monitoring: cfg.Monitoring,
		Service: monitoring.Service{
			URL:       front.URL,
			Domain:    cfg.Proxy.Domain,
			Authority: cert.Authority,
			Alias:     replicas.Alias,
			Port:      cfg.App.Port,
		},
		Proxy: monitoring.Proxy{
			Alias:        proxy.Alias,
			HTTPSPort:    proxy.HTTPSPort,
			MetricsPort:  proxy.MetricsPort,
			Status:       front.Status,
			StatusSocket: proxy.StatusSocket,
			StatusPath:   proxy.StatusPath,
		},
		Engine: monitoring.Engine{Socket: host.Socket(), Layers: layers, Containerd: containerd},
		After:  []pulumi.Resource{front},
	})
	if err != nil {
		return err
	}
	ctx.Export("prometheusUrl", pulumi.String(watching.PrometheusURL))
	ctx.Export("alertmanagerUrl", pulumi.String(watching.AlertmanagerURL))
	ctx.Export("alertReceivers", pulumi.ToStringArray(cfg.Monitoring.Receivers()))
	if watching.GrafanaURL != "" {
		ctx.Export("grafanaUrl", pulumi.String(watching.GrafanaURL))
		ctx.Export("grafanaPassword", watching.GrafanaPassword)
	}
	return nil
}

// monitoringImages pulls what monitoring needs besides nginx, and Grafana if it can
// be had.
func monitoringImages(ctx *pulumi.Context, stack *workload.Stack, references config.Images) (monitoring.Images, error) {
	var images monitoring.Images
	for _, pulled := range []struct {
		name, reference string
		id              *pulumi.StringInput
	}{
		{"prometheus", references.Prometheus, &images.Prometheus},
		{"alertmanager", references.Alertmanager, &images.Alertmanager},
		{"node-exporter", references.NodeExporter, &images.NodeExporter},
		{"blackbox-exporter", references.BlackboxExporter, &images.BlackboxExporter},
		{"nginx-exporter", references.NginxExporter, &images.NginxExporter},
		{"cadvisor", references.CAdvisor, &images.CAdvisor},
		{"grafana", references.Grafana, &images.Grafana},
	} {
		if pulled.reference == "" {
			continue
		}
		image, err := image.Pull(ctx, stack, pulled.name, pulled.reference)
		if err != nil {
			return images, err
		}
		*pulled.id = image.ID
	}
	return images, nil
}
