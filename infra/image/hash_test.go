package image

import (
	"os"
	"path/filepath"
	"testing"
)

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func version(t *testing.T, dir string, parameters ...string) string {
	t.Helper()
	v, err := contextHash(dir, parameters...)
	if err != nil || len(v) != versionLength {
		t.Fatalf("version %q, %v", v, err)
	}
	return v
}

func TestTheVersionFollowsWhatTheEngineIsSent(t *testing.T) {
	base := map[string]string{"Dockerfile": "FROM scratch", ".dockerignore": "*\n!main.go\n!sub", "main.go": "a", "README": "x", "sub/b": "b"}
	with := func(name, text string) string {
		files := map[string]string{}
		for n, t := range base {
			files[n] = t
		}
		files[name] = text
		return folder(t, files)
	}
	dir := folder(t, base)
	first := version(t, dir)
	if again := version(t, with("README", "y")); again != first {
		t.Error("a file that is ignored changes the version")
	}
	for name, other := range map[string]string{"main.go": "b", "Dockerfile": "FROM x", "sub/b": "c", "sub/c": "b"} {
		if version(t, with(name, other)) == first {
			t.Errorf("%s does not change the version", name)
		}
	}
	if version(t, dir, "builder") == first {
		t.Error("a parameter does not change the version")
	}
	if err := os.Chmod(filepath.Join(dir, "main.go"), 0o755); err != nil {
		t.Fatal(err)
	}
	if version(t, dir) == first {
		t.Error("an executable file does not change the version")
	}
	if err := os.Chmod(filepath.Join(dir, "main.go"), 0o600); err != nil {
		t.Fatal(err)
	}
	if version(t, dir) != first {
		t.Error("who may read a file changes the version")
	}
}

func TestALinkCountsByItsTarget(t *testing.T) {
	dir := folder(t, map[string]string{"Dockerfile": ""})
	link := filepath.Join(dir, "link")
	var versions []string
	for _, target := range []string{"one", "two"} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		versions = append(versions, version(t, dir))
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
	}
	if versions[0] == versions[1] {
		t.Error("the link's target does not change the version")
	}
}
