package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// file is the stack's configuration.
func (s stack) file() string { return "Pulumi." + s.name + ".yaml" }

// make is the command line that runs a command of the Makefile on the stack.
func (s stack) make(command string) string {
	if s.name == "dev" {
		return "make " + command
	}
	return "make " + command + " STACK=" + s.name
}

// configured lists the stacks that have a configuration in this folder.
func configured() []string {
	files, _ := filepath.Glob("Pulumi.*.yaml") // the pattern is good
	var names []string
	for _, file := range files {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(file, "Pulumi."), ".yaml"))
	}
	return names
}

// made lists the stacks that the state's backend knows.
func made(ctx context.Context) ([]string, error) {
	if err := stateThere(); err != nil {
		if errors.Is(err, errNoState) {
			return nil, nil
		}
		return nil, err
	}
	var stderr bytes.Buffer
	list := exec.CommandContext(ctx, "pulumi", "stack", "ls", "--json")
	list.Stderr = &stderr
	text, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list the stacks: %w\n%s", err, strings.TrimSpace(stderr.String()))
	}
	var stacks []struct{ Name string }
	if err := json.Unmarshal(text, &stacks); err != nil {
		return nil, fmt.Errorf("list the stacks: %w", err)
	}
	var names []string
	for _, s := range stacks {
		names = append(names, s.Name)
	}
	return names, nil
}

// stacksHere names the stacks that are configured or made.
func stacksHere(ctx context.Context) string {
	known, _ := made(ctx) // those that are configured are told in any case
	names := append(known, configured()...)
	slices.Sort(names)
	if names = slices.Compact(names); len(names) == 0 {
		return "stacks here are none"
	}
	return "stacks here are " + strings.Join(names, ", ")
}

// existing refuses a command for a stack that does not exist: nothing is made by looking.
func existing(command func(context.Context, stack) error) func(context.Context, stack) error {
	return func(ctx context.Context, s stack) error {
		if err := s.checkExists(ctx); err != nil {
			return err
		}
		return s.explain(ctx, command(ctx, s))
	}
}

// checkExists refuses a stack that is neither configured nor made.
func (s stack) checkExists(ctx context.Context) error {
	if slices.Contains(configured(), s.name) {
		return nil
	}
	known, err := made(ctx)
	if err == nil && !slices.Contains(known, s.name) {
		err = fmt.Errorf("stack %s does not exist: %s", s.name, stacksHere(ctx))
	}
	return err
}

// unknown tells whether an error says that the backend has no such stack.
func unknown(err error) bool {
	return err != nil && (errors.Is(err, errNoState) || strings.Contains(err.Error(), "no stack named"))
}

// errNoState is told where the folder of the state is not there: nothing was made yet.
var errNoState = errors.New("there is no state")

// stateThere is an error where the folder of the state is not there.
func stateThere() error {
	folder, err := stateFolder()
	if err != nil || folder == "" {
		return err
	}
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: no folder %s", errNoState, folder)
	}
	return nil
}

// explain says of a stack that is configured and not made what makes it.
func (s stack) explain(ctx context.Context, err error) error {
	if !unknown(err) {
		return err
	}
	if v, err := unmade(s); err == nil {
		if err := v.tellOfNamesakes(ctx); err != nil {
			return err
		}
	}
	return fmt.Errorf("stack %s is not made yet: %s makes it", s.name, s.make("up"))
}

// checkName refuses to make a stack without a configuration of its own: it would have the
// defaults, ports 80 and 443 on all addresses among them.
func (s stack) checkName(ctx context.Context) error {
	files := configured()
	switch {
	case s.name == "":
		return errors.New("STACK is empty: allowed is a name")
	case slices.Contains(files, s.name):
		return nil
	case len(files) == 0:
		return fmt.Errorf("there is no %s: a stack needs one, with ports of its own (Pulumi.dev.yaml, in git, shows every key)", s.file())
	}
	from := files[0]
	if slices.Contains(files, "dev") {
		from = "dev"
	}
	return fmt.Errorf("there is no %s: %s. To make another one: cp Pulumi.%s.yaml %s, give it ports of its own, then %s",
		s.file(), stacksHere(ctx), from, s.file(), s.make("up"))
}
