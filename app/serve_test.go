package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// launch serves in the background and waits until the health check passes.
func launch(t *testing.T) (port int) {
	t.Helper()
	port = freePort(t)
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	s := settings{port: port, replica: "r", stopGrace: 5 * time.Second}
	go func() { stopped <- serve(ctx, s, quiet()) }()
	t.Cleanup(func() {
		stop()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
	for range 100 {
		if checkHealth(ctx, port) == nil {
			return port
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the service never became healthy")
	return 0
}

func TestStopFinishesTheRequestUnderWay(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	slow := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		stop()
		time.Sleep(200 * time.Millisecond)
		fmt.Fprint(w, "done")
	})
	port, stopped := freePort(t), make(chan error, 1)
	go func() { stopped <- serveHandler(ctx, settings{port: port, stopGrace: 5 * time.Second}, slow, quiet()) }()
	time.Sleep(100 * time.Millisecond)
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "done" {
		t.Errorf("answered %q, %v", body, err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stopped with %v", err)
	}
}

func TestARequestThatOutlastsTheGraceIsAnError(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	stuck := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		stop()
		time.Sleep(time.Second)
	})
	port, stopped := freePort(t), make(chan error, 1)
	go func() {
		stopped <- serveHandler(ctx, settings{port: port, stopGrace: 100 * time.Millisecond}, stuck, quiet())
	}()
	time.Sleep(100 * time.Millisecond)
	if response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port)); err == nil {
		response.Body.Close()
	}
	if err := <-stopped; err == nil || !strings.Contains(err.Error(), "finish the requests under way") {
		t.Errorf("stopped with %v", err)
	}
}

func TestHealthCheckFailsWhenNobodyListens(t *testing.T) {
	if err := checkHealth(context.Background(), freePort(t)); err == nil {
		t.Error("healthy without a service")
	}
}

func TestATakenPortIsAnError(t *testing.T) {
	port := launch(t)
	err := serve(context.Background(), settings{port: port, stopGrace: time.Second}, quiet())
	if err == nil || !strings.Contains(err.Error(), "listen") {
		t.Errorf("error is %v", err)
	}
}

func TestALargeHeaderIsRefused(t *testing.T) {
	port := launch(t)
	request, _ := http.NewRequest("GET", fmt.Sprintf("http://127.0.0.1:%d/helloworld", port), nil)
	request.Header.Set("X-Large", strings.Repeat("x", 2*maxHeaderBytes))
	response, err := http.DefaultClient.Do(request)
	switch {
	case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE): // it stopped listening
	case err != nil:
		t.Error(err)
	default:
		response.Body.Close()
		if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("answered %s", response.Status)
		}
	}
	request.Header.Set("X-Large", strings.Repeat("x", maxHeaderBytes/2))
	response, err = http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("half of it: answered %s", response.Status)
	}
}
