package workload

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// attempt numbers the run of a one-shot: another number runs it again. It is one more
// than the last run's if that failed, else the same, so that only what failed is tried
// again. The state tells, not the engine: a container that was pruned changes nothing.
func (s *Stack) attempt(name string) int {
	last, ok := s.last.LastRun(s.Prefix() + "-" + name)
	if !ok {
		return 1
	}
	attempt, _ := strconv.Atoi(last.Labels[AttemptLabel])
	if last.ExitCode != 0 {
		attempt++
	}
	return attempt
}

// runOnce runs the description as a one-shot that is called name.
func runOnce(ctx *pulumi.Context, stack *Stack, name string, d Description, opts ...pulumi.ResourceOption) (*docker.Container, error) {
	d.Component = name
	d.OneShot, d.Attempt = true, stack.attempt(name)
	return Run(ctx, stack, name, d, opts...)
}

// inWords is how messages call the one-shot of that name.
func inWords(name string) string { return "the " + strings.ReplaceAll(name, "-", " ") }

// whenSucceeded returns the value once the one-shot has succeeded, or an error with
// its log, and with what explain says of it if there is one: the provider takes a
// container that failed for a good one.
func whenSucceeded(oneShot *docker.Container, what string, value pulumi.StringInput, explain func(log string) string) pulumi.StringOutput {
	return pulumi.All(value, oneShot.ExitCode, oneShot.ContainerLogs).ApplyT(func(values []any) (string, error) {
		value, code, log := values[0].(string), values[1].(int), values[2].(string)
		if code != 0 && explain != nil {
			log += explain(log)
		}
		if code != 0 {
			return "", fmt.Errorf("%s failed (exit code %d), what it was to change is as it was before:\n%s", what, code, log)
		}
		return value, nil
	}).(pulumi.StringOutput)
}

// Check runs the description as a one-shot, and returns the id of its image once that
// has succeeded: what takes the image then is not replaced by what cannot run.
func Check(ctx *pulumi.Context, stack *Stack, d Description, opts ...pulumi.ResourceOption) (pulumi.StringInput, error) {
	container, err := runOnce(ctx, stack, d.Component, d, opts...)
	if err != nil {
		return nil, err
	}
	return whenSucceeded(container, inWords(d.Component), d.Image, nil), nil
}
