package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
)

// errPulumi is the end of a run that has said itself what is wrong.
var errPulumi = errors.New("it has been told")

// pulumi runs Pulumi on the stack, at the terminal. Ctrl-C reaches it as it reaches this
// program; a SIGTERM is passed on.
func (s stack) pulumi(env []string, args ...string) error {
	command := exec.Command("pulumi", append(args, "--stack", s.name)...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Env = append(os.Environ(), env...)
	if terminal := os.Getenv("PULUMI_TERM"); terminal != "" {
		command.Env = append(command.Env, "TERM="+terminal)
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	defer signal.Stop(terminated)
	if err := command.Start(); err != nil {
		return fmt.Errorf("run pulumi: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	for {
		select {
		case <-terminated:
			_ = command.Process.Signal(syscall.SIGTERM) // it may have ended
		case err := <-ended:
			if err != nil {
				if command.ProcessState.ExitCode() == -1 {
					fmt.Println() // it was killed in the middle of a line
				}
				return errPulumi
			}
			return nil
		}
	}
}

// quietly runs Pulumi and shows what it says only where it fails.
func (s stack) quietly(ctx context.Context, act string, args ...string) error {
	command := exec.CommandContext(ctx, "pulumi", append(args, "--stack", s.name)...)
	command.Env = append(os.Environ(), "PULUMI_OPTION_COLOR=never")
	if text, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", act, err, strings.TrimSpace(string(text)))
	}
	return nil
}
