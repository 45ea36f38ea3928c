package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// inFolder works in a folder of its own with the files.
func inFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("PULUMI_BACKEND_URL", "file://"+dir+"/no%20state?metadata=skip")
	return dir
}

func TestAStackNeedsAConfigurationOfItsOwn(t *testing.T) {
	inFolder(t, map[string]string{"Pulumi.yaml": "", "Pulumi.dev.yaml": "", "Pulumi.prod.yaml": ""})
	ctx := context.Background()
	if err := dev.checkName(ctx); err != nil {
		t.Error(err)
	}
	typo := stack{project: "helloworld", name: "prdo"}
	want := "there is no Pulumi.prdo.yaml: stacks here are dev, prod. To make another one: cp Pulumi.dev.yaml Pulumi.prdo.yaml, give it ports of its own, then make up STACK=prdo"
	if err := typo.checkName(ctx); err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
	look := existing(func(context.Context, stack) error { t.Error("it was looked at"); return nil })
	if err := look(ctx, typo); err == nil || err.Error() != "stack prdo does not exist: stacks here are dev, prod" {
		t.Errorf("error is %v", err)
	}
}

// salt was made by Pulumi with the passphrase x.
const salt = "v1:CTvndm+bSN0=:v1:XPexUl8Uvl4pFIWK:+aHKYCzJKCKPHC53fLhMxTikClP3Tw=="

func TestAWrongPassphraseIsRefusedByItsFile(t *testing.T) {
	dir := inFolder(t, map[string]string{"Pulumi.dev.yaml": "encryptionsalt: " + salt + "\n", "right": "x\n", "wrong": "y\n"})
	for _, test := range []struct{ file, state, want string }{
		{"right", salt, ""},
		{"right", "", ""},
		{"wrong", "", "the passphrase in " + dir + "/wrong is not the one that Pulumi.dev.yaml is encrypted with"},
		{"missing", "", "Pulumi.dev.yaml is encrypted with a passphrase that is not here: bring the file .pulumi/passphrase"},
	} {
		t.Setenv("PULUMI_CONFIG_PASSPHRASE_FILE", filepath.Join(dir, test.file))
		if err := dev.checkPassphrase(test.state); (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error is %v, want %s", test.file, err, test.want)
		}
	}
	t.Setenv("PULUMI_CONFIG_PASSPHRASE", "y")
	if err := dev.checkPassphrase(""); err == nil || !strings.Contains(err.Error(), "the passphrase in the variable PULUMI_CONFIG_PASSPHRASE") {
		t.Errorf("error is %v", err)
	}
	inFolder(t, nil)
	if err := dev.checkPassphrase(salt); err == nil || !strings.Contains(err.Error(), "that the state of stack dev is encrypted with") {
		t.Errorf("error is %v", err)
	}
	inFolder(t, map[string]string{"Pulumi.dev.yaml": "secretsprovider: awskms://key\n"})
	if err := dev.checkPassphrase(""); err != nil {
		t.Errorf("where another provider has the secrets: %v", err)
	}
}

