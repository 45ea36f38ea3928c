package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// newHandler routes the service's requests by their exact path. Every answer but
// the metrics is JSON.
func newHandler(replica string, ready *atomic.Bool, logger *slog.Logger) http.Handler {
	m := newMetrics(replica)
	route := func(name string, level slog.Level, handler http.HandlerFunc) http.Handler {
		return logRequests(logger, level, name, m.instrument(name, handler))
	}
	// Probes and scrapes come every few seconds: they are logged on request only.
	routes := map[string]http.Handler{
		"/helloworld": route("/helloworld", slog.LevelInfo, onlyGet(helloWorld(replica))),
		"/healthz":    route("/healthz", slog.LevelDebug, onlyGet(status(func() bool { return true }))),
		"/readyz":     route("/readyz", slog.LevelDebug, onlyGet(status(ready.Load))),
		"/metrics":    route("/metrics", slog.LevelDebug, onlyGet(promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))),
	}
	notFound := route("other", slog.LevelInfo, func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusNotFound)
	})
	byPath := func(w http.ResponseWriter, r *http.Request) {
		handler, ok := routes[r.URL.Path]
		if !ok {
			handler = notFound
		}
		handler.ServeHTTP(w, r)
	}
	return http.MaxBytesHandler(http.HandlerFunc(byPath), maxBodyBytes)
}

func helloWorld(replica string) http.Handler {
	type greeting struct {
		Message string `json:"message"`
		Replica string `json:"replica"`
		Version string `json:"version"`
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, greeting{"Hello, world!", replica, version})
	})
}

func status(good func() bool) http.Handler {
	type state struct {
		Status string `json:"status"`
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if good() {
			writeJSON(w, http.StatusOK, state{"ok"})
		} else {
			writeJSON(w, http.StatusServiceUnavailable, state{"stopping"})
		}
	})
}

// onlyGet answers 405 to every method but GET and its twin HEAD.
func onlyGet(next http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			writeError(w, http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	}
}

func writeError(w http.ResponseWriter, code int) {
	writeJSON(w, code, struct {
		Error string `json:"error"`
	}{strings.ToLower(http.StatusText(code))})
}

// writeJSON sends body with the status code. An error here means that the client
// is gone: nobody is left to tell.
func writeJSON(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}
