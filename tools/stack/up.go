package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// verdictLimit bounds the questions of the last line.
const verdictLimit = 30 * time.Second

// attempt is one run of a command that changes the stack. Whatever comes of it, its last
// line says what serves then, and what to do.
type attempt struct {
	command string // of the Makefile
	view    view
	before  serving
	began   bool // something may have changed
	locked  bool // by another run
}

// up brings the stack to what the configuration and the code say, starts or makes anew
// what is not there, and asks the service.
func up(ctx context.Context, s stack) error {
	a := &attempt{command: "up"}
	return a.conclude(ctx, s, func() error { return a.converge(ctx, s, "") })
}

// rollback does the same with a version that is kept.
func rollback(ctx context.Context, s stack) error {
	a := &attempt{command: "rollback"}
	if version := os.Getenv("VERSION"); version != "" {
		a.command += " VERSION=" + version
	}
	return a.conclude(ctx, s, func() error {
		if err := s.checkExists(ctx); err != nil {
			return err
		}
		known, err := look(ctx, s)
		if err != nil {
			return s.explain(ctx, err)
		}
		version, err := known.previous()
		if err != nil {
			return err
		}
		fmt.Println("going back to version", version)
		return a.converge(ctx, s, version)
	})
}

// ready makes the stack, and frees it if the run that locked it is dead.
func ready(ctx context.Context, s stack) error {
	_, err := prepare(ctx, s)
	return err
}

// prepare makes what a run needs: the passphrase, the state's folder, the stack and the
// images. It refuses what would go wrong before anything is changed.
func prepare(ctx context.Context, s stack) (view, error) {
	if err := s.checkName(ctx); err != nil {
		return view{}, err
	}
	folder, err := stateFolder()
	if err != nil {
		return view{}, err
	}
	if folder != "" {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return view{}, fmt.Errorf("make the folder of the state: %w", err)
		}
	}
	if err := unlock(ctx, s); err != nil {
		return view{}, err
	}
	if err := endOrphans(); err != nil {
		return view{}, err
	}
	v, err := look(ctx, s)
	fresh := unknown(err)
	if err != nil && !fresh {
		return view{}, err
	}
	// It takes as long as the images, which are looked at meanwhile.
	checked := make(chan error, 1)
	go func() { checked <- s.checkPassphrase(v.known.salt) }()
	err = ensureImages(s)
	if err := <-checked; err != nil {
		return view{}, err
	}
	if err != nil || !fresh {
		return v, err
	}
	if err := s.makePassphrase(); err != nil {
		return view{}, err
	}
	if err := s.quietly(ctx, "make stack "+s.name, "stack", "select", "--create"); err != nil {
		return view{}, err
	}
	return unmade(s)
}

// ensureImages brings what the stack does not build itself.
func ensureImages(s stack) error {
	list, err := imageList(s)
	if err != nil {
		return err
	}
	ensure := exec.Command("tools/images/ensure")
	ensure.Stdin, ensure.Stdout, ensure.Stderr = bytes.NewBufferString(list), os.Stdout, os.Stderr
	if err := ensure.Run(); err != nil {
		return errors.New("the images cannot be had, as said above")
	}
	return nil
}

// converge runs Pulumi after what stands in its way, and before the service is asked.
// version is one that is kept, or empty.
func (a *attempt) converge(ctx context.Context, s stack, version string) error {
	v, err := prepare(ctx, s)
	if err != nil {
		return err
	}
	a.view, a.before = v, v.serving(ctx)
	a.began = true
	if err := a.view.sweep(ctx); err != nil {
		return err
	}
	gone, err := a.view.mend(ctx)
	if err != nil {
		return err
	}
	arguments := []string{"up", "--yes", "--skip-preview", "--suppress-outputs"}
	if gone {
		arguments = append(arguments, "--refresh")
	}
	var env []string
	if version != "" {
		env = []string{"APP_VERSION=" + version}
	}
	ran := s.pulumi(env, arguments...)
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), verdictLimit)
	defer cancel()
	v, err = look(after, s)
	if err != nil {
		fmt.Fprintln(os.Stderr, "stack:", err)
		return errPulumi
	}
	a.view = v
	if ran != nil {
		if err := a.view.finish(after); err != nil {
			fmt.Fprintln(os.Stderr, "stack:", err)
		}
		return ran
	}
	if err := a.view.writeAuthority(); err != nil {
		return err
	}
	if err := a.view.awaitAnswer(ctx); err != nil {
		return err
	}
	fmt.Println()
	a.view.printURLs()
	fmt.Println(a.view.serving(after))
	return nil
}

// writeAuthority puts the certificate that clients may trust where they find it.
func (v view) writeAuthority() error {
	return os.WriteFile(v.authority(), []byte(v.known.output("caCertificate")+"\n"), 0o644)
}

func (v view) authority() string { return filepath.Join(".pulumi", "ca-"+v.stack.name+".pem") }

// conclude runs what the command does, and says how it ended where that did not.
func (a *attempt) conclude(ctx context.Context, s stack, do func() error) error {
	err := do()
	if err == nil {
		return nil
	}
	if errors.Is(err, errPulumi) {
		if locked := s.checkLock(); locked != nil {
			err = locked // Pulumi has said so, too, and how to break the lock of a run that lives
		}
	}
	if !errors.Is(err, errPulumi) {
		fmt.Fprintln(os.Stderr, "stack:", err)
	}
	a.locked = errors.As(err, new(lockedError))
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), verdictLimit)
	defer cancel()
	if a.view.api == nil { // it was refused before the stack was looked at
		if known, err := look(after, s); err == nil {
			a.view = known
		} else if none, viewErr := unmade(s); unknown(err) && viewErr == nil {
			a.view = none
		}
	}
	if !a.began && a.view.api != nil {
		a.before = a.view.serving(after)
	}
	fmt.Println(a.verdict(ctx, s, a.view.servingOrNot(after)))
	return errTold
}

// verdict is the last line of a command that did not succeed.
func (a *attempt) verdict(ctx context.Context, s stack, now serving) string {
	again := s.make(a.command)
	switch {
	case ctx.Err() != nil:
		return fmt.Sprintf("%s was interrupted: %s; %s goes on", again, now.after(a.before), again)
	case a.locked:
		return fmt.Sprintf("%s changed nothing: %s; wait for the other run, then %s", again, now.after(a.before), again)
	case !a.began:
		return fmt.Sprintf("%s changed nothing: %s; mend what is named above, then %s", again, now.after(a.before), again)
	default:
		return fmt.Sprintf("%s failed: %s; mend what is named above, then %s", again, now.after(a.before), again)
	}
}

// servingOrNot is serving, also where the engine could not be spoken to.
func (v view) servingOrNot(ctx context.Context) serving {
	if v.api == nil {
		return serving{why: "the engine does not answer"}
	}
	return v.serving(ctx)
}
