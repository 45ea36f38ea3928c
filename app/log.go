package main

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"regexp"
	"time"
)

// requestIDHeader carries the id under which the proxy logs the same request.
const requestIDHeader = "X-Request-Id"

var validRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// logRequests writes one line for each request and answers a panic with 500.
func logRequests(logger *slog.Logger, level slog.Level, route string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(requestIDHeader)
		if !validRequestID.MatchString(id) {
			id = rand.Text()
		}
		w.Header().Set(requestIDHeader, id)
		recorder := &statusRecorder{ResponseWriter: w}
		start := time.Now()
		defer func() {
			if problem := recover(); problem != nil {
				logger.Error("panic", "request_id", id, "route", route, "problem", problem)
				if recorder.status == 0 {
					writeError(recorder, http.StatusInternalServerError)
				}
			}
			logger.Log(r.Context(), level, "request",
				"request_id", id, "method", r.Method, "path", r.URL.Path, "route", route,
				"status", recorder.code(), "bytes", recorder.bytes,
				"duration_ms", float64(time.Since(start).Microseconds())/1000,
				"client", r.Header.Get("X-Real-Ip"))
		}()
		next.ServeHTTP(recorder, r)
	})
}

// statusRecorder remembers what was answered.
type statusRecorder struct {
	http.ResponseWriter
	status int
	bytes  int
}

func (s *statusRecorder) WriteHeader(code int) {
	if s.status == 0 {
		s.status = code
	}
	s.ResponseWriter.WriteHeader(code)
}

func (s *statusRecorder) Write(body []byte) (int, error) {
	s.status = s.code()
	n, err := s.ResponseWriter.Write(body)
	s.bytes += n
	return n, err
}

// Unwrap lets http.ResponseController reach what is below.
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *statusRecorder) code() int {
	if s.status == 0 {
		return http.StatusOK
	}
	return s.status
}
