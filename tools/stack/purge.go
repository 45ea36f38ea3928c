package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"helloworld/infra/engine"

	"golang.org/x/term"
)

// purge removes what carries the stack's name and is in no state: what is left where
// the state was lost. It asks first, for another checkout's stack may have the name.
func purge(ctx context.Context, s stack) error {
	v, err := look(ctx, s)
	if unknown(err) {
		v, err = unmade(s)
	}
	if err != nil {
		return err
	}
	found, err := v.things(ctx, v.stack.namesakes())
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(t thing) bool { return !v.stray(t.kind, t.id) })
	repositories, err := v.repositories(ctx)
	if err != nil {
		return err
	}
	delete(repositories, v.known.id)
	if len(found) == 0 && len(repositories) == 0 {
		fmt.Printf("nothing carries the name of stack %s but what its state knows: nothing to purge\n", s.name)
		return nil
	}
	fmt.Printf("These carry the name of stack %s, and no state here knows them:\n", s.name)
	for _, t := range found {
		note := ""
		switch {
		case t.data:
			note = " (data)"
		case t.runs:
			note = " (it runs)"
		}
		fmt.Printf("  %s%s\n", t, note)
	}
	for _, repository := range repositories {
		fmt.Printf("  images %s\n", repository)
	}
	if ok, err := agreed(ctx, "Remove all of it, what runs and its data too? If another checkout of this project has a stack of this name, that is it: make down there is the way."); err != nil {
		return err
	} else if !ok {
		fmt.Println("nothing was removed")
		return nil
	}
	for _, t := range found {
		if err := v.remove(ctx, t); err != nil {
			return err
		}
		fmt.Println("removed:", t)
	}
	host, err := engine.Connect()
	if err != nil {
		return err
	}
	for _, repository := range repositories {
		if _, err := host.RemoveVersions(repository); err != nil {
			return err
		}
		fmt.Println("removed: images", repository)
	}
	fmt.Printf("what was left is removed: %s makes the stack anew\n", s.make("up"))
	return nil
}

// agreed asks the person at the terminal. YES=1 agrees; without a terminal nobody does.
func agreed(ctx context.Context, question string) (bool, error) {
	if os.Getenv("YES") == "1" {
		return true, nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) || !term.IsTerminal(int(os.Stdout.Fd())) {
		return false, errors.New("nobody sits at a terminal to agree: YES=1 does")
	}
	fmt.Printf("%s Type yes: ", question)
	answers := make(chan string, 1)
	go func() {
		answer, _ := bufio.NewReader(os.Stdin).ReadString('\n') // the end of the input is no
		answers <- answer
	}()
	select {
	case answer := <-answers:
		return strings.TrimSpace(answer) == "yes", nil
	case <-ctx.Done(): // Ctrl-C
		fmt.Println()
		return false, nil
	}
}
