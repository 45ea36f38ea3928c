package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	maxHeaderBytes = 64 << 10
	maxBodyBytes   = 1 << 20
	// Longer than the proxy keeps an idle connection, so that the service is
	// never the one to close it under a request.
	idleTimeout = 2 * time.Minute
)

// serve answers requests until ctx ends, then finishes those under way within
// the stop grace.
func serve(ctx context.Context, s settings, logger *slog.Logger) error {
	var ready atomic.Bool
	ready.Store(true)
	context.AfterFunc(ctx, func() { ready.Store(false) })
	return serveHandler(ctx, s, newHandler(s.replica, &ready, logger), logger)
}

func serveHandler(ctx context.Context, s settings, handler http.Handler, logger *slog.Logger) error {
	listener, err := net.Listen("tcp", net.JoinHostPort("0.0.0.0", strconv.Itoa(s.port)))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	logger.Info("listening", "address", listener.Addr().String(), "replica", s.replica, "version", version)

	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	logger.Info("stopping", "grace", s.stopGrace.String())
	// A little is kept back, so that the process ends by itself before it is killed.
	drain, cancel := context.WithTimeout(context.Background(), s.stopGrace*9/10)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		return errors.Join(fmt.Errorf("finish the requests under way: %w", err), server.Close())
	}
	logger.Info("stopped")
	return nil
}
