package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"

	"helloworld/infra/engine"
	"helloworld/infra/workload"

	"github.com/moby/moby/client"
)

// finish ends the service's part of a change whose other parts failed: where the new
// replicas serve, those that Pulumi was to remove at the end are removed. It tells what
// it did.
func (v view) finish(ctx context.Context) error {
	if len(v.known.leaving) == 0 {
		return nil
	}
	served, err := v.served(ctx)
	if err != nil || len(served) == 0 {
		return err
	}
	containers, err := v.containers(ctx)
	if err != nil {
		return err
	}
	var old []thing
	for _, c := range containers {
		if c.Labels[workload.ComponentLabel] != "replica" || !v.known.leaving[c.ID] {
			continue
		}
		if slices.Contains(served, name(c)) {
			return nil // the ones before serve on
		}
		old = append(old, thing{kind: containerType, id: c.ID, name: name(c)})
	}
	for _, t := range old {
		if _, err := v.api.ContainerStop(ctx, t.id, client.ContainerStopOptions{}); err != nil {
			return fmt.Errorf("stop %s: %w", t, err)
		}
		if err := v.remove(ctx, t); err != nil {
			return err
		}
		fmt.Printf("removed: %s, which the new replicas have taken over from\n", t)
	}
	return nil
}

// server is a line of the list of replicas that the proxy's revision has.
var server = regexp.MustCompile(`(?m)^server ([^:]+):`)

// served lists the names of the replicas that the proxy sends requests to; none where
// the proxy does not run, or a revision is being tried.
func (v view) served(ctx context.Context) ([]string, error) {
	containers, err := v.containers(ctx)
	if err != nil {
		return nil, err
	}
	front, ok := component(containers, "proxy")
	if !ok || !runs(front) {
		return nil, nil
	}
	host, err := engine.Connect()
	if err != nil {
		return nil, err
	}
	// current is good unless a revision is being tried.
	list, err := host.Output(ctx, front.ID, "sh", "-c", `cd /etc/nginx/revisions && [ "$(readlink current)" = "$(readlink good)" ] && cat good/servers.conf`)
	if err != nil {
		return nil, nil
	}
	return servers(list), nil
}

// servers reads the names in a list of replicas.
func servers(list string) []string {
	var names []string
	for _, match := range server.FindAllStringSubmatch(list, -1) {
		names = append(names, match[1])
	}
	return names
}
