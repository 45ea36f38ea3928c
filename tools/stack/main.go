// Command stack is what the Makefile's commands do: it runs Pulumi for a stack, and does
// what Pulumi does not. It frees the lock of a dead run, sweeps what a killed run left on
// the engine, starts what was stopped by hand, and says how the stack fares and what its
// containers log.
//
//	stack up        brings the stack to what configuration and code say, and asks the service
//	stack rollback  puts a version that is kept back: VERSION's, or the last that served
//	stack preview   shows what up would change
//	stack down      removes everything the stack made, after asking where it has data
//	stack ready     makes the stack, and frees it if the run that locked it is dead
//	stack sweep     removes what a killed run made and no state knows
//	stack purge     removes, after asking, what carries the stack's name and no state knows
//	stack versions  prints the versions that can be put back without a build
//	stack status    prints the containers, what Prometheus reaches and what is wrong
//	stack logs      follows the lines of all containers; SERVICE, SINCE, GREP and FOLLOW say which
//	stack password  prints Grafana's password
//	stack images    prints the images that the stack takes from a registry
//	stack env       prints the lines with which a shell works on the stack
//
// It works on the stack that STACK names, with the pulumi on PATH.
package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// errTold ends the program with a failure that has been told already.
var errTold = errors.New("told")

func main() {
	// Ctrl-C reaches Pulumi too, which then ends by itself.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		if !errors.Is(err, errTold) {
			fmt.Fprintln(os.Stderr, "stack:", err)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	commands := map[string]func(context.Context, stack) error{
		"up":       up,
		"rollback": rollback,
		"ready":    ready,
		"images":   images,
		"env":      env,
		"sweep":    sweep,
		"purge":    purge,
		// These look, or remove: there is nothing for them where there is no stack.
		"preview":  existing(preview),
		"down":     existing(down),
		"versions": existing(versions),
		"status":   existing(status),
		"password": existing(password),
		"logs":     existing(logs),
	}
	if len(args) != 1 || commands[args[0]] == nil {
		return fmt.Errorf("arguments %q: allowed are %s", args, strings.Join(slices.Sorted(maps.Keys(commands)), ", "))
	}
	return commands[args[0]](ctx, stack{project: "helloworld", name: os.Getenv("STACK")})
}
