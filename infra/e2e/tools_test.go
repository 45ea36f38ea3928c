package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestWherePulumiComesFrom runs tools/pulumi/ensure in a copy of the project, with
// pulumi on PATH, and without it but with a release site.
func TestWherePulumiComesFrom(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	pulumi, err := exec.LookPath("pulumi")
	if err != nil {
		t.Fatalf("%v: run the tests with make test", err)
	}
	// A PATH without pulumi, wherever it lies.
	var without []string
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(folder, "pulumi")); err != nil {
			without = append(without, folder)
		}
	}
	ensure := func(t *testing.T, path []string, releases string) (dir, said string) {
		dir = t.TempDir()
		for _, name := range []string{"go.mod", "go.sum", "tools/pulumi/ensure"} {
			text, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				t.Fatal(err)
			}
			(&project{dir: dir}).writeMode(t, name, string(text), 0o755)
		}
		command := exec.Command(filepath.Join(dir, "tools/pulumi/ensure"))
		command.Env = append(os.Environ(),
			"PATH="+strings.Join(append([]string{dir + "/.pulumi/bin"}, path...), ":"),
			"PULUMI_HOME="+root+"/.pulumi/home",
			"PULUMI_RELEASES="+releases)
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("ensure: %v\n%s", err, out)
		}
		return dir, string(out)
	}
	t.Run("FromPATH", func(t *testing.T) {
		dir, said := ensure(t, append([]string{filepath.Dir(pulumi)}, without...), "file:///nowhere")
		if _, err := os.Stat(filepath.Join(dir, ".pulumi/bin/pulumi")); err == nil || said != "" {
			t.Errorf("it was brought though it was there: %s", said)
		}
	})
	t.Run("FromTheRelease", func(t *testing.T) {
		dir, said := ensure(t, without, "file://"+release(t))
		out, err := exec.Command(filepath.Join(dir, ".pulumi/bin/pulumi"), "version").Output()
		if err != nil || string(out) != "v3.250.0\n" || !strings.Contains(said, "downloading the official release") {
			t.Errorf("pulumi version: %v %s\n%s", err, out, said)
		}
	})
}

// release makes a release site with a small pulumi.
func release(t *testing.T) string {
	t.Helper()
	site := &project{dir: t.TempDir()}
	site.writeMode(t, "pulumi/pulumi", "#!/bin/sh\necho v3.250.0\n", 0o755)
	site.writeMode(t, "pulumi/pulumi-language-go", "#!/bin/sh\n", 0o755)
	platform, err := exec.Command("go", "env", "GOOS", "GOARCH").Output()
	if err != nil {
		t.Fatal(err)
	}
	name := strings.ReplaceAll(strings.Join(strings.Fields(string(platform)), "-"), "amd64", "x64")
	if out, err := exec.Command("tar", "-C", site.dir, "-czf", filepath.Join(site.dir, "pulumi-v3.250.0-"+name+".tar.gz"), "pulumi").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	return site.dir
}
