package proxy

import (
	_ "embed"
	"fmt"
	"net/netip"
	"strings"
	"text/template"

	"helloworld/infra/config"
)

//go:embed nginx.conf.tmpl
var nginxTemplate string

var nginxConf = template.Must(template.New("nginx.conf").Parse(nginxTemplate))

// keepaliveMin is how long a connection that was just busy outlives a reload.
const keepaliveMin = "1s"

// settings is what a rendered configuration depends on.
type settings struct {
	proxy    config.Proxy
	app      config.App
	grafana  bool     // whether Grafana is served
	replicas []string // host names
	// Certificates change a revision as much as the text does.
	certificate, authority string // PEM
}

// revision is a rendered configuration, named by the hash of its content.
type revision struct {
	id          string
	nginxConf   string
	serversConf string
	servers     string // host:port of each replica, with a space between
}

type page struct {
	Code    int
	Message string
	Again   bool // the request is tried once more first
}

// errorPages are the proxy's own answers; the service's pass unchanged.
var errorPages = []page{
	{Code: 400, Message: "bad request"},
	{Code: 404, Message: "not found"},
	{Code: 408, Message: "request timeout"},
	{Code: 413, Message: "request body too large"},
	{Code: 414, Message: "request URI too long"},
	{Code: 502, Message: "no replica answered", Again: true},
	{Code: 503, Message: "service unavailable"},
	{Code: 504, Message: "the replicas took too long", Again: true},
}

// render returns the revision for the settings, named by what it consists of: the
// same settings give the same revision.
func render(s settings, name func(parts ...string) string) (revision, error) {
	var servers []string
	var conf strings.Builder
	// No replica is judged by single failures, or a few bad requests would take all
	// of them out: the engine's name server knows which ones live.
	for _, replica := range s.replicas {
		server := fmt.Sprintf("%s:%d", replica, s.app.Port)
		servers = append(servers, server)
		fmt.Fprintf(&conf, "server %s resolve max_fails=0;\n", server)
	}
	draft, err := execute(s, "")
	if err != nil {
		return revision{}, err
	}
	id := name(draft, conf.String(), s.certificate, s.authority)
	text, err := execute(s, id)
	return revision{id: id, nginxConf: text, serversConf: conf.String(), servers: strings.Join(servers, " ")}, err
}

func execute(s settings, id string) (string, error) {
	var text strings.Builder
	err := nginxConf.Execute(&text, map[string]any{
		"Revision":        id,
		"Folder":          folder + "/" + id,
		"KeepaliveMin":    keepaliveMin,
		"StopGrace":       s.app.StopGrace,
		"RequestTimeout":  max(1, s.app.StopGrace*9/10),
		"ServerNames":     strings.Join(serverNames(s.proxy), " "),
		"Redirect":        s.proxy.HTTP == config.HTTPRedirect,
		"HTTPSPortSuffix": portSuffix(s.proxy.HTTPSPort),
		"HTTPPort":        httpPort,
		"HTTPSPort":       HTTPSPort,
		"MetricsPort":     MetricsPort,
		"Status":          statusFolder + "/" + StatusSocket,
		"StatusPath":      StatusPath,
		"Replicas":        s.replicas,
		"ReplicasPath":    ReplicasPath,
		"Grafana":         s.grafana,
		"Errors":          errorPages,
		"Private":         config.PrivatePaths,
	})
	if err != nil {
		return "", fmt.Errorf("render nginx.conf: %w", err)
	}
	return text.String(), nil
}

// serverNames are the DNS names: any other host is answered too.
func serverNames(proxy config.Proxy) []string {
	names := []string{proxy.Domain}
	for _, name := range proxy.Names {
		if _, err := netip.ParseAddr(name); err != nil {
			names = append(names, name)
		}
	}
	return names
}

// portSuffix is what a URL needs after the host's name.
func portSuffix(port int) string {
	if port == 443 {
		return ""
	}
	return fmt.Sprintf(":%d", port)
}
