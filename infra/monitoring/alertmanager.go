package monitoring

import (
	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// runAlertmanager runs what tells of alerts. With no receiver its page shows them.
func runAlertmanager(ctx *pulumi.Context, m *Monitoring, args Args) (pulumi.StringOutput, error) {
	return server{
		name:      "alertmanager",
		image:     args.Images.Alertmanager,
		data:      "/alertmanager",
		main:      "alertmanager.yml",
		bootstrap: "{route: {receiver: nobody}, receivers: [{name: nobody}]}",
		check:     "amtool check-config",
		port:      9093,
		published: args.Monitoring.AlertmanagerPort,
		memory:    64,
		networks:  []*docker.Network{m.Network},
		parameters: []string{
			"--storage.path=/alertmanager",
			"--web.external-url=" + m.AlertmanagerURL,
			"--cluster.listen-address=", // there is one
		},
	}.run(ctx, m, args, func(name namer) (revision, error) {
		return renderAlertmanager(args.Monitoring, name)
	})
}
