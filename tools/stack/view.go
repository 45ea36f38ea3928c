package main

import (
	"context"
	"slices"

	"helloworld/infra/workload"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// view is a stack as Pulumi's state and the engine show it.
type view struct {
	stack    stack
	api      *client.Client
	known    state
	labelled client.Filters // what the stack made
}

func look(ctx context.Context, s stack) (view, error) {
	if err := stateThere(); err != nil {
		return view{}, err
	}
	known, err := load(ctx, s)
	if err != nil {
		return view{}, err
	}
	return viewOf(s, known)
}

// unmade is a stack that no state knows.
func unmade(s stack) (view, error) { return viewOf(s, state{}) }

func viewOf(s stack, known state) (view, error) {
	api, err := client.New(client.FromEnv)
	if err != nil {
		return view{}, err
	}
	// By the id alone: the stack may have been renamed.
	return view{stack: s, api: api, known: known, labelled: make(client.Filters).Add("label", workload.IDLabel+"="+known.id)}, nil
}

// namesakes selects what carries the stack's name, other checkouts' stacks among it.
func (s stack) namesakes() client.Filters {
	return make(client.Filters).Add("label", workload.StackLabel+"="+s.label())
}

// stray tells whether the state knows nothing of a resource of the engine's.
func (v view) stray(kind, id string) bool { return !slices.Contains(v.known.ids[kind], id) }

// imageNames returns a name of each image that has one, by its id.
func (v view) imageNames(ctx context.Context) (map[string]string, error) {
	list, err := v.api.ImageList(ctx, client.ImageListOptions{})
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, image := range list.Items {
		if len(image.RepoTags) > 0 {
			names[image.ID] = image.RepoTags[0]
		}
	}
	return names, nil
}

// containers lists the stack's containers, running or not.
func (v view) containers(ctx context.Context) ([]container.Summary, error) {
	list, err := v.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: v.labelled.Clone().Add("label", workload.ComponentLabel)})
	return list.Items, err
}
