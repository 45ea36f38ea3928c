package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is one of this host's.
type process struct {
	pid, parent int
	name        string
}

// endOrphans ends the plugins that a killed run of this project left: their parent is
// gone. Those of runs that live, and of other projects, are not touched.
func endOrphans() error {
	folder, err := os.Getwd()
	if err != nil {
		return err
	}
	// A language host that ends leaves the program that it ran.
	for range 2 {
		end(orphansIn(folder))
	}
	return nil
}

// end ends processes, with force if they do not.
func end(orphans []process) {
	for _, o := range orphans {
		_ = syscall.Kill(o.pid, syscall.SIGTERM) // it may have ended
	}
	for limit := time.Now().Add(2 * time.Second); len(orphans) > 0; time.Sleep(20 * time.Millisecond) {
		left := 0
		for _, o := range orphans {
			if processName(o.pid) == o.name {
				left++
			}
		}
		if left == 0 || time.Now().After(limit) {
			break
		}
	}
	for _, o := range orphans {
		if processName(o.pid) == o.name {
			_ = syscall.Kill(o.pid, syscall.SIGKILL)
		}
		fmt.Printf("ended: process %d (%s), which a killed run left behind\n", o.pid, o.name)
	}
}

// orphansIn lists the plugins and programs of Pulumi that work in the folder, or in one
// below it, and whose parent is gone.
func orphansIn(folder string) []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil // not on Linux: they stay
	}
	if resolved, err := filepath.EvalSymlinks(folder); err == nil {
		folder = resolved
	}
	var orphans []process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		name := processName(pid)
		if !strings.HasPrefix(name, "pulumi-resource-") && !strings.HasPrefix(name, "pulumi-language-") && name != filepath.Join(folder, ".pulumi/program") {
			continue
		}
		at, err := os.Readlink(filepath.Join("/proc", entry.Name(), "cwd"))
		if err != nil || at != folder && !strings.HasPrefix(at, folder+"/") {
			continue
		}
		parent := parentOf(pid)
		if parent != 1 && processName(parent) != "systemd" { // who takes those in whose parent ended
			continue
		}
		orphans = append(orphans, process{pid: pid, parent: parent, name: name})
	}
	return orphans
}

// processName is the name of a process' program, empty where there is none to be seen.
// The program that Pulumi runs has the name that the project gives it: its path.
func processName(pid int) string {
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return ""
	}
	path = strings.TrimSuffix(path, " (deleted)")
	if strings.HasSuffix(path, "/.pulumi/program") {
		return path
	}
	return filepath.Base(path)
}

func parentOf(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name, in parentheses, may hold anything.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}
