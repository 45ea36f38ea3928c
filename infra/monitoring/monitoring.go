// Package monitoring watches the stack: Prometheus with its exporters collects,
// Alertmanager tells, Grafana shows. What changes of their configuration is a
// revision, like the proxy's: they never restart for it.
package monitoring

import (
	"fmt"

	"helloworld/infra/config"
	"helloworld/infra/workload"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Args says what is watched, and with what.
type Args struct {
	Stack      *workload.Stack
	Images     Images
	Data       map[string]pulumi.StringInput // names of the volumes that keep data, by component
	Monitoring config.Monitoring
	Service    Service
	Proxy      Proxy
	Engine     Engine
	Logging    Logging
	After      []pulumi.Resource // must be there before anything is judged
}

// Images holds the id of an image on the engine for each component.
type Images struct {
	Prometheus       pulumi.StringInput
	Alertmanager     pulumi.StringInput
	NodeExporter     pulumi.StringInput
	BlackboxExporter pulumi.StringInput
	NginxExporter    pulumi.StringInput
	CAdvisor         pulumi.StringInput
	Nginx            pulumi.StringInput // filters what cAdvisor asks the engine
	Grafana          pulumi.StringInput // nil runs without it
}

// Service is what is reached at URL.
type Service struct {
	URL       string             // without a path
	ProbePath string             // what a client asks for
	Domain    string             // name in the certificate
	Authority pulumi.StringInput // PEM of who signed it
	Alias     string             // name on the stack's network that resolves to every replica
	Port      int                // TCP port of the replicas
	Watcher   string             // host:port, on the stack's network, of what tells of replicas that hang
}

// Proxy says where nginx, on the stack's network, tells how it fares.
type Proxy struct {
	Alias        string
	HTTPSPort    int
	MetricsPort  int
	Status       pulumi.StringInput // name of the volume with the socket
	StatusSocket string             // its name in the volume
	StatusPath   string             // of the request
}

// Engine says where the Docker Engine lies on its host.
type Engine struct {
	Socket     string
	Layers     string // folder from which the layers of a container are known, or empty
	Containerd string // socket over which they are, or empty
}

// Logging says where the stack's logs are to be found, and what tells how that fares.
type Logging struct {
	URL     string   // of VictoriaLogs, on monitoring's network; empty without logging
	Targets []Target // what Prometheus scrapes of it
}

// Target is scraped at http://Address/metrics.
type Target struct {
	Job     string
	Address string // host:port
}

// Monitoring is what watches the stack. Prometheus and Alertmanager answer on the
// host's loopback only.
type Monitoring struct {
	pulumi.ResourceState

	PrometheusURL   string
	AlertmanagerURL string
	AlertsURL       string              // of Alertmanager on Network
	GrafanaURL      string              // empty without Grafana
	GrafanaPassword pulumi.StringOutput // of the user admin, secret
	// Revisions are the ids of those that are live: Alertmanager's, Prometheus' and,
	// if it is there, Grafana's.
	Revisions pulumi.StringArrayOutput

	Network *docker.Network // what watches is on, and what is to be watched may join
}

// local is where the pages that have no login of their own are published.
const local = "127.0.0.1"

// New runs all of it.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*Monitoring, error) {
	m := &Monitoring{
		PrometheusURL:   fmt.Sprintf("http://%s:%d", local, args.Monitoring.PrometheusPort),
		AlertmanagerURL: fmt.Sprintf("http://%s:%d", local, args.Monitoring.AlertmanagerPort),
		AlertsURL:       "http://alertmanager:9093",
	}
	if err := ctx.RegisterComponentResource("helloworld:monitoring:Monitoring", name, m, opts...); err != nil {
		return nil, fmt.Errorf("register %s: %w", name, err)
	}
	network, err := workload.NewNetwork(ctx, args.Stack, "monitoring", pulumi.Parent(m))
	if err != nil {
		return nil, err
	}
	m.Network = network
	for _, run := range []func(*pulumi.Context, *Monitoring, Args) (*docker.Container, error){runNodeExporter, runBlackboxExporter, runNginxExporter, runCAdvisor} {
		exporter, err := run(ctx, m, args)
		if err != nil {
			return nil, err
		}
		args.After = append(args.After, exporter)
	}
	servers := []func(*pulumi.Context, *Monitoring, Args) (pulumi.StringOutput, error){runAlertmanager, runPrometheus}
	if args.Images.Grafana != nil {
		m.GrafanaURL = args.Service.URL + grafanaPath
		servers = append(servers, runGrafana)
	}
	var revisions pulumi.StringArray
	for _, run := range servers {
		revision, err := run(ctx, m, args)
		if err != nil {
			return nil, err
		}
		revisions = append(revisions, revision)
	}
	m.Revisions = revisions.ToStringArrayOutput()
	if err := ctx.RegisterResourceOutputs(m, pulumi.Map{"revisions": m.Revisions}); err != nil {
		return nil, fmt.Errorf("register outputs of %s: %w", name, err)
	}
	return m, nil
}
