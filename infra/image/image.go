// Package image brings images to the engine: the service's own, built and named
// by the hash of its build context, and others by their reference.
package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"helloworld/infra/workload"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Image is an image on the engine.
type Image struct {
	ID         pulumi.StringOutput // sha256:...
	Version    string              // hash of what it was built from, or its reference
	Repository pulumi.StringOutput // where the built versions are; empty for others' images
}

// BuildArgs says what to build.
type BuildArgs struct {
	Stack   *workload.Stack
	Context string // absolute path of a folder with a Dockerfile
	Builder string // reference of the image to build with, the build argument BUILDER
	Hooks   *pulumi.ResourceHookBinding
}

// Repository is the name, without a tag, of the images that the stack with the id
// builds; prefix begins the names of everything it makes.
func Repository(prefix, id, name string) string {
	return strings.ToLower(prefix + "-" + id + "-" + name)
}

// Kept takes a version that was built before and is on the engine.
func Kept(ctx *pulumi.Context, stack *workload.Stack, name, repository, version string, opts ...pulumi.ResourceOption) (*Image, error) {
	image, err := Pull(ctx, stack, name, repository+":"+version, opts...)
	if err != nil {
		return nil, err
	}
	image.Version, image.Repository = version, pulumi.String(repository).ToStringOutput()
	return image, nil
}

// Build builds the service's image, unless the engine has it.
func Build(ctx *pulumi.Context, name string, args BuildArgs, opts ...pulumi.ResourceOption) (*Image, error) {
	folder, err := relative(args.Context)
	if err != nil {
		return nil, err
	}
	version, err := contextHash(args.Context, folder, args.Builder)
	if err != nil {
		return nil, fmt.Errorf("read the build context %s: %w", args.Context, err)
	}
	repository := args.Stack.ID.ApplyT(func(id string) string { return Repository(args.Stack.Prefix(), id, name) }).(pulumi.StringOutput)
	image, err := docker.NewRemoteImage(ctx, args.Stack.Prefix()+"-"+name, &docker.RemoteImageArgs{
		Name: pulumi.Sprintf("%s:%s", repository, version),
		Build: docker.RemoteImageBuildArgs{
			Context: pulumi.String(folder),
			BuildArgs: pulumi.StringMap{
				"BUILDER": pulumi.String(args.Builder),
				"VERSION": pulumi.String(version),
			},
			BuildLogFile: pulumi.String(buildLog),
			Label:        pulumi.StringMap{workload.IDLabel: args.Stack.ID, workload.StackLabel: pulumi.String(args.Stack.Label())},
		},
		// A resource's delete would fail where anybody uses the image, and take the way
		// back along: what is not kept is removed when another version serves.
		KeepLocally: pulumi.Bool(true),
		Triggers:    pulumi.StringMap{"version": pulumi.String(version)},
	}, append(opts, pulumi.ResourceHooks(args.Hooks))...)
	if err != nil {
		return nil, fmt.Errorf("build %s image: %w", name, err)
	}
	return &Image{ID: image.ImageId, Version: version, Repository: repository}, nil
}

// buildLog is where the provider writes what a build says, relative to the
// program's folder.
const buildLog = "../.pulumi/build.log"

// reportLines is how much of the log of a failed build is shown.
const reportLines = 20

// Hooks show the end of the log when a build fails: the provider's error names
// only the instruction. The log of the last build is removed first.
func Hooks(ctx *pulumi.Context) (*pulumi.ResourceHookBinding, error) {
	if !ctx.DryRun() {
		if err := os.Remove(buildLog); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("remove the log of the last build: %w", err)
		}
	}
	report, err := ctx.RegisterErrorHook("report-build", func(args *pulumi.ErrorHookArgs) (bool, error) {
		log, err := os.ReadFile(buildLog)
		if err != nil || args.FailedOperation != "create" {
			return false, nil // there was no build
		}
		lines := strings.Split(strings.TrimSpace(string(log)), "\n")
		lines = lines[max(0, len(lines)-reportLines):]
		return false, ctx.Log.Error("the build of the app image failed, the last lines of its log:\n"+strings.Join(lines, "\n"), nil)
	})
	if err != nil {
		return nil, fmt.Errorf("register hook: %w", err)
	}
	return &pulumi.ResourceHookBinding{OnError: []*pulumi.ErrorHook{report}}, nil
}

// relative makes the state the same wherever the project lies: the program and
// the provider run in the same folder.
func relative(path string) (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	return filepath.Rel(here, path)
}

// Pull takes the image that the engine has under the reference, or else pulls
// it. It is not the stack's own: it stays when the stack goes.
func Pull(ctx *pulumi.Context, stack *workload.Stack, name, reference string, opts ...pulumi.ResourceOption) (*Image, error) {
	image, err := docker.NewRemoteImage(ctx, stack.Prefix()+"-"+name, &docker.RemoteImageArgs{
		Name:        pulumi.String(reference),
		KeepLocally: pulumi.Bool(true),
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("pull %s image %s: %w", name, reference, err)
	}
	return &Image{ID: image.ImageId, Version: reference, Repository: pulumi.String("").ToStringOutput()}, nil
}
