package monitoring

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"helloworld/infra/workload"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi-tls/sdk/v5/go/tls"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

//go:embed grafana-revision.sh
var grafanaScript string

// grafanaFiles are what Grafana is told of dashboards.
//
//go:embed dashboards.yml dashboards/*.json
var grafanaFiles embed.FS

// Where Grafana is served by the proxy, where it reads what it is told, and where it
// keeps what it makes.
const (
	grafanaPath   = "/grafana/"
	grafanaFolder = "/etc/grafana/provisioning"
	grafanaData   = "/var/lib/grafana"
)

// Logs are another plugin's data source, and have a dashboard of their own.
const (
	logsType      = "victoriametrics-logs-datasource"
	logsVersion   = "0.34.0"
	logsSource    = "logs"
	logsDashboard = "logs.json"
	logsLink      = "/d/logs/"
)

// runGrafana runs what shows. Who logs in is admin, with a generated password.
func runGrafana(ctx *pulumi.Context, m *Monitoring, args Args) (pulumi.StringOutput, error) {
	fail := func(err error) (pulumi.StringOutput, error) { return pulumi.StringOutput{}, err }
	password, err := newPassword(ctx, "grafana", pulumi.Parent(m))
	if err != nil {
		return fail(err)
	}
	m.GrafanaPassword = password
	provisioning, err := workload.NewVolume(ctx, args.Stack, "grafana-config", pulumi.Parent(m))
	if err != nil {
		return fail(err)
	}
	container, err := workload.Run(ctx, args.Stack, "grafana", describeGrafana(m, args, provisioning), pulumi.Parent(m))
	if err != nil {
		return fail(err)
	}
	revisions := workload.Revisions{Volume: provisioning.Name, Folder: grafanaFolder, Script: grafanaScript}
	rendered, err := renderGrafana(args.Logging.URL, revisions.RevisionID)
	if err != nil {
		return fail(err)
	}
	return revisions.Apply(ctx, args.Stack, "grafana-revision", sharedGrafana(args), container, workload.Revision{
		ID:    pulumi.String(rendered.id),
		Files: rendered.inputs(),
		Env:   map[string]pulumi.StringInput{"PASSWORD": password},
	}, pulumi.Parent(m))
}

func describeGrafana(m *Monitoring, args Args, provisioning *docker.Volume) workload.Description {
	d := sharedGrafana(args)
	d.Component = "grafana"
	d.Networks = []*docker.Network{m.Network, args.Stack.Network}
	d.Aliases = []string{"grafana"}
	d.Volumes = []workload.Volume{
		{Name: args.Data["grafana"], Path: grafanaData},
		{Name: provisioning.Name, Path: grafanaFolder},
	}
	d.StopGrace = 30
	d.Alone = true // two would write one database
	d.Env = map[string]pulumi.StringInput{"GF_SECURITY_ADMIN_PASSWORD": m.GrafanaPassword}
	settings := map[string]string{
		"GF_SERVER_ROOT_URL":                        args.Service.URL + grafanaPath,
		"GF_SERVER_SERVE_FROM_SUB_PATH":             "true",
		"GF_SECURITY_ADMIN_USER":                    "admin",
		"GF_SECURITY_COOKIE_SECURE":                 "true",
		"GF_SECURITY_DISABLE_GRAVATAR":              "true",
		"GF_AUTH_ANONYMOUS_ENABLED":                 "false",
		"GF_USERS_ALLOW_SIGN_UP":                    "false",
		"GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": grafanaFolder + "/stack/service.json",
		"GF_UNIFIED_ALERTING_EXECUTE_ALERTS":        "false", // Prometheus does
		"GF_ANALYTICS_REPORTING_ENABLED":            "false",
		"GF_ANALYTICS_CHECK_FOR_UPDATES":            "false",
		"GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES":     "false",
		"GF_NEWS_NEWS_FEED_ENABLED":                 "false",
		"GOMEMLIMIT":                                "220MiB",
		"GF_LOG_LEVEL":                              "warn",
	}
	maps.Copy(settings, grafanaPlugins(args))
	for name, value := range settings {
		d.Env[name] = pulumi.String(value)
	}
	return d
}

