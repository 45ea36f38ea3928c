package engine

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"helloworld/infra/workload"

	"github.com/moby/moby/client"
)

// Attempt numbers the runs of a one-shot of the stack (project/stack): one more
// than the last run's if that failed, else the same, so that only what failed is
// tried again. Without a last run, which may have been pruned, the number is a new
// one.
func (e *Engine) Attempt(stack, component string) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	runs, err := e.containers(ctx, stack, component)
	if err != nil {
		return 0, err
	}
	if len(runs) == 0 {
		return int(time.Now().Unix()), nil
	}
	inspected, err := e.api.ContainerInspect(ctx, runs[0].ID, client.ContainerInspectOptions{})
	if err != nil {
		return 0, fmt.Errorf("look at %s container %s: %w", component, runs[0].ID, err)
	}
	last := inspected.Container
	attempt, _ := strconv.Atoi(last.Config.Labels[workload.AttemptLabel])
	if !last.State.Running && last.State.ExitCode != 0 {
		attempt++
	}
	return attempt, nil
}
