// Package engine asks the Docker Engine what the provider does not: whether it
// can take the stack, and why a container failed.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"helloworld/infra/workload"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"
)

// timeout bounds each question: the engine is on this host.
const timeout = 30 * time.Second

// Engine is a Docker Engine that answers.
type Engine struct {
	api *client.Client
}

// Connect finds the engine at DOCKER_HOST, or at the local socket.
func Connect() (*Engine, error) {
	api, err := client.New(client.FromEnv)
	if err != nil {
		return nil, fmt.Errorf("DOCKER_HOST is not usable: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if _, err := api.Ping(ctx, client.PingOptions{}); err != nil {
		return nil, explain(api.DaemonHost(), err)
	}
	return &Engine{api: api}, nil
}

func explain(host string, err error) error {
	if errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "permission denied") {
		return fmt.Errorf("no permission to use the Docker Engine at %s: add yourself to its group (sudo usermod -aG docker $USER) and log in again", host)
	}
	if client.IsErrConnectionFailed(err) {
		return fmt.Errorf("no Docker Engine answers at %s: start it (sudo systemctl start docker), or set DOCKER_HOST to where it listens", host)
	}
	return fmt.Errorf("ask the Docker Engine at %s: %w", host, err)
}

// containers lists the containers with the names, running or not, by component.
func (e *Engine) containers(ctx context.Context, names []string) (map[string][]container.Summary, error) {
	list, err := e.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", workload.ComponentLabel)})
	if err != nil {
		return nil, fmt.Errorf("list the containers: %w", err)
	}
	found := map[string][]container.Summary{}
	for _, c := range list.Items {
		if len(c.Names) > 0 && slices.Contains(names, strings.TrimPrefix(c.Names[0], "/")) {
			component := c.Labels[workload.ComponentLabel]
			found[component] = append(found[component], c)
		}
	}
	return found, nil
}

// Socket is the path, on the engine's host, of the socket at which it listens.
func (e *Engine) Socket() string {
	if path, ok := strings.CutPrefix(e.api.DaemonHost(), "unix://"); ok {
		return path
	}
	return "/var/run/docker.sock"
}

// containerd's socket, where an engine that leaves its images to it does not tell.
const containerdSocket = "/run/containerd/containerd.sock"

// Layers is from where, on the engine's host, the layers of a container are known:
// from a folder, or over the socket of containerd where that keeps the images. The
// other one is empty.
func (e *Engine) Layers() (folder, socket string, err error) {
	info, err := e.info()
	if err != nil {
		return "", "", err
	}
	for _, status := range info.DriverStatus {
		if status[0] == "driver-type" && strings.HasPrefix(status[1], "io.containerd.snapshotter") {
			return "", containerdAddress(info), nil
		}
	}
	return filepath.Join(info.DockerRootDir, "image"), "", nil
}

// containerdAddress is where, on the engine's host, the engine reaches containerd.
func containerdAddress(info system.Info) string {
	if info.Containerd == nil || info.Containerd.Address == "" {
		return containerdSocket
	}
	return strings.TrimPrefix(info.Containerd.Address, "unix://")
}

// LogFiles is the folder, on the engine's host, with a folder of log files for each
// container.
func (e *Engine) LogFiles() (string, error) {
	info, err := e.info()
	return filepath.Join(info.DockerRootDir, "containers"), err
}

func (e *Engine) info() (system.Info, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	info, err := e.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return system.Info{}, fmt.Errorf("ask the engine where it keeps its files: %w", err)
	}
	return info.Info, nil
}

// LimitPids gives a container the limit of processes and threads that its label
// names: the provider cannot. A container that does not run cannot be limited.
func (e *Engine) LimitPids(id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	inspected, err := e.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return fmt.Errorf("look at container %s: %w", id, err)
	}
	return e.limitPids(ctx, inspected.Container)
}

func (e *Engine) limitPids(ctx context.Context, c container.InspectResponse) error {
	limit, err := strconv.ParseInt(c.Config.Labels[workload.PidsLabel], 10, 64)
	if err != nil {
		return fmt.Errorf("read the label %s of container %s: %w", workload.PidsLabel, c.Name, err)
	}
	if set := c.HostConfig.PidsLimit; set != nil && *set == limit || !c.State.Running || c.State.Restarting {
		return nil
	}
	_, err = e.api.ContainerUpdate(ctx, c.ID, client.ContainerUpdateOptions{Resources: &container.Resources{PidsLimit: &limit}})
	if err == nil {
		return nil
	}
	// What has ended meanwhile has a log that says more.
	again, inspectErr := e.api.ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{})
	if inspectErr == nil && (!again.Container.State.Running || again.Container.State.Restarting) {
		return nil
	}
	return fmt.Errorf("limit the processes of container %s: %w", c.Name, err)
}
