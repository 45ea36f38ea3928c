package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// stack is one stack of the project.
type stack struct {
	project string
	name    string
}

// id is the value of the label that everything of the stack carries.
func (s stack) id() string { return s.project + "/" + s.name }

// state is what Pulumi knows of a stack.
type state struct {
	ids     map[string][]string // the engine's, by resource type
	outputs map[string]any      // of the last update that succeeded
}

// Resource types in the state.
const (
	stackType     = "pulumi:pulumi:Stack"
	containerType = "docker:index/container:Container"
	networkType   = "docker:index/network:Network"
	volumeType    = "docker:index/volume:Volume"
	imageType     = "docker:index/remoteImage:RemoteImage"
)

// load reads the stack's state, without the values of its secrets.
func load(ctx context.Context, s stack) (state, error) {
	export := exec.CommandContext(ctx, "pulumi", "stack", "export", "--stack", s.name)
	text, err := export.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = errors.New(strings.TrimSpace(string(exit.Stderr)))
		}
		return state{}, fmt.Errorf("export the state of stack %s: %w", s.name, err)
	}
	return parseState(text)
}

// output returns an output that is a text, or nothing.
func (s state) output(name string) string {
	text, _ := s.outputs[name].(string)
	return text
}

func parseState(text []byte) (state, error) {
	var exported struct {
		Deployment struct {
			Resources []struct {
				Type, ID string
				Outputs  map[string]any
			}
		}
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&exported); err != nil {
		return state{}, fmt.Errorf("read the state: %w", err)
	}
	known := state{ids: map[string][]string{}}
	for _, resource := range exported.Deployment.Resources {
		known.ids[resource.Type] = append(known.ids[resource.Type], resource.ID)
		if resource.Type == stackType {
			known.outputs = resource.Outputs
		}
	}
	return known, nil
}
