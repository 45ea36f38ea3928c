package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"helloworld/infra/image"
	"helloworld/infra/workload"
)

// stack is one stack of the project.
type stack struct {
	project string
	name    string
}

// label is the value of the label that everything of the stack carries, and of others
// of its name.
func (s stack) label() string { return s.project + "/" + s.name }

// prefix begins the names of everything of the stack.
func (s stack) prefix() string { return workload.Prefix(s.project, s.name) }

// repository is the name, without a tag, of the images that the stack with the id builds.
func (s stack) repository(id string) string { return image.Repository(s.prefix(), id, "app") }

// state is what Pulumi knows of a stack.
type state struct {
	id        string              // tells the stack from others of its name; empty before its first run
	ids       map[string][]string // the engine's, by resource type
	leaving   map[string]bool     // the engine's ids of what is to be deleted
	pending   int                 // operations that a killed run had begun
	image     string              // reference of the service's image that the last run brought, good or bad
	version   string              // its version, where it was built
	outputs   map[string]any      // of the last update that succeeded
	resources []resource          // containers, networks and volumes
	salt      string              // tells whether a passphrase is the state's; empty where it has another provider of secrets
}

// resource is what the state says of a container, network or volume that is to stay.
type resource struct {
	thing
	oneShot  bool
	networks []attachment // of a container
	ports    []hostPort   // of a container
}

// attachment is a container's place on a network.
type attachment struct {
	Name    string
	Aliases []string
}

// hostPort is a port of a container's that the host has.
type hostPort struct {
	Internal, External uint16
	IP                 string
}

// Resource types in the state.
const (
	stackType     = "pulumi:pulumi:Stack"
	containerType = "docker:index/container:Container"
	networkType   = "docker:index/network:Network"
	volumeType    = "docker:index/volume:Volume"
	imageType     = "docker:index/remoteImage:RemoteImage"
	keyType       = "tls:index/privateKey:PrivateKey"
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
	return parseState(s, text)
}

// output returns an output that is a text, or nothing.
func (s state) output(name string) string {
	text, _ := s.outputs[name].(string)
	return text
}

func parseState(s stack, text []byte) (state, error) {
	var exported struct {
		Deployment struct {
			Resources []struct {
				URN, Type, ID string
				Delete        bool
				Outputs       map[string]any
			}
			SecretsProviders struct {
				Type  string
				State struct{ Salt string }
			} `json:"secrets_providers"`
			PendingOperations []json.RawMessage `json:"pending_operations"`
		}
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&exported); err != nil {
		return state{}, fmt.Errorf("read the state: %w", err)
	}
	known := state{ids: map[string][]string{}, leaving: map[string]bool{}, pending: len(exported.Deployment.PendingOperations)}
	if providers := exported.Deployment.SecretsProviders; providers.Type == "passphrase" {
		known.salt = providers.State.Salt
	}
	for _, resource := range exported.Deployment.Resources {
		if kindNames[resource.Type] != "" && !resource.Delete {
			known.resources = append(known.resources, readResource(resource.Type, resource.ID, resource.Outputs))
		}
		known.ids[resource.Type] = append(known.ids[resource.Type], resource.ID)
		switch {
		case resource.Delete:
			known.leaving[resource.ID] = true
		case resource.Type == stackType:
			known.outputs = resource.Outputs
		case resource.Type == imageType && strings.HasSuffix(resource.URN, "::"+s.prefix()+"-app"):
			name, _ := resource.Outputs["name"].(string)
			known.image, known.version = name, name[strings.LastIndex(name, ":")+1:]
		case resource.Type == keyType && strings.HasSuffix(resource.URN, "::"+workload.Identity):
			key, _ := resource.Outputs["publicKeyPem"].(string)
			known.id = workload.ID(key)
		}
	}
	if !strings.HasPrefix(known.image, s.repository(known.id)+":") {
		known.version = ""
	}
	return known, nil
}

// readResource reads what Pulumi knows of a container, network or volume. Of what it does not
// know as a thing of that form it tells nothing.
func readResource(kind, id string, outputs map[string]any) resource {
	var known struct {
		Name             string
		Labels           []struct{ Label string }
		NetworksAdvanced []attachment
		Ports            []hostPort
	}
	if text, err := json.Marshal(outputs); err == nil {
		_ = json.Unmarshal(text, &known) // what has another form is left out
	}
	r := resource{thing: thing{kind: kind, id: id, name: known.Name}, networks: known.NetworksAdvanced, ports: known.Ports}
	for _, l := range known.Labels {
		switch l.Label {
		case workload.AttemptLabel:
			r.oneShot = true
		case workload.DataLabel:
			r.data = true
		}
	}
	return r
}
