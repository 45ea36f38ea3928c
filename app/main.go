// Command app is the service: it answers GET /helloworld.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker to the hash of the build context.
var version = "dev"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	settings, err := loadSettings(os.LookupEnv)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	switch {
	case len(args) == 0:
		logger := slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: settings.logLevel}))
		return serve(ctx, settings, logger)
	case len(args) == 1 && args[0] == "healthcheck":
		return checkHealth(ctx, settings.port)
	default:
		return fmt.Errorf("arguments %q: allowed are none, or healthcheck", args)
	}
}
