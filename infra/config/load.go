package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// minMemory is the least memory in MB that Docker accepts as a limit.
const minMemory = 6

// StandInImages is the folder, below the project's root, in which tools/images
// names the images it built where no registry answered: a file for each, named
// as the image is in the configuration, which goes before it. The file of an image
// that cannot be built is empty.
const StandInImages = ".pulumi/images"

// FromEnvironment loads the configuration that the Pulumi engine hands to the
// program of the project at root.
func FromEnvironment(project, root string) (Config, error) {
	source := Source{Project: project, Root: root}
	if err := decodeVariable(pulumi.EnvConfig, &source.Values); err != nil {
		return Config{}, err
	}
	if err := decodeVariable(pulumi.EnvConfigSecretKeys, &source.Secret); err != nil {
		return Config{}, err
	}
	return Load(source)
}

func decodeVariable(name string, into any) error {
	if err := json.Unmarshal([]byte(os.Getenv(name)), into); err != nil {
		return fmt.Errorf("read %s: %w (run the program with make up)", name, err)
	}
	return nil
}

// Source is where a configuration comes from.
type Source struct {
	Project string            // the keys' namespace
	Root    string            // the project's folder; relative paths start here
	Values  map[string]string // by key with its namespace; objects and lists as JSON
	Secret  []string          // the keys whose values must not be shown
}

// Load returns the configuration, or one error that lists every key that is
// unknown or has a value that is not allowed, with what is.
func Load(source Source) (Config, error) {
	r := newReader(source)
	c := Config{
		Replicas: r.integer("replicas", 2, 1, 100, ""),
		App: App{
			Build:         r.text("app.build", "", "the folder of a Dockerfile", nil),
			Image:         r.text("app.image", "", "an image reference", isImageReference),
			Keep:          r.integer("app.keep", 3, 1, 100, " of versions"),
			Port:          r.port("app.port", 8000),
			HealthCommand: r.list("app.healthCommand", nil, "a list of a command and its arguments", isNotEmpty),
			HealthPath:    r.text("app.healthPath", "", "a path such as /readyz", isPath),
			HealthTimeout: r.integer("app.healthTimeout", 5, 1, 60, " of seconds"),
			ProbePath:     r.text("app.probePath", "/", "a path such as /helloworld", isPath),
			Env:           r.object("app.env", "an object of names and texts", isVariableName),
			EnvSecret:     r.isSecret("app"),
			Memory:        r.integer("app.memory", 64, minMemory, 1<<20, " of MB"),
			CPUs:          r.number("app.cpus", 1, 0.01, 1024),
			Pids:          r.integer("app.pids", 100, 1, 1<<22, ""),
			StartTimeout:  r.integer("app.startTimeout", 60, 1, 3600, " of seconds"),
			HangTimeout:   r.integer("app.hangTimeout", 20, 5, 3600, " of seconds"),
			StopGrace:     r.integer("app.stopGrace", 20, 1, 3600, " of seconds"),
		},
		Proxy: Proxy{
			Domain:    r.text("proxy.domain", "localhost", "a DNS name such as www.example.com", isDomain),
			Names:     r.list("proxy.names", nil, "a list of DNS names and IP addresses", isCertificateName),
			Bind:      r.text("proxy.bind", "0.0.0.0", "an IP address of this host", isAddress),
			HTTPPort:  r.port("proxy.httpPort", 80),
			HTTPSPort: r.port("proxy.httpsPort", 443),
			HTTP:      r.text("proxy.http", HTTPRedirect, HTTPRedirect+" or "+HTTPServe, isHTTPMode),
		},
		Monitoring: Monitoring{
			Enabled:          r.boolean("monitoring.enabled", true),
			Retention:        r.text("monitoring.retention", "15d", "a whole number of hours, days, weeks or years such as 15d", isRetention),
			RetentionSize:    r.text("monitoring.retentionSize", "1GB", "a whole number of MB, GB or TB such as 1GB", isSize),
			PrometheusPort:   r.port("monitoring.prometheusPort", 9090),
			AlertmanagerPort: r.port("monitoring.alertmanagerPort", 9093),
			AlertWebhook:     r.text("monitoring.alertWebhook", "", "an http or https URL", isURL),
			AlertSlack:       r.text("monitoring.alertSlack", "", "an http or https URL", isURL),
			AlertEmail:       r.email("monitoring.alertEmail"),
			Runbook:          r.text("monitoring.runbook", "", "an http or https URL", isURL),
		},
		Logging: Logging{
			Enabled:       r.boolean("logging.enabled", true),
			Retention:     r.text("logging.retention", "7d", "a whole number of days, weeks or years such as 7d", isLogRetention),
			RetentionSize: r.text("logging.retentionSize", "1GB", "a whole number of MB, GB or TB such as 1GB", isSize),
		},
	}
	c.Images = r.images()
	c.App.Build = r.buildContext(c.App)
	r.checkPorts(c)
	r.checkProbePath(c)
	r.moved("monitoring.probePath", "app.probePath")
	return c, r.err()
}

