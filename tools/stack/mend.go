package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// mend brings the containers of the stack back to what the state says of them: somebody
// may have stopped, paused, renamed or disconnected them, or the host was restarted. It
// says what it found. What is gone, or cannot be started, is for Pulumi to make anew:
// then gone is true, and Pulumi must look at everything.
func (v view) mend(ctx context.Context) (gone bool, err error) {
	found, err := v.things(ctx, v.labelled)
	if err != nil {
		return false, err
	}
	networks := map[string]string{} // ids by name
	for _, t := range found {
		if t.kind == networkType {
			networks[t.name] = t.id
		}
	}
	containers, err := v.byID(ctx)
	if err != nil {
		return false, err
	}
	for _, r := range v.known.resources {
		if r.oneShot {
			continue // it has done its work
		}
		if !slices.ContainsFunc(found, func(t thing) bool { return t.kind == r.kind && t.id == r.id }) {
			fmt.Printf("found: %s is gone: it is made anew\n", r)
			gone = true
			continue
		}
		if r.kind != containerType {
			continue
		}
		if err := v.mendContainer(ctx, r, containers[r.id], networks); err != nil {
			fmt.Printf("found: %s cannot be mended (%v): it is made anew\n", r, err)
			gone = true
		}
	}
	if gone {
		return true, nil
	}
	return false, v.mendPorts(ctx)
}

// byID lists the stack's containers.
func (v view) byID(ctx context.Context) (map[string]container.Summary, error) {
	list, err := v.containers(ctx)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	containers := map[string]container.Summary{}
	for _, c := range list {
		containers[c.ID] = c
	}
	return containers, nil
}

// mendContainer gives a container its name and networks back, and lets it run.
func (v view) mendContainer(ctx context.Context, r resource, c container.Summary, networks map[string]string) error {
	if now := name(c); now != r.name {
		fmt.Printf("found: %s was renamed to %s: it has its name back\n", r, now)
		if _, err := v.api.ContainerRename(ctx, c.ID, client.ContainerRenameOptions{NewName: r.name}); err != nil {
			return err
		}
	}
	for _, a := range r.networks {
		id, ok := networks[a.Name]
		if !ok {
			return fmt.Errorf("network %s is gone", a.Name)
		}
		if c.NetworkSettings != nil && c.NetworkSettings.Networks[a.Name] != nil {
			continue
		}
		fmt.Printf("found: %s was not on network %s: it is connected\n", r, a.Name)
		if _, err := v.api.NetworkConnect(ctx, id, client.NetworkConnectOptions{Container: c.ID, EndpointConfig: &network.EndpointSettings{Aliases: a.Aliases}}); err != nil {
			return err
		}
	}
	switch c.State {
	case container.StateExited, container.StateCreated:
		fmt.Printf("found: %s was stopped: it is started\n", r)
		_, err := v.api.ContainerStart(ctx, c.ID, client.ContainerStartOptions{})
		return err
	case container.StatePaused:
		fmt.Printf("found: %s was paused: it goes on\n", r)
		_, err := v.api.ContainerUnpause(ctx, c.ID, client.ContainerUnpauseOptions{})
		return err
	case container.StateDead, container.StateRemoving:
		return fmt.Errorf("it is %s", c.State)
	}
	return nil
}

// mendPorts restarts containers that run without the host's ports that are theirs: the
// address came up after the engine did, or the container lost its networks.
func (v view) mendPorts(ctx context.Context) error {
	containers, err := v.byID(ctx)
	if err != nil {
		return err
	}
	for _, r := range v.known.resources {
		c, ok := containers[r.id]
		if !ok || c.State != container.StateRunning {
			continue
		}
		for _, p := range r.ports {
			if slices.ContainsFunc(c.Ports, func(have container.PortSummary) bool {
				return have.PrivatePort == p.Internal && have.PublicPort == p.External
			}) {
				continue
			}
			fmt.Printf("found: %s runs without port %d of %s: it is restarted\n", r, p.External, p.IP)
			if _, err := v.api.ContainerRestart(ctx, c.ID, client.ContainerRestartOptions{}); err != nil {
				return fmt.Errorf("restart %s: %w", r, err)
			}
			break
		}
	}
	return nil
}
