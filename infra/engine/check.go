package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"helloworld/infra/config"

	"github.com/moby/moby/api/types/container"
)

// Check tells, before anything changes, what of the configuration this engine
// cannot take: ports that another process has, and an address that is not the
// host's, all in one error. The stack is named project/stack. Only an engine on
// this host can be asked.
func (e *Engine) Check(stack string, c config.Config) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	bind, err := netip.ParseAddr(c.Proxy.Bind)
	if err != nil {
		return fmt.Errorf("proxy.bind is %s: allowed is an IP address: %w", c.Proxy.Bind, err)
	}
	proxies, err := e.containers(ctx, stack, "proxy")
	if err != nil {
		return err
	}
	return errors.Join(
		e.checkPort(proxies, "proxy.httpPort", bind, c.Proxy.HTTPPort),
		e.checkPort(proxies, "proxy.httpsPort", bind, c.Proxy.HTTPSPort),
	)
}

// checkPort refuses a port that somebody else than the stack's proxy has.
func (e *Engine) checkPort(proxies []container.Summary, key string, bind netip.Addr, port int) error {
	for _, proxy := range proxies {
		for _, published := range proxy.Ports {
			switch {
			case int(published.PublicPort) != port:
			case published.IP == bind:
				return nil
			case published.IP.IsUnspecified() || bind.IsUnspecified():
				port = 0 // it is the proxy's own, and in its way: try the address only
			}
		}
	}
	if !strings.HasPrefix(e.api.DaemonHost(), "unix://") {
		return nil // another host's ports cannot be tried from here
	}
	err := tryPort(netip.AddrPortFrom(bind, uint16(port)).String())
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is %d: allowed is a free port, and another process listens on this one (sudo ss -ltnp 'sport = :%d' names it): stop it, or set another port", key, port, port)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("proxy.bind is %s: allowed is an address of this host", bind)
	}
	return nil
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
