package main

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

func environment(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

func TestSettingsHaveDefaults(t *testing.T) {
	s, err := loadSettings(environment(nil))
	if err != nil || s.port != 8000 || s.stopGrace != 20*time.Second || s.logLevel != slog.LevelInfo || s.replica == "" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestSettingsAreRead(t *testing.T) {
	s, err := loadSettings(environment(map[string]string{
		"PORT": "9000", "REPLICA": "replica-1", "STOP_GRACE": "5s", "LOG_LEVEL": "debug",
	}))
	want := settings{port: 9000, replica: "replica-1", stopGrace: 5 * time.Second, logLevel: slog.LevelDebug}
	if err != nil || s != want {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestEveryBadSettingIsNamedWithWhatIsAllowed(t *testing.T) {
	_, err := loadSettings(environment(map[string]string{
		"PORT": "70000", "REPLICA": "", "STOP_GRACE": "soon", "LOG_LEVEL": "loud",
	}))
	for _, want := range []string{
		`PORT is "70000": allowed is a port from 1 to 65535`,
		`REPLICA is "": allowed is a name`,
		`STOP_GRACE is "soon": allowed is a duration from 1s to 1h`,
		`LOG_LEVEL is "loud": allowed is debug, info, warn or error`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %s", err, want)
		}
	}
}
