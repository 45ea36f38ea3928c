package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// sweep removes what the stack made and no state knows: a run that was killed left it
// behind. Another run may be making something just now, perhaps on another host with
// the same state. So what looks left behind is listed first; then one operation is run
// that takes Pulumi's lock; and removed is what was listed before it and is in no state
// after it. Data volumes are named and left.
func sweep(ctx context.Context, s stack) error {
	v, err := look(ctx, s)
	if err != nil {
		return err
	}
	return v.sweep(ctx)
}

// sweep leaves in the view what the state is after it.
func (v *view) sweep(ctx context.Context) error {
	s := v.stack
	if v.known.id == "" && v.known.pending == 0 {
		return v.tellOfNamesakes(ctx)
	}
	listed, err := v.strays(ctx)
	if err != nil {
		return err
	}
	if len(listed) == 0 && v.known.pending == 0 {
		return nil
	}
	fmt.Println("a run was killed: reading what it left behind")
	if err := refresh(ctx, s); err != nil {
		return err
	}
	if v.known, err = load(ctx, s); err != nil {
		return err
	}
	for _, t := range listed {
		switch {
		case !v.stray(t.kind, t.id):
		case t.data:
			fmt.Printf("left: %s, which is in no state and may hold data: docker volume rm %s removes it\n", t, t.name)
		default:
			if err := v.remove(ctx, t); err != nil {
				return fmt.Errorf("sweep stack %s: %w", s.name, err)
			}
			fmt.Printf("swept: %s, which a killed run left behind\n", t)
		}
	}
	return nil
}

// strays lists what the stack of this state made and the state does not know.
func (v view) strays(ctx context.Context) ([]thing, error) {
	if v.known.id == "" {
		return nil, nil
	}
	found, err := v.things(ctx, v.labelled)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(t thing) bool { return !v.stray(t.kind, t.id) }), nil
}

// refresh lets Pulumi look at what there is, and forget what a killed run had begun.
func refresh(ctx context.Context, s stack) error {
	command := exec.CommandContext(ctx, "pulumi", "refresh", "--yes", "--skip-preview", "--clear-pending-creates", "--stack", s.name)
	command.Env = append(os.Environ(), "PULUMI_OPTION_COLOR=never")
	text, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("read what runs (pulumi refresh): %w\n%s", err, strings.TrimSpace(string(text)))
	}
	return nil
}

// tellOfNamesakes says what runs under the stack's name and is in no state here.
func (v view) tellOfNamesakes(ctx context.Context) error {
	found, err := v.things(ctx, v.stack.namesakes())
	if err != nil || len(found) == 0 {
		return err
	}
	fmt.Printf("found: %s and %d more carry the name of stack %s, and no state here knows them. Another checkout made them, or the state was lost: then make purge removes them\n",
		found[0], len(found)-1, v.stack.name)
	return nil
}
