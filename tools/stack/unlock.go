package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// lock is what a run writes into a state backend on a file system.
type lock struct {
	PID       int
	Username  string
	Hostname  string
	Timestamp time.Time
}

// lockedError says which run has the lock.
type lockedError struct{ error }

// locks lists the stack's. Those of other backends than a folder are their own affair.
func (s stack) locks() ([]lock, error) {
	folder, err := stateFolder()
	if err != nil || folder == "" {
		return nil, err
	}
	return readLocks(filepath.Join(folder, ".pulumi", "locks", "organization", s.project, s.name))
}

// checkLock is an error where a run has the lock that may live.
func (s stack) checkLock() error {
	locks, err := s.locks()
	if err != nil || len(locks) == 0 {
		return err
	}
	here, err := os.Hostname()
	if err != nil {
		return err
	}
	for _, l := range locks {
		if l.Hostname != here {
			return lockedError{fmt.Errorf("stack %s is locked by process %d on host %s (user %s, since %s): wait for it; if it is dead, pulumi cancel (in %s) frees the stack",
				s.name, l.PID, l.Hostname, l.Username, l.Timestamp.Format(time.DateTime), s.make("shell"))}
		}
		if alive(l.PID) {
			return lockedError{fmt.Errorf("stack %s is locked: pulumi runs as process %d (user %s, since %s): wait for it, or end it with kill -INT %d",
				s.name, l.PID, l.Username, l.Timestamp.Format(time.DateTime), l.PID)}
		}
	}
	return nil
}

// unlock frees the stack if every run that locked it is dead. A run that lives is an
// error.
func unlock(ctx context.Context, s stack) error {
	locks, err := s.locks()
	if err != nil || len(locks) == 0 {
		return err
	}
	if err := s.checkLock(); err != nil {
		return err
	}
	fmt.Printf("stack %s was locked by process %d, which is dead: the lock is freed\n", s.name, locks[0].PID)
	cancel := exec.CommandContext(ctx, "pulumi", "cancel", "--yes", "--stack", s.name)
	if text, err := cancel.CombinedOutput(); err != nil {
		return fmt.Errorf("free the stack %s: %w\n%s", s.name, err, text)
	}
	return nil
}

// stateFolder is where the backend keeps the state, if that is a folder.
func stateFolder() (string, error) {
	address, ok := strings.CutPrefix(os.Getenv("PULUMI_BACKEND_URL"), "file://")
	if !ok {
		return "", nil
	}
	address, _, _ = strings.Cut(address, "?")
	folder, err := url.PathUnescape(address)
	if err != nil {
		return "", fmt.Errorf("PULUMI_BACKEND_URL is %s: allowed is a URL: %w", os.Getenv("PULUMI_BACKEND_URL"), err)
	}
	if rest, ok := strings.CutPrefix(folder, "~"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		folder = home + rest
	}
	return folder, nil
}

func readLocks(folder string) ([]lock, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var locks []lock
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		if filepath.Ext(path) != ".json" {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var l lock
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, fmt.Errorf("read the lock %s: %w", path, err)
		}
		locks = append(locks, l)
	}
	return locks, nil
}

// alive tells whether the process is there and, where /proc tells, is pulumi: its
// number may be another's by now.
func alive(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return err != nil || strings.Contains(string(name), "pulumi")
}
