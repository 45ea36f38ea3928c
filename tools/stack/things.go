package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"helloworld/infra/workload"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// thing is a container, network or volume on the engine.
type thing struct {
	kind, id, name string
	data           bool // a volume with data that nothing makes anew
	runs           bool // a container that does
}

func (t thing) String() string { return kindNames[t.kind] + " " + t.name }

var kindNames = map[string]string{containerType: "container", networkType: "network", volumeType: "volume"}

// things lists what the filters select, in the order in which it can be removed.
func (v view) things(ctx context.Context, filters client.Filters) ([]thing, error) {
	var found []thing
	// A container that somebody makes from the stack's image has the image's labels.
	containers, err := v.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters.Clone().Add("label", workload.ComponentLabel)})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	for _, c := range containers.Items {
		found = append(found, thing{kind: containerType, id: c.ID, name: name(c), runs: runs(c)})
	}
	volumes, err := v.api.VolumeList(ctx, client.VolumeListOptions{Filters: filters})
	if err != nil {
		return nil, fmt.Errorf("list volumes: %w", err)
	}
	for _, volume := range volumes.Items {
		_, data := volume.Labels[workload.DataLabel]
		found = append(found, thing{kind: volumeType, id: volume.Name, name: volume.Name, data: data})
	}
	networks, err := v.api.NetworkList(ctx, client.NetworkListOptions{Filters: filters})
	if err != nil {
		return nil, fmt.Errorf("list networks: %w", err)
	}
	for _, network := range networks.Items {
		found = append(found, thing{kind: networkType, id: network.ID, name: network.Name})
	}
	return found, nil
}

// remove removes a thing; one that is gone already is no error.
func (v view) remove(ctx context.Context, t thing) error {
	var err error
	switch t.kind {
	case containerType:
		_, err = v.api.ContainerRemove(ctx, t.id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	case volumeType:
		_, err = v.api.VolumeRemove(ctx, t.id, client.VolumeRemoveOptions{})
	case networkType:
		err = v.disconnectAll(ctx, t.id)
		if err == nil {
			_, err = v.api.NetworkRemove(ctx, t.id, client.NetworkRemoveOptions{})
		}
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove %s: %w", t, err)
	}
	return nil
}

// disconnectAll takes from a network what somebody else connected to it.
func (v view) disconnectAll(ctx context.Context, id string) error {
	found, err := v.api.NetworkInspect(ctx, id, client.NetworkInspectOptions{})
	if err != nil {
		return err
	}
	for _, container := range slices.Sorted(maps.Keys(found.Network.Containers)) {
		if _, err := v.api.NetworkDisconnect(ctx, id, client.NetworkDisconnectOptions{Container: container, Force: true}); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
	}
	return nil
}
