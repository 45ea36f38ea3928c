package main

import (
	"context"
	"fmt"
	"strings"

	"helloworld/infra/workload"

	"github.com/moby/moby/client"
)

// sweep removes what carries the stack's label and is in no state: a run that was
// killed left it behind, and no other run knows of it.
func sweep(ctx context.Context, s stack) error {
	v, err := look(ctx, s)
	if err != nil {
		return err
	}
	sweeper := sweeper{view: v, repository: strings.ToLower(s.project + "-" + s.name + "-app")}
	for _, step := range []func(context.Context) error{sweeper.sweepContainers, sweeper.sweepVolumes, sweeper.sweepNetworks, sweeper.sweepImages} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("sweep stack %s: %w", s.name, err)
		}
	}
	return nil
}

type sweeper struct {
	view
	// repository is the name, without a tag, of the images that the stack builds.
	repository string
}

func swept(kind, name string) {
	fmt.Printf("swept: %s %s, which a killed run left behind\n", kind, name)
}

// sweepContainers removes strays of this state's network only: another checkout's
// stack may have the same name, but never the same network.
func (s sweeper) sweepContainers(ctx context.Context) error {
	containers, err := s.containers(ctx)
	if err != nil {
		return err
	}
	for _, c := range containers {
		if !s.stray(containerType, c.ID) || s.stray(networkType, c.Labels[workload.NetworkLabel]) {
			continue
		}
		if _, err := s.api.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
			return err
		}
		swept("container", strings.TrimPrefix(c.Names[0], "/"))
	}
	return nil
}

// sweepVolumes removes strays that no container uses.
func (s sweeper) sweepVolumes(ctx context.Context) error {
	list, err := s.api.VolumeList(ctx, client.VolumeListOptions{Filters: s.labelled.Clone().Add("dangling", "true")})
	if err != nil {
		return err
	}
	for _, v := range list.Items {
		if !s.stray(volumeType, v.Name) {
			continue
		}
		if _, err := s.api.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{}); err != nil {
			return err
		}
		swept("volume", v.Name)
	}
	return nil
}

// sweepNetworks removes strays that no container is on, nor a stopped one belongs to.
func (s sweeper) sweepNetworks(ctx context.Context) error {
	containers, err := s.containers(ctx)
	if err != nil {
		return err
	}
	claimed := map[string]bool{}
	for _, c := range containers {
		claimed[c.Labels[workload.NetworkLabel]] = true
	}
	list, err := s.api.NetworkList(ctx, client.NetworkListOptions{Filters: s.labelled.Clone().Add("dangling", "true")})
	if err != nil {
		return err
	}
	for _, n := range list.Items {
		if !s.stray(networkType, n.ID) || claimed[n.ID] {
			continue
		}
		if _, err := s.api.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{}); err != nil {
			return err
		}
		swept("network", n.Name)
	}
	return nil
}

// sweepImages removes strays that no container uses, and no tag that somebody else gave.
func (s sweeper) sweepImages(ctx context.Context) error {
	list, err := s.api.ImageList(ctx, client.ImageListOptions{Filters: s.labelled})
	if err != nil {
		return err
	}
	used, err := s.usedImages(ctx)
	if err != nil {
		return err
	}
	for _, image := range list.Items {
		for _, tag := range image.RepoTags {
			// The state's id is the image's id followed by its name.
			if !strings.HasPrefix(tag, s.repository+":") || !s.stray(imageType, image.ID+tag) || used[image.ID] {
				continue
			}
			if _, err := s.api.ImageRemove(ctx, tag, client.ImageRemoveOptions{}); err != nil {
				return err
			}
			swept("image", tag)
		}
	}
	return nil
}

func (s sweeper) usedImages(ctx context.Context) (map[string]bool, error) {
	list, err := s.api.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, c := range list.Items {
		used[c.ImageID] = true
	}
	return used, nil
}
