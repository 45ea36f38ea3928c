// Package state tells what the stack's last run knew: preview and update read the
// same, whatever has happened on the engine since.
package state

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// State is what the stack's state holds of resources that are not pending deletion.
type State struct {
	resources map[string]resource // by URN
}

type resource struct {
	kind    string // type
	outputs map[string]any
}

// Types of resources.
const (
	stackType     = "pulumi:pulumi:Stack"
	containerType = "docker:index/container:Container"
	networkType   = "docker:index/network:Network"
	volumeType    = "docker:index/volume:Volume"
	keyType       = "tls:index/privateKey:PrivateKey"
)

// Read reads the state as it was before this run, by the function that Pulumi itself
// provides to every program.
func Read(ctx *pulumi.Context) (State, error) {
	args := struct {
		StackName string `pulumi:"stackName"`
	}{ctx.Stack()}
	result := map[string]any{}
	if _, err := ctx.InvokePackageRaw("pulumi:pulumi:readStackResourceOutputs", args, &result, ""); err != nil {
		return State{}, fmt.Errorf("read the state of stack %s: %w", ctx.Stack(), err)
	}
	known, _ := result["outputs"].(map[string]any)
	return parse(known), nil
}

func parse(known map[string]any) State {
	s := State{resources: map[string]resource{}}
	for urn, value := range known {
		members, _ := value.(map[string]any)
		kind, _ := members["type"].(string)
		outputs, _ := members["outputs"].(map[string]any)
		s.resources[urn] = resource{kind: kind, outputs: outputs}
	}
	return s
}

// nameOf is the last part of a URN: the name that the program gave the resource.
func nameOf(urn string) string { return urn[strings.LastIndex(urn, "::")+len("::"):] }

// find returns the outputs of a resource, or nothing.
func (s State) find(kind, name string) map[string]any {
	for urn, r := range s.resources {
		if r.kind == kind && nameOf(urn) == name {
			return r.outputs
		}
	}
	return nil
}

// Output returns an output of the last run that succeeded, or nil.
func (s State) Output(name string) any {
	for _, r := range s.resources {
		if r.kind == stackType {
			return r.outputs[name]
		}
	}
	return nil
}

// PublicKey returns the PEM of the public half of a key, or nothing.
func (s State) PublicKey(name string) string {
	text, _ := s.find(keyType, name)["publicKeyPem"].(string)
	return text
}

// Containers lists the names, on the engine, of the stack's containers.
func (s State) Containers() []string {
	var names []string
	for _, r := range s.resources {
		if name, ok := r.outputs["name"].(string); ok && r.kind == containerType {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// HasVolume tells whether there is the volume that the program calls name.
func (s State) HasVolume(name string) bool { return s.find(volumeType, name) != nil }

// Run is how the last run of a one-shot ended.
type Run struct {
	Labels   map[string]string
	ExitCode int
}

// LastRun returns the last run of the one-shot that the program calls name, and
// whether there was one.
func (s State) LastRun(name string) (Run, bool) {
	outputs := s.find(containerType, name)
	if outputs == nil {
		return Run{}, false
	}
	run := Run{Labels: map[string]string{}}
	if code, ok := outputs["exitCode"].(float64); ok {
		run.ExitCode = int(code)
	}
	labels, _ := outputs["labels"].([]any)
	for _, item := range labels {
		label, _ := item.(map[string]any)
		name, _ := label["label"].(string)
		run.Labels[name], _ = label["value"].(string)
	}
	return run, true
}

// CheckName refuses to go on where the stack has another name than when its
// containers were made: everything would be made twice. prefix begins the names of
// everything the stack makes: project-stack.
func (s State) CheckName(prefix string) error {
	var networks []string
	for _, urn := range slices.Sorted(maps.Keys(s.resources)) {
		if s.resources[urn].kind == networkType {
			networks = append(networks, nameOf(urn))
		}
	}
	if len(networks) == 0 || slices.ContainsFunc(networks, func(name string) bool { return name == prefix || strings.HasPrefix(name, prefix+"-") }) {
		return nil
	}
	slices.SortFunc(networks, func(a, b string) int { return len(a) - len(b) })
	return fmt.Errorf("the stack is %s, and what it runs was made as %s: it was renamed. Allowed is the old name: give it back (pulumi stack rename, in make shell), or remove what runs (make down) before the stack is renamed",
		prefix, networks[0])
}
