package main

import (
	"context"
	"fmt"
	"strings"
)

// urls prints where the service and its monitoring are.
func urls(ctx context.Context, s stack) error {
	known, err := load(ctx, s)
	if err != nil {
		return err
	}
	view{stack: s, known: known}.printURLs()
	return nil
}

func (v view) printURLs() {
	url := v.known.output("probeUrl")
	if url == "" {
		return // nothing runs, or the last update failed
	}
	fmt.Printf("The service is at %s\n", url)
	fmt.Printf("  curl -k %s\n", url)
	fmt.Printf("  curl --cacert .pulumi/ca-%s.pem %s\n", v.stack.name, url)
	if grafana := v.known.output("grafanaUrl"); grafana != "" {
		fmt.Printf("Dashboards are at %s (user admin, password: pulumi stack output grafanaPassword --show-secrets)\n", grafana)
	}
	if prometheus := v.known.output("prometheusUrl"); prometheus != "" {
		fmt.Printf("Prometheus is at %s, alerts are at %s%s\n", prometheus, v.known.output("alertmanagerUrl"), v.told())
	}
}

// told says who is told of alerts.
func (v view) told() string {
	receivers, _ := v.known.outputs["alertReceivers"].([]any)
	if len(receivers) == 0 {
		return " only (nobody is told: set monitoring.alertWebhook)"
	}
	return " and told by " + strings.Trim(fmt.Sprint(receivers), "[]")
}
