package workload

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

//go:embed start.sh
var startScript string

//go:embed revision.sh
var revisionScript string

// uploads is where a revision's container finds the revision's files.
const uploads = "/revision/"

// Revisions lets a long-lived workload take a new configuration without a
// restart: every revision of it comes into a volume, is tested there, switched to
// atomically, announced by SIGHUP, probed, and taken back when bad. Its image
// needs sh and flock.
type Revisions struct {
	Volume    pulumi.StringInput // name
	Folder    string             // where the volume is mounted: the workload's user owns it
	Main      string             // name of a revision's main file
	Bootstrap string             // content of the main file until the first revision
	Script    string             // what revision.sh needs to know of the program
}

// Revision is one configuration of a workload.
type Revision struct {
	ID    pulumi.StringInput            // another ID is another revision
	Files map[string]pulumi.StringInput // content by name
	Env   map[string]pulumi.StringInput // further environment of the script
	// Required is the name in Env of what must not change without a revision, as it
	// would where --target leaves the one-shot out. May be empty.
	Required string
	// Explain returns what else there is to say of a failure with this log. May be nil.
	Explain func(log string) string
}

// Current is the path, whatever the revision, of the main file of the one that
// serves.
func (r Revisions) Current() string { return r.Folder + "/current/" + r.Main }

// RevisionID names a revision by what it consists of, and by how it is applied.
func (r Revisions) RevisionID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(append(parts, revisionScript, r.Script), "\x00")))
	return hex.EncodeToString(sum[:])[:12]
}

// Start adds to a description how the program starts: on the last revision that
// proved good.
func (r Revisions) Start(d Description, command ...string) Description {
	d = r.Share(d)
	d.Env["BOOTSTRAP"] = pulumi.String(r.Bootstrap)
	d.Command = append([]string{startScript, "start"}, command...)
	return d
}

// Apply runs a one-shot, called name, that lets the running container take the
// revision, and returns the revision's id once it serves. The description is what
// both containers share.
func (r Revisions) Apply(ctx *pulumi.Context, stack *Stack, name string, d Description, running *docker.Container, revision Revision, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	d = r.Share(d)
	maps.Copy(d.Env, revision.Env)
	d.Env["REVISION"] = revision.ID
	d.Command = []string{revisionScript + r.Script}
	d.Joins = running.ID()
	for _, file := range slices.Sorted(maps.Keys(revision.Files)) {
		d.Files = append(d.Files, File{Path: uploads + file, Content: revision.Files[file]})
	}
	container, err := runOnce(ctx, stack, name, d, opts...)
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	what := inWords(name)
	applied := whenSucceeded(container, what, revision.ID, revision.Explain)
	if revision.Required == "" {
		return applied, nil
	}
	return revision.whenNotLeftOut(applied, container, what), nil
}

// whenNotLeftOut returns the id unless the container, left out of this update, knows
// another value of what is required. The error keeps what it knows from being removed.
func (r Revision) whenNotLeftOut(id pulumi.StringOutput, container *docker.Container, what string) pulumi.StringOutput {
	return pulumi.All(id, container.Envs, r.Env[r.Required]).ApplyT(func(values []any) (string, error) {
		id, env, value := values[0].(string), values[1].([]string), values[2].(string)
		if !slices.Contains(env, r.Required+"="+value) {
			return "", fmt.Errorf("%s was left out of this update by --target or --exclude, but it must follow what changes: what served before serves on, and nothing was removed. Update everything, or %s too", what, what)
		}
		return id, nil
	}).(pulumi.StringOutput)
}

// Share adds to a description what all that deals with the revisions has: the volume,
// and a shell that is told where it is.
func (r Revisions) Share(d Description) Description {
	d.Entrypoint = []string{"sh", "-c"}
	d.Volumes = append(slices.Clone(d.Volumes), Volume{Name: r.Volume, Path: r.Folder})
	d.Env = map[string]pulumi.StringInput{"PREFIX": pulumi.String(r.Folder), "MAIN": pulumi.String(r.Main)}
	return d
}
