package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"
)

const (
	loadPause = 10 * time.Millisecond // of a client between two requests
	loadLimit = 5 * time.Minute       // after which a load ends by itself
)

// What goes slowly takes slowTime, in slowSteps.
const (
	slowTime     = 4 * time.Second
	slowSteps    = 40
	uploadSize   = 3 << 20  // bytes
	downloadSize = 12 << 20 // bytes: more than all buffers on the way hold
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

// startLoad sends GET requests over HTTP/2, over kept connections that forgive no
// unannounced end, and over a new connection each time. Unless safeOnly it sends what
// cannot be sent again, too: POST requests, slow uploads and slow downloads.
func (p *project) startLoad(safeOnly bool) *load {
	l := &load{stop: make(chan struct{})}
	address := fmt.Sprintf("127.0.0.1:%d", p.httpsPort)
	clients := []client{
		http2Client(address), http2Client(address),
		keptClient(address, http.MethodGet, 200), keptClient(address, http.MethodGet, 200), keptClient(address, http.MethodGet, 200),
		newConnectionClient(address),
	}
	if !safeOnly {
		clients = append(clients, keptClient(address, http.MethodPost, 405),
			uploadClient(address), uploadClient(address), downloadClient(address), downloadClient(address))
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

// uploadClient sends a body slowly, over a new connection each time.
func uploadClient(address string) client {
	return client{"slow upload", func() error { return upload(address, uploadSize, slowTime) }}
}

// upload sends a body of so many bytes in that time, and expects the service to have
// all of it.
func upload(address string, size int, over time.Duration) error {
	request, err := http.NewRequest(http.MethodPost, "https://"+address+"/upload", &slowReader{io.LimitReader(zeros{}, int64(size)), size, over})
	if err != nil {
		return err
	}
	request.ContentLength = int64(size)
	response, err := oneConnection().Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != 200 || string(body) != strconv.Itoa(size)) {
		err = fmt.Errorf("%s: %s", response.Status, bytes.TrimSpace(body))
	}
	return err
}

// downloadClient reads a body slowly, over a new connection each time.
func downloadClient(address string) client {
	return client{"slow download", func() error {
		response, err := oneConnection().Get(fmt.Sprintf("https://%s/download?bytes=%d", address, downloadSize))
		if err != nil {
			return err
		}
		defer response.Body.Close()
		read, err := io.Copy(io.Discard, &slowReader{response.Body, downloadSize, slowTime})
		if err == nil && (response.StatusCode != 200 || read != downloadSize) {
			err = fmt.Errorf("%s, %d bytes", response.Status, read)
		}
		return err
	}}
}

// oneConnection is a client that sends one request over a connection, and buffers
// little of the answer.
func oneConnection() *http.Client {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if tcp, ok := connection.(*net.TCPConn); ok {
			err = tcp.SetReadBuffer(64 << 10)
		}
		return connection, err
	}
	return &http.Client{
		Transport: &http.Transport{TLSClientConfig: insecure(), DisableKeepAlives: true, DialContext: dial},
		Timeout:   time.Minute,
	}
}

// slowReader gives what it reads, size bytes, in steps over that time.
type slowReader struct {
	io.Reader
	size int
	over time.Duration
}

func (r *slowReader) Read(p []byte) (int, error) {
	step := min(len(p), r.size/slowSteps)
	n, err := io.ReadFull(r.Reader, p[:step])
	time.Sleep(time.Duration(int64(r.over) * int64(n) / int64(r.size)))
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// slowRoutes are added to the copy's service: they take and give large bodies, and
// wait. They are neither logged nor counted.
const slowRoutes = `package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

func withSlowRoutes(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/upload":
			n, err := io.Copy(io.Discard, r.Body)
			if err != nil {
				panic(err)
			}
			fmt.Fprint(w, n)
		case "/download":
			size, _ := strconv.Atoi(r.FormValue("bytes"))
			w.Header().Set("Content-Length", strconv.Itoa(size))
			for chunk := make([]byte, 64<<10); size > 0; size -= len(chunk) {
				if _, err := w.Write(chunk[:min(size, len(chunk))]); err != nil {
					return
				}
			}
		case "/wait":
			seconds, _ := strconv.Atoi(r.FormValue("seconds"))
			time.Sleep(time.Duration(seconds) * time.Second)
			fmt.Fprint(w, "waited")
		default:
			next.ServeHTTP(w, r)
		}
	})
}
`

// addSlowRoutes gives the service of the copy what the load asks for.
func (p *project) addSlowRoutes(tb testing.TB) {
	tb.Helper()
	p.write(tb, "app/slow.go", slowRoutes)
	p.edit(tb, "app/serve.go", "newHandler(s.replica, &ready, logger), logger)", "withSlowRoutes(newHandler(s.replica, &ready, logger)), logger)")
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