func TestWhatServesIsSaid(t *testing.T) {
	a, b := []string{"one", "two"}, []string{"three", "four"}
	before := serving{replicas: a, version: "aaa"}
	for want, now := range map[string]serving{
		"version aaa serves from 2 replicas as before": before,
		"the new version bbb serves from 2 replicas":   {replicas: b, version: "bbb"},
		"version aaa serves from 1 replica":            {replicas: a[:1], version: "aaa"},
		"nothing serves (the proxy is exited)":         {why: "the proxy is exited"},
	} {
		if got := now.after(before); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestAServerErrorIsNoAnswer(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "service.example" || r.URL.Path != "/asked" {
			t.Errorf("asked for %s of %s", r.URL.Path, r.Host)
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	target := &url.URL{Scheme: "https", Host: "service.example", Path: "/asked"}
	for want, statuses := range map[bool][]int{true: {200, 301, 404}, false: {500, 502, 503}} {
		for _, status = range statuses {
			if err := request(context.Background(), target, strings.TrimPrefix(server.URL, "https://")); (err == nil) != want {
				t.Errorf("%d: error is %v", status, err)
			}
		}
	}
}

func TestAnAddressIsAskedWhereItIsReached(t *testing.T) {
	for ip, want := range map[string]string{"0.0.0.0": "127.0.0.1:443", "::": "[::1]:443", "192.0.2.1": "192.0.2.1:443"} {
		if got := address(netip.MustParseAddr(ip), 443); got != want {
			t.Errorf("%s: %s, want %s", ip, got, want)
		}
	}
}

func TestTheStateTellsHowAContainerWas(t *testing.T) {
	known, err := parseState(dev, []byte(`{"deployment":{"secrets_providers":{"type":"passphrase","state":{"salt":"v1:a"}},"resources":[
		{"urn":"a","type":"docker:index/container:Container","id":"1","outputs":{"name":"proxy","networksAdvanced":[{"name":"net","aliases":["proxy"]}],"ports":[{"internal":8443,"external":443,"ip":"0.0.0.0"}]}},
		{"urn":"b","type":"docker:index/container:Container","id":"2","outputs":{"name":"revision","labels":[{"label":"helloworld.attempt","value":"1"}]}},
		{"urn":"c","type":"docker:index/container:Container","id":"3","delete":true,"outputs":{"name":"old"}},
		{"urn":"d","type":"docker:index/volume:Volume","id":"4","outputs":{"name":"lines","labels":[{"label":"helloworld.data","value":"victorialogs"}]}}]}}`))
	if err != nil || len(known.resources) != 3 || known.salt != "v1:a" {
		t.Fatalf("%+v, %v", known, err)
	}
	front, once, lines := known.resources[0], known.resources[1], known.resources[2]
	if front.networks[0].Name != "net" || !slices.Equal(front.networks[0].Aliases, []string{"proxy"}) || front.ports[0] != (hostPort{8443, 443, "0.0.0.0"}) || front.oneShot {
		t.Errorf("%+v", front)
	}
	if !once.oneShot || !lines.data || lines.String() != "volume lines" {
		t.Errorf("%+v, %+v", once, lines)
	}
}

func TestTheStateOfAFolderWithAnOddName(t *testing.T) {
	t.Setenv("PULUMI_BACKEND_URL", "file:///a%20%22folder%22%20of%20$HOME%20%231%3F%20100%25/state?metadata=skip")
	if folder, err := stateFolder(); err != nil || folder != `/a "folder" of $HOME #1? 100%/state` {
		t.Errorf("%s, %v", folder, err)
	}
}

func TestOnlyOrphansOfThisFolderAreEnded(t *testing.T) {
	dir := inFolder(t, nil)
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	plugin := filepath.Join(t.TempDir(), "pulumi-resource-none")
	if err := os.WriteFile(plugin, text, 0o755); err != nil {
		t.Fatal(err)
	}
	// One has a parent, one works elsewhere, and one is an orphan: its shell has ended.
	start := func(folder string, orphan bool) int {
		command := exec.Command(plugin, "60")
		if orphan {
			command = exec.Command("sh", "-c", plugin+" 60 >/dev/null 2>&1 & echo $!")
		}
		command.Dir = folder
		if !orphan {
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
			return command.Process.Pid
		}
		out, err := command.Output()
		if err != nil {
			t.Fatal(err)
		}
		var pid int
		for _, digit := range strings.TrimSpace(string(out)) {
			pid = pid*10 + int(digit-'0')
		}
		t.Cleanup(func() {
			if process, err := os.FindProcess(pid); err == nil {
				_ = process.Kill()
			}
		})
		return pid
	}
	child, elsewhere, orphan := start(dir, false), start(t.TempDir(), true), start(dir, true)
	named := func(pid int) bool { return processName(pid) == "pulumi-resource-none" }
	for limit := time.Now().Add(10 * time.Second); !named(child) || !named(elsewhere) || !named(orphan); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("the processes did not start")
		}
	}
	if err := endOrphans(); err != nil {
		t.Fatal(err)
	}
	if !named(child) || !named(elsewhere) || named(orphan) {
		t.Errorf("child runs: %t, elsewhere: %t, orphan: %t", named(child), named(elsewhere), named(orphan))
	}
}
