package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/constant"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/protobuf/types/known/emptypb"
)

const engineCheckInterval = 5 * time.Minute

// languageHost answers the engine's questions about one Go program.
type languageHost struct {
	pulumirpc.UnimplementedLanguageRuntimeServer
	engineAddress string
}

func (h *languageHost) Handshake(_ context.Context, req *pulumirpc.LanguageHandshakeRequest) (*pulumirpc.LanguageHandshakeResponse, error) {
	h.engineAddress = req.GetEngineAddress()
	return &pulumirpc.LanguageHandshakeResponse{}, nil
}

func (h *languageHost) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{}, nil
}

// GetRequiredPlugins names none: each resource carries its plugin's version.
func (h *languageHost) GetRequiredPlugins(context.Context, *pulumirpc.GetRequiredPluginsRequest) (*pulumirpc.GetRequiredPluginsResponse, error) {
	return &pulumirpc.GetRequiredPluginsResponse{}, nil
}

// GetRequiredPackages names none: each resource carries its plugin's version.
func (h *languageHost) GetRequiredPackages(context.Context, *pulumirpc.GetRequiredPackagesRequest) (*pulumirpc.GetRequiredPackagesResponse, error) {
	return &pulumirpc.GetRequiredPackagesResponse{}, nil
}

// Run builds the program and runs it to its end.
func (h *languageHost) Run(ctx context.Context, req *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	binary, remove, err := build(ctx, req.GetInfo())
	if err != nil {
		return nil, err
	}
	defer remove()
	env, err := h.environment(req)
	if err != nil {
		return nil, err
	}
	program := exec.CommandContext(ctx, binary)
	program.Dir, program.Env = req.GetPwd(), env
	program.Stdout, program.Stderr = os.Stdout, os.Stderr
	err = program.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return &pulumirpc.RunResponse{}, nil
	case errors.As(err, &exit) && exit.ExitCode() == constant.ExitStatusLoggedError:
		return &pulumirpc.RunResponse{Bail: true}, nil
	default:
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("run the program: %v", err)}, nil
	}
}

// build compiles the program to runtime.options.buildTarget (relative to the
// program's folder), or to a file that remove deletes; runtime.options.binary
// is taken as it is.
func build(ctx context.Context, info *pulumirpc.ProgramInfo) (binary string, remove func(), err error) {
	keep := func() {}
	options := info.GetOptions().AsMap()
	if binary, ok := options["binary"].(string); ok && binary != "" {
		return binary, keep, nil
	}
	target, _ := options["buildTarget"].(string)
	if target == "" {
		folder, err := os.MkdirTemp("", "pulumi-go-")
		if err != nil {
			return "", nil, err
		}
		target, keep = folder+"/program", func() { os.RemoveAll(folder) }
	}
	compile := exec.CommandContext(ctx, "go", "build", "-o", target)
	compile.Dir = info.GetProgramDirectory()
	compile.Stdout, compile.Stderr = os.Stdout, os.Stderr
	if err := compile.Run(); err != nil {
		keep()
		return "", nil, fmt.Errorf("build the program in %s: %w", info.GetProgramDirectory(), err)
	}
	return target, keep, nil
}

// environment is how a Go program learns of its stack, its configuration and
// its engine.
func (h *languageHost) environment(req *pulumirpc.RunRequest) ([]string, error) {
	config, err := json.Marshal(req.GetConfig())
	if err != nil {
		return nil, err
	}
	secretKeys, err := json.Marshal(append([]string{}, req.GetConfigSecretKeys()...))
	if err != nil {
		return nil, err
	}
	return append(os.Environ(),
		pulumi.EnvOrganization+"="+req.GetOrganization(),
		pulumi.EnvProject+"="+req.GetProject(),
		pulumi.EnvPulumiRootDirectory+"="+req.GetInfo().GetRootDirectory(),
		pulumi.EnvStack+"="+req.GetStack(),
		pulumi.EnvConfig+"="+string(config),
		pulumi.EnvConfigSecretKeys+"="+string(secretKeys),
		pulumi.EnvDryRun+"="+strconv.FormatBool(req.GetDryRun()),
		pulumi.EnvParallel+"="+strconv.Itoa(int(req.GetParallel())),
		pulumi.EnvMonitor+"="+req.GetMonitorAddress(),
		pulumi.EnvEngine+"="+h.engineAddress,
	), nil
}

// InstallDependencies downloads the program's modules.
func (h *languageHost) InstallDependencies(req *pulumirpc.InstallDependenciesRequest, server pulumirpc.LanguageRuntime_InstallDependenciesServer) error {
	closer, stdout, stderr, err := rpcutil.MakeInstallDependenciesStreams(server, req.GetIsTerminal())
	if err != nil {
		return err
	}
	defer closer.Close()
	download := exec.CommandContext(server.Context(), "go", "mod", "download")
	download.Dir = req.GetInfo().GetProgramDirectory()
	download.Stdout, download.Stderr = stdout, stderr
	return download.Run()
}

// About says which Go tool chain builds the program.
func (h *languageHost) About(ctx context.Context, _ *pulumirpc.AboutRequest) (*pulumirpc.AboutResponse, error) {
	executable, err := exec.LookPath("go")
	if err != nil {
		return nil, err
	}
	version, err := exec.CommandContext(ctx, executable, "version").Output()
	return &pulumirpc.AboutResponse{Executable: executable, Version: strings.TrimSpace(string(version))}, err
}

// GetProgramDependencies lists the modules the program is built from.
func (h *languageHost) GetProgramDependencies(ctx context.Context, req *pulumirpc.GetProgramDependenciesRequest) (*pulumirpc.GetProgramDependenciesResponse, error) {
	format := "{{if not .Main}}{{if not .Indirect}}{{.Path}} {{.Version}}{{end}}{{end}}"
	if req.GetTransitiveDependencies() {
		format = "{{if not .Main}}{{.Path}} {{.Version}}{{end}}"
	}
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", format, "all")
	list.Dir = req.GetInfo().GetProgramDirectory()
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list the program's modules: %w", err)
	}
	response := &pulumirpc.GetProgramDependenciesResponse{}
	for line := range bytes.Lines(out) {
		if name, version, ok := strings.Cut(strings.TrimSpace(string(line)), " "); ok {
			response.Dependencies = append(response.Dependencies, &pulumirpc.DependencyInfo{Name: name, Version: version})
		}
	}
	return response, nil
}
