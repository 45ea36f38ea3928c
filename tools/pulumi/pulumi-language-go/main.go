// Command pulumi-language-go is a Go language host for networks where Pulumi's
// release cannot be downloaded: the official host is not published as a Go
// module. It builds and runs the program as the official one does and knows the
// same runtime options, buildTarget and binary.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
)

func main() {
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pulumi-language-go:", err)
		os.Exit(1)
	}
}

// serve prints the port it listens on, as the engine expects, and answers until
// the engine goes away.
func serve(args []string) error {
	host := &languageHost{}
	if len(args) > 0 {
		host.engineAddress = args[len(args)-1]
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stop := make(chan bool)
	if host.engineAddress != "" {
		if err := rpcutil.Healthcheck(ctx, host.engineAddress, engineCheckInterval, func() { close(stop) }); err != nil {
			return fmt.Errorf("watch the engine at %s: %w", host.engineAddress, err)
		}
	}
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Cancel: stop,
		Init: func(server *grpc.Server) error {
			pulumirpc.RegisterLanguageRuntimeServer(server, host)
			return nil
		},
	})
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	fmt.Println(handle.Port)
	return <-handle.Done
}
