package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

const (
	loadPause = 5 * time.Millisecond // of a client between two requests
	loadLimit = 5 * time.Minute      // after which a load ends by itself
)

// load is constant traffic to the proxy. Every answer is counted, and everything
// that is not the expected answer is a loss.
type load struct {
	stop    chan struct{}
	clients sync.WaitGroup
	mutex   sync.Mutex
	answers int
	losses  []string
}

// client is one way to speak to the proxy. do sends one request and says what is
// wrong with the answer.
type client struct {
	name string
	do   func() error
}

// startLoad sends GET and, unless safeOnly, POST requests over HTTP/2, over kept
// connections that forgive no unannounced end, and over a new connection each
// time.
func (p *project) startLoad(safeOnly bool) *load {
	l := &load{stop: make(chan struct{})}
	address := fmt.Sprintf("127.0.0.1:%d", p.httpsPort)
	clients := []client{
		http2Client(address), http2Client(address),
		keptClient(address, http.MethodGet, 200), keptClient(address, http.MethodGet, 200), keptClient(address, http.MethodGet, 200),
		newConnectionClient(address),
	}
	if !safeOnly {
		clients = append(clients, keptClient(address, http.MethodPost, 405))
	}
	for _, c := range clients {
		l.clients.Go(func() { l.run(c) })
	}
	return l
}

func (l *load) run(c client) {
	limit := time.After(loadLimit)
	for {
		select {
		case <-l.stop:
			return
		case <-limit:
			return
		case <-time.After(loadPause):
		}
		err := c.do()
		l.mutex.Lock()
		l.answers++
		if err != nil {
			l.losses = append(l.losses, fmt.Sprintf("%s %s: %v", time.Now().Format("15:04:05.000"), c.name, err))
		}
		l.mutex.Unlock()
	}
}

// end stops the load and fails the test if one request was lost.
func (l *load) end(tb testing.TB) {
	tb.Helper()
	close(l.stop)
	l.clients.Wait()
	tb.Logf("%d requests, %d lost", l.answers, len(l.losses))
	if l.answers < 200 {
		tb.Errorf("only %d requests: that is no load", l.answers)
	}
	for i, loss := range l.losses {
		if i == 10 {
			tb.Errorf("and %d more", len(l.losses)-i)
			break
		}
		tb.Error("lost: " + loss)
	}
}

func insecure() *tls.Config { return &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"} }

func http2Client(address string) client {
	return httpClient("HTTP/2 GET", address, 2, &http.Transport{TLSClientConfig: insecure(), ForceAttemptHTTP2: true})
}

func newConnectionClient(address string) client {
	return httpClient("new connection GET", address, 1, &http.Transport{TLSClientConfig: insecure(), DisableKeepAlives: true})
}

// httpClient expects answers over the major version of HTTP.
func httpClient(name, address string, major int, transport *http.Transport) client {
	c := http.Client{Transport: transport, Timeout: 30 * time.Second}
	return client{name, func() error {
		response, err := c.Get("https://" + address + "/helloworld")
		if err != nil {
			return err
		}
		if response.ProtoMajor != major {
			return fmt.Errorf("answered over %s", response.Proto)
		}
		return expect(response, 200)
	}}
}

// keptClient keeps its HTTP/1.1 connection until the proxy announces its end, and
// never sends a request twice.
func keptClient(address, method string, status int) client {
	var connection net.Conn
	var reader *bufio.Reader
	request := fmt.Appendf(nil, "%s /helloworld HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", method)
	exchange := func() error {
		if connection == nil {
			dialed, err := tls.Dial("tcp", address, insecure())
			if err != nil {
				return err
			}
			connection, reader = dialed, bufio.NewReader(dialed)
		}
		if err := connection.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			return err
		}
		if _, err := connection.Write(request); err != nil {
			return err
		}
		response, err := http.ReadResponse(reader, &http.Request{Method: method})
		if err != nil {
			return err
		}
		if err := expect(response, status); err != nil {
			return err
		}
		if response.Close {
			err = connection.Close()
			connection = nil
		}
		return err
	}
	return client{"kept connection " + method, func() error {
		err := exchange()
		if err != nil && connection != nil {
			connection.Close()
			connection = nil
		}
		return err
	}}
}

func expect(response *http.Response, status int) error {
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != status {
		return fmt.Errorf("%s: %s", response.Status, bytes.TrimSpace(body))
	}
	return nil
}
