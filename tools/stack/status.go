package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"helloworld/infra/workload"

	"github.com/moby/moby/api/types/container"
)

// status prints the stack's containers and how they fare, what Prometheus reaches,
// the alerts that fire, and where the pages are.
func status(ctx context.Context, s stack) error {
	v, err := look(ctx, s)
	if err != nil {
		return err
	}
	containers, err := v.containers(ctx)
	if err != nil {
		return err
	}
	if err := v.printContainers(ctx, containers); err != nil {
		return err
	}
	if url := published(containers, "prometheus"); url != "" {
		if err := printMonitoring(ctx, os.Stdout, url, published(containers, "alertmanager")); err != nil {
			return err
		}
	} else if v.known.output("prometheusUrl") != "" {
		fmt.Println("\nPrometheus does not run: what it reaches, and which alerts fire, is not known")
	}
	fmt.Println()
	v.printURLs()
	fmt.Println(v.serving(ctx).advice(s))
	return nil
}

func newTable(out io.Writer, columns ...string) *tabwriter.Writer {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, strings.Join(columns, "\t"))
	return table
}

// printContainers leaves out the one-shots: they have done their work.
func (v view) printContainers(ctx context.Context, containers []container.Summary) error {
	images, err := v.imageNames(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(containers, func(a, b container.Summary) int { return cmp.Compare(a.Names[0], b.Names[0]) })
	table := newTable(os.Stdout, "COMPONENT", "CONTAINER", "STATUS", "IMAGE")
	for _, c := range containers {
		if _, oneShot := c.Labels[workload.AttemptLabel]; oneShot {
			continue
		}
		note := ""
		if v.stray(containerType, c.ID) {
			note = " (in no state: make up sweeps it)"
		}
		fmt.Fprintf(table, "%s\t%s\t%s%s\t%s\n", c.Labels[workload.ComponentLabel], name(c), c.Status, note, cmp.Or(images[c.ImageID], c.Image))
	}
	if len(v.known.ids[containerType]) == 0 {
		fmt.Fprintln(table, "nothing runs: make up")
	}
	return table.Flush()
}

// published is where a component answers on this host, or nothing.
func published(containers []container.Summary, component string) string {
	for _, c := range containers {
		if c.Labels[workload.ComponentLabel] != component {
			continue
		}
		for _, port := range c.Ports {
			if port.PublicPort != 0 {
				return fmt.Sprintf("http://%s:%d", port.IP, port.PublicPort)
			}
		}
	}
	return ""
}

// alert is one as Prometheus and Alertmanager tell of it.
type alert struct {
	State               string // pending or firing
	Labels, Annotations map[string]string
}

// printMonitoring prints what the Prometheus at the URL knows, and of what Alertmanager
// knows the alerts that others told it: those of vmalert, on logs.
func printMonitoring(ctx context.Context, out io.Writer, prometheus, alertmanager string) error {
	var targets struct {
		ActiveTargets []struct {
			Labels            struct{ Job, Instance string }
			Health, LastError string
		}
	}
	var known struct{ Alerts []alert }
	if err := errors.Join(ask(ctx, prometheus+"/api/v1/targets?state=active", &targets), ask(ctx, prometheus+"/api/v1/alerts", &known)); err != nil {
		fmt.Fprintf(out, "\nPrometheus does not answer: %v\n", err)
		return nil
	}
	fmt.Fprintln(out)
	table := newTable(out, "TARGET", "INSTANCE", "HEALTH", "ERROR")
	for _, t := range targets.ActiveTargets {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", t.Labels.Job, t.Labels.Instance, t.Health, t.LastError)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	table = newTable(out, "ALERT", "STATE", "SEVERITY", "SUMMARY")
	alerts, err := withTold(ctx, known.Alerts, alertmanager)
	quiet, watched := err == nil, false
	for _, a := range alerts {
		name := a.Labels["alertname"]
		if name == watchdog {
			watched = true
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", name, a.State, a.Labels["severity"], a.Annotations["summary"])
		quiet = false
	}
	switch {
	case err != nil:
		fmt.Fprintf(table, "Alertmanager does not answer, nobody is told: %v\n", err)
	case !watched:
		fmt.Fprintln(table, watchdog+" is missing: no rule is evaluated (yet)")
	case quiet:
		fmt.Fprintln(table, "none")
	}
	return table.Flush()
}

// withTold adds what only Alertmanager knows to the alerts that Prometheus knows.
func withTold(ctx context.Context, known []alert, alertmanager string) ([]alert, error) {
	if alertmanager == "" {
		return known, errors.New("it does not run")
	}
	var told []alert
	if err := get(ctx, alertmanager+"/api/v2/alerts?active=true", &told); err != nil {
		return known, err
	}
	all := slices.Clone(known)
	for _, a := range told {
		isKnown := func(k alert) bool { return k.Labels["alertname"] == a.Labels["alertname"] }
		if !slices.ContainsFunc(known, isKnown) {
			a.State = "firing"
			all = append(all, a)
		}
	}
	return all, nil
}
