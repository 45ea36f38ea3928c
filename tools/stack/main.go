// Command stack does for a stack what Pulumi does not: it frees the lock of a dead
// run, sweeps what a killed run left on the engine, and shows how the stack fares and
// what its containers log.
//
//	stack unlock    frees the stack if the run that locked it is dead
//	stack sweep     removes what a killed run made and no state knows
//	stack purge     removes, after asking, what carries the stack's name and no state knows
//	stack versions  prints the versions that can be put back without a build
//	stack previous  prints the version to go back to: VERSION's, or the last that served
//	stack finish    removes the old replicas of a change that failed after the new ones served
//	stack clear     removes the images of a stack of which nothing else is there
//	stack status    prints the containers, what Prometheus reaches and what is wrong
//	stack logs      follows the lines of all containers; SERVICE, SINCE, GREP and FOLLOW say which
//	stack urls      prints where the service and its monitoring are
//	stack images    prints the images that the stack takes from a registry
//
// It works on the stack that STACK names, with the pulumi on PATH.
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "stack:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	commands := map[string]func(context.Context, stack) error{
		"unlock":   unlock,
		"sweep":    sweep,
		"purge":    purge,
		"versions": versions,
		"previous": previous,
		"clear":    clear,
		"finish":   finish,
		"status":   status,
		"logs":     logs,
		"urls":     urls,
		"images":   images,
	}
	if len(args) != 1 || commands[args[0]] == nil {
		return fmt.Errorf("arguments %q: allowed are %s", args, strings.Join(slices.Sorted(maps.Keys(commands)), ", "))
	}
	return commands[args[0]](ctx, stack{project: "helloworld", name: os.Getenv("STACK")})
}