// checkPorts refuses a port of the host that is given twice.
func (r *reader) checkPorts(c Config) {
	type port struct {
		key    string
		number int
	}
	ports := []port{{"proxy.httpPort", c.Proxy.HTTPPort}, {"proxy.httpsPort", c.Proxy.HTTPSPort}}
	if c.Monitoring.Enabled {
		ports = append(ports,
			port{"monitoring.prometheusPort", c.Monitoring.PrometheusPort},
			port{"monitoring.alertmanagerPort", c.Monitoring.AlertmanagerPort})
	}
	taken := map[int]string{}
	for _, p := range ports {
		if other, ok := taken[p.number]; ok {
			r.refuse(p.key, p.number, "a port that "+other+" does not use")
			continue
		}
		taken[p.number] = p.key
	}
}

// checkProbePath refuses a path that no client reaches at the service.
func (r *reader) checkProbePath(c Config) {
	kept := slices.Clone(PrivatePaths)
	if c.ServesGrafana() {
		kept = append(kept, GrafanaPath)
	}
	if isKept(c.App.ProbePath, kept) {
		r.refuse("app.probePath", c.App.ProbePath,
			"a path that clients reach at the service: the proxy keeps "+strings.Join(kept, ", ")+" from it (app.healthPath may be one of them)")
	}
}

// email takes an object apart of which some members must be there.
func (r *reader) email(key string) Email {
	const allowed = "an object of to, from and server (host:port), and user and password where the server asks for them"
	members := r.object(key, allowed, isEmailMember)
	if members == nil {
		return Email{}
	}
	email := Email{To: members["to"], From: members["from"], Server: members["server"], User: members["user"], Password: members["password"]}
	if !isMailable(email) {
		r.refuse(key, members, allowed)
		return Email{}
	}
	return email
}

// buildContext returns the absolute path of the build context, or nothing if an
// image is run instead.
func (r *reader) buildContext(app App) string {
	switch {
	case app.Image != "" && app.Build != "":
		r.refuse("app.image", app.Image, "only one of app.build and app.image")
		return ""
	case app.Image != "":
		return ""
	case app.Build == "":
		app.Build = "app"
	}
	path := app.Build
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.root, path)
	}
	if _, err := os.Stat(filepath.Join(path, "Dockerfile")); err != nil {
		r.refuse("app.build", app.Build, fmt.Sprintf("a folder with a Dockerfile, and %s has none", path))
	}
	return path
}

// images takes each reference from the configuration, else from the stand-ins
// built on this machine, else from upstream.
func (r *reader) images() Images {
	images := UpstreamImages
	references := images.References()
	for _, component := range slices.Sorted(maps.Keys(references)) {
		reference := references[component]
		standIn, err := os.ReadFile(filepath.Join(r.root, StandInImages, component))
		switch {
		case err == nil:
			*reference = strings.TrimSpace(string(standIn))
		case !errors.Is(err, os.ErrNotExist):
			r.problems = append(r.problems, err)
		}
		*reference = r.text("images."+component, *reference, "an image reference", isImageReference)
	}
	return images
}
