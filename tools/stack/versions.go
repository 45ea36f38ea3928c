package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"helloworld/infra/engine"
	"helloworld/infra/workload"

	"github.com/moby/moby/client"
)

// kept lists the versions that the engine has kept of this state's stack.
func (v view) kept() ([]engine.Version, error) {
	if v.known.id == "" {
		return nil, nil
	}
	host, err := engine.Connect()
	if err != nil {
		return nil, err
	}
	return host.Versions(v.stack.repository(v.known.id))
}

// versions prints the versions that can be put back without a build, the last one that
// served first.
func versions(ctx context.Context, s stack) error {
	v, err := look(ctx, s)
	if err != nil {
		return err
	}
	list, err := v.kept()
	if err != nil {
		return err
	}
	if len(list) == 0 {
		fmt.Println("no version is kept: make up builds one (an image that app.image names is not kept)")
		return nil
	}
	table := newTable(os.Stdout, "VERSION", "BUILT", "SERVED SINCE", "")
	for i, version := range list {
		served, note := "never", ""
		if !version.Served.IsZero() {
			served = version.Served.Format(time.DateTime)
			if i == 0 && (v.known.image == "" || v.known.version != "") {
				note = "serves"
			}
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", version.Name, version.Built.Format(time.DateTime), served, note)
	}
	return table.Flush()
}

// previous returns the version to go back to: the one that VERSION names, else the one
// that served before the one that serves.
func (v view) previous() (string, error) {
	if v.known.image != "" && v.known.version == "" {
		return "", fmt.Errorf("app.image is %s: allowed is a rollback only where the image is built. Set app.image to what is to be put back, or set app.build instead", v.known.image)
	}
	list, err := v.kept()
	if err != nil {
		return "", err
	}
	return choose(list, os.Getenv("VERSION"), v.known.version)
}

// choose returns the version to go back to, of those that are kept, the last one that
// served first. brought is what the last run brought: where it did not come to serve, the
// one before it serves still, and how far back to go is not clear.
func choose(list []engine.Version, wanted, brought string) (string, error) {
	if wanted != "" {
		if !slices.ContainsFunc(list, func(v engine.Version) bool { return v.Name == wanted }) {
			return "", fmt.Errorf("VERSION is %s: allowed is a version that is kept (make versions)", wanted)
		}
		return wanted, nil
	}
	list = slices.DeleteFunc(slices.Clone(list), func(v engine.Version) bool { return v.Served.IsZero() })
	switch {
	case len(list) < 2:
		return "", errors.New("no version is kept that served before the one that serves (make versions)")
	case brought != "" && brought != list[0].Name:
		return "", fmt.Errorf("version %s came to serve last, and serves still: %s, which came after it, never did. To go further back say so: VERSION=%s", list[0].Name, brought, list[1].Name)
	}
	return list[1].Name, nil
}

// clear removes the versions that stacks of this name have left on the engine: those of
// which nothing else is there. It is for after the stack has been destroyed: the view is
// of then.
func (v view) clear(ctx context.Context) error {
	host, err := engine.Connect()
	if err != nil {
		return err
	}
	repositories, err := v.repositories(ctx)
	if err != nil {
		return err
	}
	for id, repository := range repositories {
		there, err := v.things(ctx, make(client.Filters).Add("label", workload.IDLabel+"="+id))
		if err != nil {
			return err
		}
		if id == v.known.id || len(there) > 0 {
			continue
		}
		if _, err := host.RemoveVersions(repository); err != nil {
			return err
		}
	}
	return nil
}

// repositories lists those of images that stacks of this name built, by the stack's id.
func (v view) repositories(ctx context.Context) (map[string]string, error) {
	list, err := v.api.ImageList(ctx, client.ImageListOptions{Filters: v.stack.namesakes()})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	found := map[string]string{}
	for _, image := range list.Items {
		id := image.Labels[workload.IDLabel]
		repository := v.stack.repository(id)
		if slices.ContainsFunc(image.RepoTags, func(tag string) bool { return strings.HasPrefix(tag, repository+":") }) {
			found[id] = repository
		}
	}
	return found, nil
}
