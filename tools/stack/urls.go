package main

import (
	"fmt"
	"strings"
)

// printURLs prints where the service and its monitoring are.
func (v view) printURLs() {
	url := v.known.output("probeUrl")
	if url == "" {
		return // nothing runs, or the last update failed
	}
	fmt.Printf("The service is at %s\n", url)
	fmt.Printf("  curl -k %s\n", url)
	fmt.Printf("  curl --cacert .pulumi/ca-%s.pem %s\n", v.stack.name, url)
	if grafana := v.known.output("grafanaUrl"); grafana != "" {
		fmt.Printf("Dashboards are at %s (user admin, password: %s)\n", grafana, v.stack.make("password"))
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
