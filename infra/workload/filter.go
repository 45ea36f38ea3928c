package workload

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Filter lets workloads ask the Docker Engine what its rules allow, and nothing else:
// who reaches the engine's own socket is root on the host. Workloads that mount the
// volume at FilterFolder find it at FilterSocket.
type Filter struct {
	Component string
	Image     pulumi.StringInput // id of an image with nginx, sh and curl
	Engine    string             // path of the engine's socket on its host
	Volume    pulumi.StringInput // name of a socket volume
	Rules     string             // nginx's configuration: it listens at FilterSocket, and passes on to /docker.sock
}

// Where a filter is found by those that mount its volume.
const (
	FilterFolder = "/engine"
	FilterSocket = FilterFolder + "/docker.sock"
)

// filterScript lets those behind the filter wait for the engine too.
const filterScript = `rm -f ` + FilterSocket + `
until curl --silent --fail --max-time 5 --output /dev/null --unix-socket /docker.sock http://docker/_ping; do sleep 1; done
printf '%s' "$CONFIG" >/tmp/nginx.conf
exec nginx -c /tmp/nginx.conf -g 'daemon off;'`

// Describe returns the filter as a workload. It is in no network.
func (f Filter) Describe() Description {
	return Description{
		Component:    f.Component,
		Image:        f.Image,
		Isolated:     true,
		HostPaths:    []HostPath{{Host: f.Engine, Path: "/docker.sock"}},
		Volumes:      []Volume{{Name: f.Volume, Path: FilterFolder}},
		Tmpfs:        []string{"/run", "/tmp"},
		Capabilities: []string{"CAP_SETGID", "CAP_SETUID"},
		Env:          map[string]pulumi.StringInput{"CONFIG": pulumi.String(f.Rules)},
		Entrypoint:   []string{"sh", "-c"},
		Command:      []string{filterScript},
		Memory:       32,
		Pids:         50,
		StopGrace:    5,
		Alone:        true, // two would have one socket
	}
}
