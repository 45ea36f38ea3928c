package monitoring

import (
	"fmt"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// runPrometheus runs what collects and judges. It is on the stack's network too,
// where it finds the replicas.
func runPrometheus(ctx *pulumi.Context, m *Monitoring, args Args) (pulumi.StringOutput, error) {
	settings := prometheusSettings{
		Stack:         args.Stack.Label(),
		ReplicasAlias: args.Service.Alias,
		AppPort:       args.Service.Port,
		ProxyMetrics:  fmt.Sprintf("%s:%d", args.Proxy.Alias, args.Proxy.MetricsPort),
		Watcher:       args.Service.Watcher,
		Endpoint:      fmt.Sprintf("https://%s:%d%s", args.Proxy.Alias, args.Proxy.HTTPSPort, args.Service.ProbePath),
		URL:           args.Service.URL + args.Service.ProbePath,
		Grafana:       args.Images.Grafana != nil,
		Targets:       args.Logging.Targets,
		runbook:       args.Monitoring.Runbook,
	}
	return server{
		name:      "prometheus",
		image:     args.Images.Prometheus,
		data:      "/prometheus",
		main:      "prometheus.yml",
		bootstrap: "global: {}",
		check:     "promtool check config",
		port:      9090,
		published: args.Monitoring.PrometheusPort,
		memory:    384,
		networks:  []*docker.Network{m.Network, args.Stack.Network},
		parameters: []string{
			"--storage.tsdb.path=/prometheus",
			"--storage.tsdb.retention.time=" + args.Monitoring.Retention,
			"--storage.tsdb.retention.size=" + args.Monitoring.RetentionSize,
			"--web.external-url=" + m.PrometheusURL,
		},
	}.run(ctx, m, args, func(name namer) (revision, error) {
		return renderPrometheus(settings, name)
	}, pulumi.DependsOn(args.After)) // what is being made is not down
}
