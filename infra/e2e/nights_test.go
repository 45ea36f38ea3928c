package e2e

import (
	"strings"
	"testing"
)

// TestNights stops, removes and disconnects what runs, in every way that somebody at a
// terminal can: make up ends with the service answering, and says what it found.
func TestNights(t *testing.T) {
	t.Parallel()
	p := newProject(t, "nights")
	p.start(t, "monitoring.enabled", "false", "logging.enabled", "false")
	one := func(component string) string { return p.containers(t, component)[0] }
	all := func() []string {
		return docker(t, "ps", "--quiet", "--filter", "label=helloworld.stack=helloworld/nights")
	}
	network := func() string {
		return docker(t, "network", "ls", "--quiet", "--filter", "label=helloworld.stack=helloworld/nights")[0]
	}
	for _, night := range []struct {
		name  string
		harm  func()
		finds []string
		anew  bool // containers are made anew
	}{
		{"TheProxyIsStopped", func() { docker(t, "stop", one("proxy")) }, []string{"-proxy-", "was stopped: it is started"}, false},
		{"TheProxyIsRemoved", func() { docker(t, "rm", "--force", one("proxy")) }, []string{"-proxy-", "is gone: it is made anew"}, true},
		{"EverythingIsStopped", func() { docker(t, append([]string{"stop", "-t", "1"}, all()...)...) }, []string{"-proxy-", "-replica-1-", "-replica-2-", "was stopped"}, false},
		{"EverythingIsRemoved", func() { docker(t, append([]string{"rm", "--force"}, all()...)...) }, []string{"-proxy-", "-replica-1-", "-replica-2-", "is gone"}, true},
		{"AReplicaIsRenamed", func() { docker(t, "rename", one("replica"), "somebody-else") }, []string{"was renamed to somebody-else: it has its name back"}, false},
		{"AReplicaIsPaused", func() { docker(t, "pause", one("replica")) }, []string{"was paused: it goes on"}, false},
		{"TheProxyIsDisconnected", func() { docker(t, "network", "disconnect", network(), one("proxy")) }, []string{"-proxy-", "was not on network"}, false},
		{"AReplicaIsDisconnected", func() { docker(t, "network", "disconnect", network(), one("replica")) }, []string{"-replica-", "was not on network"}, false},
		{"TheNetworkIsRemoved", func() {
			for _, id := range docker(t, "network", "inspect", "--format", "{{range $id, $_ := .Containers}}{{$id}} {{end}}", network()) {
				docker(t, "network", "disconnect", "--force", network(), id)
			}
			docker(t, "network", "rm", network())
		}, []string{"network helloworld-nights-", "is gone: it is made anew"}, true},
	} {
		t.Run(night.name, func(t *testing.T) {
			before := strings.Join(append(p.containers(t, "replica"), p.containers(t, "proxy")...), " ")
			night.harm()
			out := p.makeUp(t)
			for _, text := range night.finds {
				if !strings.Contains(out, text) {
					t.Errorf("make up does not say %q:\n%s", text, out)
				}
			}
			if !strings.HasSuffix(last(out), "serves from 2 replicas") {
				t.Errorf("the last line is %q", last(out))
			}
			p.serves(t, 2)
			after := strings.Join(append(p.containers(t, "replica"), p.containers(t, "proxy")...), " ")
			if (before != after) != night.anew {
				t.Errorf("the containers were %s, and are %s", before, after)
			}
			p.up(t, "--expect-no-changes")
		})
	}
	t.Run("AStoppedReplicaIsStartedUnderLoad", func(t *testing.T) {
		docker(t, "stop", one("replica"))
		load := p.startLoad(true)
		p.makeUp(t)
		p.serves(t, 2)
		load.end(t)
	})
}
