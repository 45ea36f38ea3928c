package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"
)

// settings is what the environment tells the service.
type settings struct {
	port      int           // PORT: TCP port to listen on, 1 to 65535, default 8000
	replica   string        // REPLICA: this copy's name, default the host's name
	stopGrace time.Duration // STOP_GRACE: from SIGTERM to the end, 1s to 1h, default 20s
	logLevel  slog.Level    // LOG_LEVEL: debug, info, warn or error, default info
}

// loadSettings reads every variable and reports all that is wrong at once.
func loadSettings(lookup func(string) (string, bool)) (settings, error) {
	s := settings{port: 8000, stopGrace: 20 * time.Second}
	var problems []error
	read := func(name, allowed string, parse func(string) bool) {
		if value, ok := lookup(name); ok && !parse(value) {
			problems = append(problems, fmt.Errorf("%s is %q: allowed is %s", name, value, allowed))
		}
	}
	read("PORT", "a port from 1 to 65535", func(value string) bool {
		port, err := strconv.Atoi(value)
		s.port = port
		return err == nil && port >= 1 && port <= 65535
	})
	read("STOP_GRACE", "a duration from 1s to 1h", func(value string) bool {
		grace, err := time.ParseDuration(value)
		s.stopGrace = grace
		return err == nil && grace >= time.Second && grace <= time.Hour
	})
	read("LOG_LEVEL", "debug, info, warn or error", func(value string) bool {
		return s.logLevel.UnmarshalText([]byte(value)) == nil
	})
	read("REPLICA", "a name", func(value string) bool {
		s.replica = value
		return value != ""
	})
	if s.replica == "" {
		name, err := os.Hostname()
		if err != nil {
			problems = append(problems, fmt.Errorf("read the host's name: %w", err))
		}
		s.replica = name
	}
	return s, errors.Join(problems...)
}
