package logging

import (
	_ "embed"
	"fmt"
	"strings"

	"helloworld/infra/workload"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// rules are what is judged, as they lie in the project.
//
//go:embed rules.yml
var rules string

// runbook is where rules link to, as they lie in the project.
const runbook = "infra/monitoring/RUNBOOK.md"

// runVMAlert runs what asks VictoriaLogs every few seconds, and tells Alertmanager.
func runVMAlert(ctx *pulumi.Context, l *Logging, args Args) error {
	rules := rules
	if args.Alerts.Runbook != "" {
		rules = strings.ReplaceAll(rules, runbook, args.Alerts.Runbook)
	}
	d := l.describe(args, "vmalert", args.Images.VMAlert, 48)
	d.Env["RULES"] = pulumi.String(rules)
	d.Tmpfs = []string{"/tmp"}
	d.Entrypoint = []string{"sh", "-c", `printf '%s' "$RULES" >/tmp/rules.yml && exec /vmalert-prod -rule=/tmp/rules.yml -loggerFormat=json "$@"`, "vmalert"}
	d.Health = &workload.Health{
		Command:  []string{"wget", "-q", "-O", "/dev/null", fmt.Sprintf("http://127.0.0.1:%d/health", vmalertPort)},
		Interval: 10, Timeout: 3, Retries: 3,
	}
	image, err := l.check(ctx, args, d, "-dryRun")
	if err != nil {
		return err
	}
	d.Image = image
	d.Command = []string{
		fmt.Sprintf("-httpListenAddr=:%d", vmalertPort),
		"-datasource.url=" + URL,
		"-notifier.url=" + args.Alerts.URL,
		"-rule.evalDelay=5s", // until lines are there
		"-external.label=stack=" + args.Stack.Label(),
	}
	_, err = workload.Run(ctx, args.Stack, "vmalert", d, pulumi.Parent(l))
	return err
}
