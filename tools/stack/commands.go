package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"
)

// preview shows what up would change.
func preview(ctx context.Context, s stack) error {
	v, err := look(ctx, s)
	if err != nil {
		return err
	}
	if err := s.checkPassphrase(v.known.salt); err != nil {
		return err
	}
	if err := s.pulumi(nil, "preview", "--diff"); err != nil {
		fmt.Printf("%s failed: nothing has changed, %s; mend what is named above, then %s\n", s.make("preview"), v.serving(ctx), s.make("preview"))
		return errTold
	}
	fmt.Printf("nothing has changed, %s; %s does what is shown\n", v.serving(ctx), s.make("up"))
	return nil
}

// down removes everything the stack made.
func down(ctx context.Context, s stack) error {
	a := &attempt{command: "down"}
	return a.conclude(ctx, s, func() error { return a.remove(ctx, s) })
}

func (a *attempt) remove(ctx context.Context, s stack) error {
	if err := unlock(ctx, s); err != nil {
		return err
	}
	if err := endOrphans(); err != nil {
		return err
	}
	v, err := look(ctx, s)
	if unknown(err) {
		fmt.Printf("nothing is removed: stack %s is not made (%s makes it)\n", s.name, s.make("up"))
		v, err = unmade(s)
		if err != nil {
			return err
		}
		return v.tellOfNamesakes(ctx)
	}
	if err != nil {
		return err
	}
	a.view, a.before = v, v.serving(ctx)
	if err := s.checkPassphrase(v.known.salt); err != nil {
		return err
	}
	if ok, err := v.mayRemove(ctx); err != nil || !ok {
		return err
	}
	a.began = true
	if err := a.view.sweep(ctx); err != nil {
		return err
	}
	if err := s.pulumi(nil, "destroy", "--yes", "--skip-preview"); err != nil {
		return err
	}
	if a.view, err = look(ctx, s); err != nil {
		return err
	}
	if err := a.view.clear(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(a.view.authority()); err != nil {
		return err
	}
	nothing := "nothing serves"
	if other := a.view.strangeProxy(ctx); other != "" {
		nothing += " " + other
	}
	fmt.Printf("stack %s is gone, %s; its configuration stays, and %s makes it anew\n", s.name, nothing, s.make("up"))
	return nil
}

// mayRemove names the volumes with data, and asks the person at the terminal, if one
// sits there.
func (v view) mayRemove(ctx context.Context) (bool, error) {
	var data []string
	for _, r := range v.known.resources {
		if r.kind == volumeType && r.data {
			data = append(data, r.name)
		}
	}
	if len(data) == 0 {
		return true, nil
	}
	slices.Sort(data)
	fmt.Printf("These volumes have data that nothing makes anew, and go with stack %s:\n  %s\n", v.stack.name, strings.Join(data, "\n  "))
	if !term.IsTerminal(int(os.Stdin.Fd())) || !term.IsTerminal(int(os.Stdout.Fd())) {
		return true, nil
	}
	ok, err := agreed(ctx, "Remove the stack and its data?")
	if !ok {
		fmt.Printf("nothing was removed, %s\n", v.serving(context.WithoutCancel(ctx)))
	}
	return ok, err
}

// password prints Grafana's password.
func password(ctx context.Context, s stack) error {
	v, err := look(ctx, s)
	if err != nil {
		return err
	}
	if v.known.outputs["grafanaPassword"] == nil {
		return fmt.Errorf("stack %s has no Grafana: monitoring is off, its image cannot be had here, or the last %s failed", s.name, s.make("up"))
	}
	if err := s.checkPassphrase(v.known.salt); err != nil {
		return err
	}
	if err := s.pulumi(nil, "stack", "output", "grafanaPassword", "--show-secrets"); err != nil {
		return errTold
	}
	return nil
}

// env prints the lines with which a shell works on the stack. There pulumi is a function:
// PULUMI_STACK would win over what stack select selects.
func env(_ context.Context, s stack) error {
	for _, variable := range []string{"PATH", "STACK", "PULUMI_STACK", "PULUMI_HOME", "PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_SKIP_UPDATE_CHECK", "DOCKER_HOST"} {
		if value, ok := os.LookupEnv(variable); ok {
			fmt.Printf("export %s=%s\n", variable, quoted(value))
		}
	}
	fmt.Println(`pulumi() {
    command pulumi "$@" || return
    [ "${1-} ${2-}" = "stack select" ] || return 0
    STACK=$(unset PULUMI_STACK; command pulumi stack --show-name) && export STACK PULUMI_STACK="$STACK"
}`)
	return nil
}

// quoted is a text as a word of the shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
