// Package config is everything the stack can be told: its keys, their defaults
// and what is allowed.
package config

// Config is a valid configuration: Load returns no other.
type Config struct {
	Replicas   int // copies of the service, 1 to 100
	App        App
	Proxy      Proxy
	Monitoring Monitoring
	Logging    Logging
	Images     Images
}

// App describes the service and one replica of it.
type App struct {
	Build         string            // build context, an absolute path; empty when Image is set
	Image         string            // an image to run instead of building one
	Keep          int               // versions of the built image that stay on the engine
	Port          int               // TCP port the service listens on
	HealthCommand []string          // run inside the container; exit code 0 means ready; empty is none
	HealthPath    string            // 2xx or 3xx there means ready; empty is any answer but a server error at /
	HealthTimeout int               // seconds that one question for HealthPath or ProbePath may take
	ProbePath     string            // what a client asks for; every answer but a server error is good
	Env           map[string]string // further environment of the service
	EnvSecret     bool              // whether app has a secret: then all values of Env are
	Memory        int               // limit in MB
	CPUs          float64           // limit in cores
	Pids          int               // limit of processes and threads
	StartTimeout  int               // seconds in which a new replica must become ready
	HangTimeout   int               // seconds without an answer after which a replica is restarted
	StopGrace     int               // seconds from SIGTERM to SIGKILL
}

// Proxy describes how the service is reached from outside.
type Proxy struct {
	Domain    string   // server name, first name of the certificate
	Names     []string // further DNS names and IP addresses of the certificate
	Bind      string   // IP address of the host on which the ports are published
	HTTPPort  int
	HTTPSPort int
	HTTP      string // HTTPRedirect or HTTPServe
}

// What the HTTP port does.
const (
	HTTPRedirect = "redirect" // sends everyone to HTTPS
	HTTPServe    = "serve"    // proxies like the HTTPS port
)

// Monitoring describes what watches the stack, and who is told.
type Monitoring struct {
	Enabled          bool
	Retention        string // how long samples are kept, as Prometheus spells it: 15d
	RetentionSize    string // how much disk they may use: 1GB
	PrometheusPort   int    // on 127.0.0.1
	AlertmanagerPort int    // on 127.0.0.1
	AlertWebhook     string // URL that takes Alertmanager's notifications; may be empty
	AlertSlack       string // URL of a Slack webhook; may be empty
	AlertEmail       Email
	Runbook          string // URL of the runbook; empty is its path in the project
}

// Email says whom to write to; without To nobody is.
type Email struct {
	To       string
	From     string
	Server   string // host:port of an SMTP server
	User     string // may be empty
	Password string
}

// Receivers names who is told of alerts.
func (m Monitoring) Receivers() []string {
	receivers := []string{}
	for _, receiver := range []struct{ name, to string }{
		{"webhook", m.AlertWebhook}, {"slack", m.AlertSlack}, {"email", m.AlertEmail.To},
	} {
		if receiver.to != "" {
			receivers = append(receivers, receiver.name)
		}
	}
	return receivers
}

// ServesGrafana tells whether Grafana is there, to be served by the proxy.
func (c Config) ServesGrafana() bool { return c.Monitoring.Enabled && c.Images.Grafana != "" }

// Logging describes how the logs of all containers are kept.
type Logging struct {
	Enabled       bool
	Retention     string // how long lines are kept, as VictoriaLogs spells it: 7d
	RetentionSize string // how much disk they may use: 1GB
}

// Images holds an image reference for each component that the project does not
// build itself, and the image the service is built with.
type Images struct {
	Nginx            string
	Builder          string
	Prometheus       string
	Alertmanager     string
	NodeExporter     string
	BlackboxExporter string
	NginxExporter    string
	CAdvisor         string
	Grafana          string // empty where it cannot be had: the stack runs without it
	Collector        string
	VictoriaLogs     string
	VMAlert          string
}

// UpstreamImages are the references used where the configuration names no other.
var UpstreamImages = Images{
	Nginx:            "nginx:1.30.5-alpine",
	Builder:          "golang:1.26.7-alpine",
	Prometheus:       "prom/prometheus:v3.14.0",
	Alertmanager:     "prom/alertmanager:v0.34.0",
	NodeExporter:     "prom/node-exporter:v1.12.1",
	BlackboxExporter: "prom/blackbox-exporter:v0.28.0",
	NginxExporter:    "nginx/nginx-prometheus-exporter:1.5.1",
	CAdvisor:         "ghcr.io/google/cadvisor:v0.60.5",
	Grafana:          "grafana/grafana:12.4.12",
	Collector:        "otel/opentelemetry-collector-contrib:0.160.0",
	VictoriaLogs:     "victoriametrics/victoria-logs:v1.52.0",
	VMAlert:          "victoriametrics/vmalert:v1.151.0",
}

// References returns the images by the name they have in the configuration.
func (i *Images) References() map[string]*string {
	return map[string]*string{
		"nginx":            &i.Nginx,
		"builder":          &i.Builder,
		"prometheus":       &i.Prometheus,
		"alertmanager":     &i.Alertmanager,
		"nodeExporter":     &i.NodeExporter,
		"blackboxExporter": &i.BlackboxExporter,
		"nginxExporter":    &i.NginxExporter,
		"cadvisor":         &i.CAdvisor,
		"grafana":          &i.Grafana,
		"collector":        &i.Collector,
		"victoriaLogs":     &i.VictoriaLogs,
		"vmalert":          &i.VMAlert,
	}
}
