package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// Version is a version of a built image that is on the engine.
type Version struct {
	Name   string    // the image's tag
	Image  string    // id
	Built  time.Time // when the image was made
	Served time.Time // when it last began to serve; zero if it never did
	InUse  bool      // by a container, running or not

	tags []string
}

// servedTag begins the tag, further to its version's, of an image that served:
// served-<Unix time>-<version>.
const servedTag = "served-"

// Versions lists the versions in a repository: those that served, the last one first,
// and then the others, the newest first.
func (e *Engine) Versions(repository string) ([]Version, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	images, err := e.api.ImageList(ctx, client.ImageListOptions{Filters: make(client.Filters).Add("reference", repository)})
	if err != nil {
		return nil, fmt.Errorf("list the versions of %s: %w", repository, err)
	}
	containers, err := e.api.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return nil, fmt.Errorf("list the containers: %w", err)
	}
	used := map[string]bool{}
	for _, c := range containers.Items {
		used[c.ImageID] = true
	}
	known := map[string]*Version{}
	for _, image := range images.Items {
		for _, reference := range image.RepoTags {
			tag, ok := strings.CutPrefix(reference, repository+":")
			if !ok {
				continue // a tag that somebody else gave
			}
			name, served := parseTag(tag)
			v := known[name]
			if v == nil {
				v = &Version{Name: name, Image: image.ID, Built: time.Unix(image.Created, 0), InUse: used[image.ID]}
				known[name] = v
			}
			v.tags = append(v.tags, reference)
			if served.After(v.Served) {
				v.Served = served
			}
		}
	}
	var versions []Version
	for _, v := range known {
		versions = append(versions, *v)
	}
	slices.SortFunc(versions, func(a, b Version) int {
		return cmp.Or(b.Served.Compare(a.Served), b.Built.Compare(a.Built), cmp.Compare(a.Name, b.Name))
	})
	return versions, nil
}

// parseTag returns the version that a tag is of, and when it began to serve if the
// tag tells.
func parseTag(tag string) (string, time.Time) {
	if rest, ok := strings.CutPrefix(tag, servedTag); ok {
		if seconds, version, ok := strings.Cut(rest, "-"); ok {
			if unix, err := strconv.ParseInt(seconds, 10, 64); err == nil {
				return version, time.Unix(unix, 0)
			}
		}
	}
	return tag, time.Time{}
}

// CheckVersion refuses a version that the engine does not have.
func (e *Engine) CheckVersion(repository, version string) error {
	versions, err := e.Versions(repository)
	if err != nil {
		return err
	}
	var names []string
	for _, v := range versions {
		if v.Name == version {
			return nil
		}
		names = append(names, v.Name)
	}
	return fmt.Errorf("VERSION is %s: allowed is one that the engine has kept: %s (make versions)", version, cmp.Or(strings.Join(names, ", "), "none"))
}

// Serves notes that a version serves from now on, and removes the versions that are
// not kept: those that never served, and all but the last keep that did. What a
// container uses, or somebody tagged, stays.
func (e *Engine) Serves(repository, version string, keep int) error {
	versions, err := e.Versions(repository)
	if err != nil {
		return err
	}
	if len(versions) == 0 {
		return nil // the image was not built here
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if versions[0].Name != version || versions[0].Served.IsZero() {
		tag := fmt.Sprintf("%s:%s%d-%s", repository, servedTag, time.Now().Unix(), version)
		if _, err := e.api.ImageTag(ctx, client.ImageTagOptions{Source: repository + ":" + version, Target: tag}); err != nil {
			return fmt.Errorf("note that version %s serves: %w", version, err)
		}
		if versions, err = e.Versions(repository); err != nil {
			return err
		}
	}
	for i, v := range versions {
		if v.Name == version || v.InUse || i < keep && !v.Served.IsZero() {
			continue
		}
		if err := e.removeTags(ctx, v.tags); err != nil {
			return fmt.Errorf("remove version %s: %w", v.Name, err)
		}
	}
	return nil
}

// RemoveVersions removes all versions in a repository that no container uses, and
// returns their number.
func (e *Engine) RemoveVersions(repository string) (int, error) {
	versions, err := e.Versions(repository)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	removed := 0
	for _, v := range versions {
		if v.InUse {
			continue
		}
		if err := e.removeTags(ctx, v.tags); err != nil {
			return removed, fmt.Errorf("remove version %s: %w", v.Name, err)
		}
		removed++
	}
	return removed, nil
}

// removeTags leaves what came into use meanwhile, and what is gone already.
func (e *Engine) removeTags(ctx context.Context, tags []string) error {
	for _, tag := range tags {
		_, err := e.api.ImageRemove(ctx, tag, client.ImageRemoveOptions{PruneChildren: true})
		if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
			return err
		}
	}
	return nil
}
