package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"helloworld/infra/engine"
	"helloworld/infra/proxy"
	"helloworld/infra/workload"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// answerLimit is how long the service may take to answer again once the stack is up.
const answerLimit = 30 * time.Second

// serving is what clients reach at a moment.
type serving struct {
	replicas []string // names of those that run and get requests
	version  string
	why      string // nobody is served
}

func (s serving) String() string {
	if len(s.replicas) == 0 {
		return "nothing serves (" + s.why + ")"
	}
	return fmt.Sprintf("version %s serves from %s", s.version, count(len(s.replicas), "replica"))
}

// advice says what serves, and what to do where nothing does.
func (s serving) advice(of stack) string {
	if len(s.replicas) == 0 {
		return s.String() + ": " + of.make("up")
	}
	return s.String()
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// after says what serves now, where before served until now.
func (s serving) after(before serving) string {
	switch {
	case len(s.replicas) == 0:
		return s.String()
	case slices.Equal(s.replicas, before.replicas):
		return s.String() + " as before"
	case len(before.replicas) > 0 && s.version != before.version:
		return "the new " + s.String()
	default:
		return s.String()
	}
}

// serving asks the engine and the proxy, not the state.
func (v view) serving(ctx context.Context) serving {
	containers, err := v.containers(ctx)
	if err != nil {
		return serving{why: "the engine does not answer"}
	}
	front, ok := component(containers, "proxy")
	switch {
	case !ok:
		return serving{why: cmp.Or(v.strangeProxy(ctx), "the proxy is not there")}
	case !runs(front):
		return serving{why: "the proxy is " + string(front.State)}
	}
	names, err := listed(ctx, front.ID)
	if err != nil {
		return serving{why: "the proxy does not answer"}
	}
	images, err := v.imageNames(ctx)
	if err != nil {
		return serving{why: "the engine does not answer"}
	}
	var s serving
	var versions []string
	for _, c := range containers {
		if slices.Contains(names, name(c)) && runs(c) {
			s.replicas = append(s.replicas, name(c))
			versions = append(versions, v.version(cmp.Or(images[c.ImageID], c.Image)))
		}
	}
	slices.Sort(s.replicas)
	slices.Sort(versions)
	s.version = strings.Join(slices.Compact(versions), " and ")
	if len(s.replicas) == 0 {
		s.why = "no replica runs that the proxy knows"
		if len(names) == 0 {
			s.why = "the proxy has no replicas yet"
		}
	}
	return s
}

// strangeProxy tells of a proxy that runs under the stack's name, and is in no state here.
func (v view) strangeProxy(ctx context.Context) string {
	list, err := v.api.ContainerList(ctx, client.ContainerListOptions{Filters: v.stack.namesakes().Add("label", workload.ComponentLabel+"=proxy")})
	if err != nil || len(list.Items) == 0 {
		return ""
	}
	return fmt.Sprintf("of this checkout; %s runs, which another checkout made or a lost state knew", name(list.Items[0]))
}

// version is the name of a built version, or an image's whole reference.
func (v view) version(image string) string {
	return strings.TrimPrefix(image, v.stack.repository(v.known.id)+":")
}

// component returns the container of a component, the running one where there are two.
func component(containers []container.Summary, component string) (container.Summary, bool) {
	var found container.Summary
	for _, c := range containers {
		if c.Labels[workload.ComponentLabel] == component && (found.ID == "" || runs(c)) {
			found = c
		}
	}
	return found, found.ID != ""
}

// listed are the names of the replicas that nginx, in the container, sends requests to:
// it names its revision itself.
func listed(ctx context.Context, id string) ([]string, error) {
	host, err := engine.Connect()
	if err != nil {
		return nil, err
	}
	list, err := host.Output(ctx, id, "sh", "-c",
		`revision=$(curl --silent --fail --max-time 5 http://127.0.0.1:8081/) && cd /etc/nginx/revisions/"$revision" && { cat servers.conf 2>/dev/null || :; }`)
	if err != nil {
		return nil, err
	}
	return servers(list), nil
}

// awaitAnswer asks the service as a client does, until it answers without a server
// error.
func (v view) awaitAnswer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	for {
		err := v.ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the stack is up, and the service does not answer: %w", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// ask sends one request to the proxy's port on the host. Where the engine is on another
// host its ports may not be reached from here: then the proxy is asked in its container.
func (v view) ask(ctx context.Context) error {
	containers, err := v.containers(ctx)
	if err != nil {
		return err
	}
	front, ok := component(containers, "proxy")
	if !ok || !runs(front) {
		return errors.New("the proxy does not run")
	}
	target, err := url.Parse(cmp.Or(v.known.output("probeUrl"), v.known.output("url")+"/"))
	if err != nil {
		return err
	}
	if !strings.HasPrefix(v.api.DaemonHost(), "unix://") {
		host, err := engine.Connect()
		if err != nil {
			return err
		}
		status, err := host.Output(ctx, front.ID, "curl", "--silent", "--insecure", "--output", "/dev/null", "--max-time", "10", "--write-out", "%{http_code}",
			"--resolve", fmt.Sprintf("%s:%d:127.0.0.1", target.Hostname(), proxy.HTTPSPort), fmt.Sprintf("https://%s:%d%s", target.Hostname(), proxy.HTTPSPort, target.RequestURI()))
		if err == nil && strings.HasPrefix(status, "5") {
			err = fmt.Errorf("%s answers %s", target, status)
		}
		return err
	}
	for _, p := range front.Ports {
		if p.PrivatePort == proxy.HTTPSPort && p.PublicPort != 0 {
			return request(ctx, target, address(p.IP, p.PublicPort))
		}
	}
	return errors.New("the proxy has no port of the host")
}

// address is where this host reaches what it publishes on an address of its own.
func address(ip netip.Addr, port uint16) string {
	switch {
	case ip == netip.IPv6Unspecified():
		ip = netip.IPv6Loopback()
	case !ip.IsValid() || ip.IsUnspecified():
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.AddrPortFrom(ip, port).String()
}

// request asks for the target at an address. The certificate may be the stack's own.
func request(ctx context.Context, target *url.URL, address string) error {
	client := http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, ServerName: target.Hostname()},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, address)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	question, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(question)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 500 {
		return fmt.Errorf("%s answers %s", target, answer.Status)
	}
	return nil
}
