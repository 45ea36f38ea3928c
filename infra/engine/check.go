package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"helloworld/infra/config"
)

// Check tells, before anything changes, what of the configuration this engine
// cannot take.
func (e *Engine) Check(stack string, c config.Config) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var problems []error
	ports := map[string]int{"proxy.httpPort": c.Proxy.HTTPPort, "proxy.httpsPort": c.Proxy.HTTPSPort}
	for _, key := range []string{"proxy.httpPort", "proxy.httpsPort"} {
		if err := e.checkPort(ctx, stack, key, c.Proxy.Bind, ports[key]); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// checkPort refuses a port that somebody else than the stack's proxy has.
func (e *Engine) checkPort(ctx context.Context, stack, key, bind string, port int) error {
	proxies, err := e.containers(ctx, stack, "proxy")
	if err != nil {
		return err
	}
	for _, proxy := range proxies {
		for _, published := range proxy.Ports {
			if int(published.PublicPort) != port {
				continue
			}
			if published.IP.String() == bind {
				return nil
			}
			port = 0 // the port is the proxy's own, the address is new
		}
	}
	if !strings.HasPrefix(e.api.DaemonHost(), "unix://") {
		return nil // another host's ports cannot be tried from here
	}
	err = tryPort(net.JoinHostPort(bind, strconv.Itoa(port)))
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