// grafanaPlugins sets which plugins Grafana fetches and runs: the one for logs, or
// none. It fetches while it serves, so one without a way out lacks no more than the
// logs, and tries again when it starts again.
func grafanaPlugins(args Args) map[string]string {
	if args.Logging.URL == "" {
		return map[string]string{
			"GF_PLUGINS_PREINSTALL_DISABLED": "true",
			"GF_PLUGINS_DISABLE_PLUGINS":     logsType, // which may be there from before
		}
	}
	return map[string]string{
		"GF_PLUGINS_PREINSTALL": logsType + "@" + logsVersion,
		// It would fetch these, too.
		"GF_PLUGINS_DISABLE_PLUGINS": "grafana-exploretraces-app,grafana-lokiexplore-app,grafana-metricsdrilldown-app,grafana-pyroscope-app",
		"TMPDIR":                     grafanaData, // the archive is too large for /tmp, which is memory
	}
}

// sharedGrafana describes what Grafana and its revisions share.
func sharedGrafana(args Args) workload.Description {
	d := workload.Description{
		Image:  args.Images.Grafana,
		Tmpfs:  []string{"/tmp"},
		Memory: 256,
		Pids:   100,
	}
	if args.Logging.URL != "" {
		d.Memory = 320 // the plugin is a process of its own, to which GOMEMLIMIT is not passed
	}
	return d
}

// renderGrafana returns the revision of all files, by their names without their
// folders. logs is the URL of VictoriaLogs; without it there is nothing of logs.
func renderGrafana(logs string, name namer) (revision, error) {
	sources, err := execute("datasources.yml.tmpl", map[string]string{"Logs": logs})
	if err != nil {
		return revision{}, err
	}
	files := map[string]string{"datasources.yml": sources}
	err = fs.WalkDir(grafanaFiles, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || logs == "" && entry.Name() == logsDashboard {
			return err
		}
		text, err := grafanaFiles.ReadFile(path)
		if err == nil && logs == "" && strings.HasSuffix(path, ".json") {
			text, err = withoutLogs(text)
		}
		files[entry.Name()] = string(text)
		return err
	})
	if err != nil {
		return revision{}, err
	}
	return named(name, func(string) (map[string]string, error) { return files, nil })
}

// withoutLogs returns the dashboard without what has logs as its data source, and
// without links to their dashboard.
func withoutLogs(text []byte) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil {
		return nil, err
	}
	return json.MarshalIndent(dropLogs(document), "", "  ")
}

func dropLogs(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, inner := range value {
			value[key] = dropLogs(inner)
		}
	case []any:
		kept := slices.DeleteFunc(value, func(inner any) bool {
			object, _ := inner.(map[string]any)
			source, _ := object["datasource"].(map[string]any)
			url, _ := object["url"].(string)
			return source["uid"] == logsSource || strings.HasPrefix(url, logsLink)
		})
		for i, inner := range kept {
			kept[i] = dropLogs(inner)
		}
		return kept
	}
	return value
}

// newPassword makes a password of 24 characters that stays the same: the hash of a
// key that is made for it.
func newPassword(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	key, err := tls.NewPrivateKey(ctx, name+"-password", &tls.PrivateKeyArgs{Algorithm: pulumi.String("ED25519")}, opts...)
	if err != nil {
		return pulumi.StringOutput{}, fmt.Errorf("create %s password: %w", name, err)
	}
	password := key.PrivateKeyPem.ApplyT(func(pem string) string {
		sum := sha256.Sum256([]byte(pem))
		return base64.RawURLEncoding.EncodeToString(sum[:18])
	}).(pulumi.StringOutput)
	return pulumi.ToSecret(password).(pulumi.StringOutput), nil
}
