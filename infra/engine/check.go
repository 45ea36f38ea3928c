package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"helloworld/infra/config"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Check tells, before anything changes, what of the configuration this engine
// cannot take: ports that another process has, and an address that is not the
// host's, all in one error. own are the names of the containers that the stack has.
// Only an engine on this host can be asked.
func (e *Engine) Check(own []string, c config.Config) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	bind, err := netip.ParseAddr(c.Proxy.Bind)
	if err != nil {
		return fmt.Errorf("proxy.bind is %s: allowed is an IP address: %w", c.Proxy.Bind, err)
	}
	ports := map[string][]publishedPort{"proxy": {
		{"proxy.httpPort", bind, c.Proxy.HTTPPort},
		{"proxy.httpsPort", bind, c.Proxy.HTTPSPort},
	}}
	if c.Monitoring.Enabled {
		local := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		ports["prometheus"] = []publishedPort{{"monitoring.prometheusPort", local, c.Monitoring.PrometheusPort}}
		ports["alertmanager"] = []publishedPort{{"monitoring.alertmanagerPort", local, c.Monitoring.AlertmanagerPort}}
	}
	owners, err := e.containers(ctx, own)
	if err != nil {
		return err
	}
	var problems []error
	for _, component := range slices.Sorted(maps.Keys(ports)) {
		for _, p := range ports[component] {
			problems = append(problems, e.checkPort(ctx, owners[component], p))
		}
	}
	return errors.Join(problems...)
}

// publishedPort is one of the host's that a component of the stack is to have.
type publishedPort struct {
	key    string
	bind   netip.Addr
	number int
}

// checkPort refuses a port that somebody else than its owners has.
func (e *Engine) checkPort(ctx context.Context, owners []container.Summary, p publishedPort) error {
	port := p.number
	for _, owner := range owners {
		for _, published := range owner.Ports {
			switch {
			case int(published.PublicPort) != port:
			case published.IP == p.bind:
				return nil
			case published.IP.IsUnspecified() || p.bind.IsUnspecified():
				port = 0 // it is the component's own, and in its way: try the address only
			}
		}
	}
	if !strings.HasPrefix(e.api.DaemonHost(), "unix://") {
		return nil // another host's ports cannot be tried from here
	}
	err := tryPort(netip.AddrPortFrom(p.bind, uint16(port)).String())
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		if other := e.publisher(ctx, port); other != "" {
			return fmt.Errorf("%s is %d: allowed is a free port, and container %s publishes this one: stop it, or set another port. If a lost state left it, make purge removes it", p.key, port, other)
		}
		return fmt.Errorf("%s is %d: allowed is a free port, and another process listens on this one (sudo ss -ltnp 'sport = :%d' names it): stop it, or set another port", p.key, port, port)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("proxy.bind is %s: allowed is an address of this host", p.bind)
	}
	return nil
}

// publisher returns the name of a container that publishes the port, or nothing.
func (e *Engine) publisher(ctx context.Context, port int) string {
	list, err := e.api.ContainerList(ctx, client.ContainerListOptions{})
	if err != nil {
		return ""
	}
	for _, c := range list.Items {
		for _, published := range c.Ports {
			if int(published.PublicPort) == port && len(c.Names) > 0 {
				return strings.TrimPrefix(c.Names[0], "/")
			}
		}
	}
	return ""
}

// tryPort listens for a moment. Where that takes privileges it asks whether
// somebody answers.
func tryPort(address string) error {
	listener, err := net.Listen("tcp", address)
	if err == nil {
		return listener.Close()
	}
	if !errors.Is(err, syscall.EACCES) {
		return err
	}
	connection, dialErr := net.DialTimeout("tcp", address, time.Second)
	if dialErr != nil {
		return nil
	}
	return errors.Join(syscall.EADDRINUSE, connection.Close())
}
