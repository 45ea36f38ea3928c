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

// state holds the engine's ids of what Pulumi knows of, by resource type.
type state map[string][]string

// Resource types in the state.
const (
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
		return nil, fmt.Errorf("export the state of stack %s: %w", s.name, err)
	}
	return parseState(text)
}

func parseState(text []byte) (state, error) {
	var exported struct {
		Deployment struct {
			Resources []struct{ Type, ID string }
		}
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&exported); err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	known := state{}
	for _, resource := range exported.Deployment.Resources {
		known[resource.Type] = append(known[resource.Type], resource.ID)
	}
	return known, nil
}
