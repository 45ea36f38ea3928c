package monitoring

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"

	"helloworld/infra/workload"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi-tls/sdk/v5/go/tls"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

//go:embed grafana-revision.sh
var grafanaScript string

// grafanaFiles are what Grafana is told of data sources and dashboards.
//
//go:embed datasources.yml dashboards.yml dashboards/*.json
var grafanaFiles embed.FS

// Where Grafana is served by the proxy, and where it reads what it is told.
const (
	grafanaPath   = "/grafana/"
	grafanaFolder = "/etc/grafana/provisioning"
)

// runGrafana runs what shows. Who logs in is admin, with a generated password.
func runGrafana(ctx *pulumi.Context, m *Monitoring, args Args) (pulumi.StringOutput, error) {
	fail := func(err error) (pulumi.StringOutput, error) { return pulumi.StringOutput{}, err }
	password, err := newPassword(ctx, "grafana", pulumi.Parent(m))
	if err != nil {
		return fail(err)
	}
	m.GrafanaPassword = password
	data, err := workload.NewVolume(ctx, args.Stack, "grafana", pulumi.Parent(m))
	if err != nil {
		return fail(err)
	}
	provisioning, err := workload.NewVolume(ctx, args.Stack, "grafana-config", pulumi.Parent(m))
	if err != nil {
		return fail(err)
	}
	container, err := workload.Run(ctx, args.Stack, "grafana", describeGrafana(m, args, data, provisioning), pulumi.Parent(m))
	if err != nil {
		return fail(err)
	}
	revisions := workload.Revisions{Volume: provisioning.Name, Folder: grafanaFolder, Script: grafanaScript}
	rendered, err := renderGrafana(revisions.RevisionID)
	if err != nil {
		return fail(err)
	}
	return revisions.Apply(ctx, args.Stack, "grafana-revision", sharedGrafana(args), container, workload.Revision{
		ID:    pulumi.String(rendered.id),
		Files: rendered.inputs(),
		Env:   map[string]pulumi.StringInput{"PASSWORD": password},
	}, pulumi.Parent(m))
}

func describeGrafana(m *Monitoring, args Args, data, provisioning *docker.Volume) workload.Description {
	d := sharedGrafana(args)
	d.Component = "grafana"
	d.Networks = []*docker.Network{m.network, args.Stack.Network}
	d.Aliases = []string{"grafana"}
	d.Volumes = []workload.Volume{
		{Name: data.Name, Path: "/var/lib/grafana"},
		{Name: provisioning.Name, Path: grafanaFolder},
	}
	d.StopGrace = 30
	d.Alone = true // two would write one database
	d.Env = map[string]pulumi.StringInput{"GF_SECURITY_ADMIN_PASSWORD": m.GrafanaPassword}
	for name, value := range map[string]string{
		"GF_SERVER_ROOT_URL":                        args.Service.URL + grafanaPath,
		"GF_SERVER_SERVE_FROM_SUB_PATH":             "true",
		"GF_SECURITY_ADMIN_USER":                    "admin",
		"GF_SECURITY_COOKIE_SECURE":                 "true",
		"GF_SECURITY_DISABLE_GRAVATAR":              "true",
		"GF_AUTH_ANONYMOUS_ENABLED":                 "false",
		"GF_USERS_ALLOW_SIGN_UP":                    "false",
		"GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": grafanaFolder + "/stack/service.json",
		"GF_UNIFIED_ALERTING_EXECUTE_ALERTS":        "false", // Prometheus does
		"GF_PLUGINS_PREINSTALL_DISABLED":            "true",
		"GF_ANALYTICS_REPORTING_ENABLED":            "false",
		"GF_ANALYTICS_CHECK_FOR_UPDATES":            "false",
		"GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES":     "false",
		"GF_NEWS_NEWS_FEED_ENABLED":                 "false",
		"GOMEMLIMIT":                                "220MiB",
		"GF_LOG_LEVEL":                              "warn",
	} {
		d.Env[name] = pulumi.String(value)
	}
	return d
}

// sharedGrafana describes what Grafana and its revisions share.
func sharedGrafana(args Args) workload.Description {
	return workload.Description{
		Image:  args.Images.Grafana,
		Tmpfs:  []string{"/tmp"},
		Memory: 256,
		Pids:   100,
	}
}

// renderGrafana returns the revision of all files, by their names without their
// folders.
func renderGrafana(name namer) (revision, error) {
	files := map[string]string{}
	err := fs.WalkDir(grafanaFiles, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := grafanaFiles.ReadFile(path)
		files[entry.Name()] = string(text)
		return err
	})
	if err != nil {
		return revision{}, err
	}
	return named(name, func(string) (map[string]string, error) { return files, nil })
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
