package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestLifecycle follows a user from make up to make down.
func TestLifecycle(t *testing.T) {
	p := newProject(t, "lifecycle")
	foreign := makeForeign(t)

	steps := []struct {
		name string
		run  func(*testing.T, *project)
	}{
		{"MakeUpServesOverHTTPS", makeUpServes},
		{"TheWorkingTreeStaysClean", treeStaysClean},
		{"ASecondUpAndARefreshChangeNothing", nothingChanges},
		{"TheProxyHidesWhatIsPrivateAndAnswersInJSON", proxyAnswers},
		{"TLSIsModernAndTheCertificateIsTheAuthoritys", tlsIsModern},
		{"RequestIDsJoinTheLogs", requestIDs},
		{"ContainersAreHardened", hardened},
		{"TheImageAndAReplicaAreSmall", small},
		{"PreviewTellsTheTruth", previewTellsTheTruth},
		{"ChangesLoseNoRequest", changesLoseNothing},
		{"ACertificateInItsRenewalWindowIsRenewed", renewal},
		{"KeysAreNowhereInPlainText", keysAreSecret},
		{"StatusAndLogsShowTheContainers", statusAndLogs},
	}
	for _, step := range steps {
		if !t.Run(step.name, func(t *testing.T) { step.run(t, p) }) && step.name == steps[0].name {
			return
		}
	}
	t.Run("DestroyLeavesNothingAndTouchesNothingElse", func(t *testing.T) {
		if out, err := p.pulumi("destroy", "--yes", "--skip-preview"); err != nil {
			t.Fatalf("pulumi destroy: %v\n%s", err, out)
		}
		for kind, list := range p.resources(t) {
			if len(list) > 0 && kind != "images" { // the versions that are kept: make down removes them
				t.Errorf("left behind: %s %v", kind, list)
			}
		}
		out, err := p.pulumi("stack", "export")
		if err != nil || strings.Contains(out, `"urn"`) {
			t.Errorf("the state is not empty: %v\n%s", err, out)
		}
		foreign(t)
	})
}

func makeUpServes(t *testing.T, p *project) {
	out, err := p.run("make", "up")
	if err != nil {
		t.Fatalf("make up: %v\n%s", err, out)
	}
	url := fmt.Sprintf("https://localhost:%d/helloworld", p.httpsPort)
	if !strings.Contains(out, "curl -k "+url) {
		t.Errorf("make up does not end with the curl command:\n%s", out)
	}
	for _, how := range [][]string{{"--insecure"}, {"--cacert", ".pulumi/ca-" + p.stack + ".pem"}} {
		body, err := p.run("curl", append(how, "--silent", "--show-error", "--fail", url)...)
		if err != nil || !strings.Contains(body, `"message":"Hello, world!"`) {
			t.Errorf("curl %v: %v %s", how, err, body)
		}
	}
	plain := fmt.Sprintf("http://localhost:%d/helloworld?a=b", p.httpPort)
	answer, err := p.run("curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code} %{redirect_url}", plain)
	if err != nil || answer != "308 "+url+"?a=b" {
		t.Errorf("curl %s: %v %s", plain, err, answer)
	}
}

func treeStaysClean(t *testing.T, p *project) {
	status := p.git(t, "status", "--porcelain")
	if status != "" && status != " M Pulumi."+p.stack+".yaml\n" {
		t.Errorf("git status:\n%s", status)
	}
	changed := regexp.MustCompile(`(?m)^[+-][^+-].*`).FindAllString(p.git(t, "diff"), -1)
	if len(changed) != 1 || !strings.HasPrefix(changed[0], "+encryptionsalt:") {
		t.Errorf("changed lines: %q", changed)
	}
}

func nothingChanges(t *testing.T, p *project) {
	p.up(t, "--expect-no-changes")
	if out, err := p.pulumi("refresh", "--yes", "--expect-no-changes"); err != nil {
		t.Errorf("pulumi refresh: %v\n%s", err, out)
	}
	p.up(t, "--expect-no-changes", "--refresh")
}

// get sends one request over HTTPS with what edit makes of it.
func (p *project) get(t *testing.T, method, path string, edit func(*http.Request)) (*http.Response, string) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: insecure(), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequest(method, fmt.Sprintf("https://127.0.0.1:%d%s", p.httpsPort, path), nil)
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(request)
	}
	response, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, strings.TrimSpace(string(body))
}

func proxyAnswers(t *testing.T, p *project) {
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "//metrics", "/%6detrics", "/x/../metrics"} {
		response, body := p.get(t, "GET", path, nil)
		if response.StatusCode != 404 || !strings.HasPrefix(body, `{"error":"not found"`) {
			t.Errorf("%s: %s %s", path, response.Status, body)
		}
	}
	for _, test := range []struct {
		method, path string
		status       int
	}{{"GET", "/helloworld", 200}, {"POST", "/helloworld", 405}, {"GET", "/nothing", 404}} {
		response, body := p.get(t, test.method, test.path, nil)
		if response.StatusCode != test.status || !json.Valid([]byte(body)) {
			t.Errorf("%s %s: %s %s", test.method, test.path, response.Status, body)
		}
		if server := response.Header.Get("Server"); server != "nginx" {
			t.Errorf("the server says it is %q", server)
		}
		if hsts := response.Header.Values("Strict-Transport-Security"); len(hsts) != 1 {
			t.Errorf("Strict-Transport-Security is %q", hsts)
		}
	}
	large := func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(zeros{}), 11<<20 }
	response, body := p.get(t, "POST", "/helloworld", large)
	if response.StatusCode != 413 || !strings.Contains(body, "request body too large") {
		t.Errorf("a body of 11 MB: %s %s", response.Status, body)
	}
}

// zeros is a body without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func tlsIsModern(t *testing.T, p *project) {
	address := fmt.Sprintf("127.0.0.1:%d", p.httpsPort)
	for version, want := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		connection, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		if (err == nil) != want {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			connection.Close()
		}
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM([]byte(p.output(t, "caCertificate"))) {
		t.Fatal("the output caCertificate is no certificate")
	}
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		connection, err := tls.Dial("tcp", address, &tls.Config{RootCAs: authorities, ServerName: name})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		leaf := connection.ConnectionState().PeerCertificates[0]
		if leaf.PublicKeyAlgorithm != x509.ECDSA {
			t.Errorf("the key is %s", leaf.PublicKeyAlgorithm)
		}
		connection.Close()
	}
}

func requestIDs(t *testing.T, p *project) {
	const id = "e2e-known-id-1"
	response, _ := p.get(t, "GET", "/helloworld", func(r *http.Request) {
		r.Header.Set("X-Request-Id", id)
		r.Header.Set("X-Forwarded-For", "192.0.2.66")
	})
	if ids := response.Header.Values("X-Request-Id"); !slices.Equal(ids, []string{id}) {
		t.Errorf("answered with ids %q", ids)
	}
	logged := func(component string) []map[string]any {
		var lines []map[string]any
		for _, container := range p.containers(t, component) {
			out, err := exec.Command("docker", "logs", container).Output()
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(out)) {
				var fields map[string]any
				if json.Unmarshal([]byte(line), &fields) == nil && fields["request_id"] == id {
					lines = append(lines, fields)
				}
			}
		}
		return lines
	}
	eventually(t, 5*time.Second, "one line in each log", func() bool {
		return len(logged("proxy")) == 1 && len(logged("replica")) == 1
	})
	access, service := logged("proxy")[0], logged("replica")[0]
	if access["status"] != float64(200) || access["upstream"] == "" || access["upstream_status"] != "200" {
		t.Errorf("the access log says %v", access)
	}
	if service["route"] != "/helloworld" || service["client"] != access["client"] || service["client"] == "192.0.2.66" {
		t.Errorf("the service's log says %v, the access log %v", service, access)
	}
}

func hardened(t *testing.T, p *project) {
	for _, c := range inspect(t, p.resources(t)["containers"]...) {
		if _, oneShot := c.Config.Labels["helloworld.attempt"]; oneShot {
			continue
		}
		h := c.HostConfig
		if !slices.Equal(h.CapDrop, []string{"ALL"}) || h.Privileged || !h.ReadonlyRootfs || !slices.Contains(h.SecurityOpt, "no-new-privileges") {
			t.Errorf("%s: %+v", c.Name, h)
		}
		if h.Memory == 0 || h.MemorySwap != h.Memory || h.PidsLimit <= 0 || h.RestartPolicy.Name != "unless-stopped" {
			t.Errorf("%s: %+v", c.Name, h)
		}
		if h.LogConfig.Type != "json-file" || h.LogConfig.Config["max-size"] == "" || h.LogConfig.Config["tag"] == "" {
			t.Errorf("%s: %+v", c.Name, h.LogConfig)
		}
		isReplica := c.Config.Labels["helloworld.component"] == "replica"
		if isReplica && (len(h.CapAdd) > 0 || h.CPUQuota != 100_000 || h.Memory != 64<<20 || h.PidsLimit != 100 || c.Config.User == "") {
			t.Errorf("%s: user %q, %+v", c.Name, c.Config.User, h)
		}
	}
}

func small(t *testing.T, p *project) {
	size, err := strconv.Atoi(docker(t, "image", "inspect", "--format", "{{.Size}}", p.resources(t)["images"][0])[0])
	if err != nil || size > 15_000_000 {
		t.Errorf("the image has %d bytes, %v", size, err)
	}
	for _, replica := range inspect(t, p.containers(t, "replica")...) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", replica.State.Pid))
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(text)
		resident, err := strconv.Atoi(string(found[1]))
		if err != nil || resident > 20_000 {
			t.Errorf("%s uses %d kB, %v", replica.Name, resident, err)
		}
		t.Logf("image %d bytes, %s %d kB resident", size, replica.Name, resident)
	}
}

// previewTellsTheTruth: more replicas are more replicas and a revision.
func previewTellsTheTruth(t *testing.T, p *project) {
	p.set(t, "replicas", "4")
	out, err := p.command("pulumi", "preview", "--json", "--stack", p.stack).Output()
	if err != nil {
		t.Fatalf("pulumi preview: %v", err)
	}
	var preview struct {
		Steps         []struct{ Op, URN string }
		ChangeSummary map[string]int
	}
	if err := json.Unmarshal(out, &preview); err != nil {
		t.Fatal(err)
	}
	var changes []string
	for _, step := range preview.Steps {
		if step.Op != "same" && step.Op != "create-replacement" && step.Op != "delete-replaced" {
			changes = append(changes, step.Op+" "+step.URN[strings.LastIndex(step.URN, ":")+1:])
		}
	}
	slices.Sort(changes)
	want := []string{"create helloworld-lifecycle-replica-3", "create helloworld-lifecycle-replica-4", "replace helloworld-lifecycle-proxy-revision"}
	if !slices.Equal(changes, want) {
		t.Errorf("preview says %q, want %q", changes, want)
	}
	p.set(t, "replicas", "2")
}

// changesLoseNothing makes every kind of change under load.
func changesLoseNothing(t *testing.T, p *project) {
	replicas := func(count int) func(*testing.T) {
		return func(t *testing.T) {
			p.set(t, "replicas", strconv.Itoa(count))
			p.up(t)
			if got := len(p.containers(t, "replica")); got != count {
				t.Errorf("%d replicas run, want %d", got, count)
			}
			p.serves(t, count)
		}
	}
	proxyBefore := p.containers(t, "proxy")
	for _, change := range []struct {
		name string
		make func(*testing.T)
	}{
		{"From2To6Replicas", replicas(6)},
		{"From6To1Replica", replicas(1)},
		{"From1To3Replicas", replicas(3)},
		{"ANewVersion", func(t *testing.T) {
			before := p.output(t, "version")
			p.edit(t, "app/handler.go", "Hello, world!", "Hello, new world!")
			p.up(t)
			if p.output(t, "version") == before {
				t.Error("the version is the same")
			}
			if _, body := p.get(t, "GET", "/helloworld", nil); !strings.Contains(body, "Hello, new world!") {
				t.Errorf("answered %s", body)
			}
		}},
		{"AnEnvironmentVariable", func(t *testing.T) {
			p.set(t, "app.env.LOG_LEVEL", "debug")
			p.up(t)
		}},
		{"Memory", func(t *testing.T) {
			p.set(t, "app.memory", "96")
			p.up(t)
			if got := inspect(t, p.containers(t, "replica")[0])[0].HostConfig.Memory; got != 96<<20 {
				t.Errorf("memory is %d", got)
			}
		}},
		{"ARotatedKey", func(t *testing.T) {
			before := p.serial(t)
			key := "urn:pulumi:lifecycle::helloworld::helloworld:certificate:Certificate$tls:index/privateKey:PrivateKey::certificate-server"
			p.up(t, "--replace", key)
			if p.serial(t) == before {
				t.Error("the certificate is the same")
			}
		}},
		{"AFurtherNameInTheCertificate", func(t *testing.T) {
			p.set(t, "proxy.names[0]", "www.example.com")
			p.up(t)
			if !slices.Contains(p.certificate(t).DNSNames, "www.example.com") {
				t.Errorf("the certificate is for %q", p.certificate(t).DNSNames)
			}
		}},
		{"AProxySetting", func(t *testing.T) {
			p.set(t, "proxy.http", "serve")
			p.up(t)
			if answer, err := p.run("curl", "--silent", "--fail", fmt.Sprintf("http://127.0.0.1:%d/helloworld", p.httpPort)); err != nil {
				t.Errorf("HTTP does not serve: %v %s", err, answer)
			}
		}},
	} {
		t.Run(change.name, func(t *testing.T) {
			load := p.startLoad(false)
			defer load.end(t)
			time.Sleep(500 * time.Millisecond)
			change.make(t)
			time.Sleep(500 * time.Millisecond)
		})
	}
	if !slices.Equal(p.containers(t, "proxy"), proxyBefore) {
		t.Error("the proxy was replaced")
	}
	p.firesNothing(t)
}

// serves checks that answers come from count replicas: nginx looks their addresses
// up once a second.
func (p *project) serves(t *testing.T, count int) {
	t.Helper()
	eventually(t, 5*time.Second, fmt.Sprintf("%d replicas answer", count), func() bool {
		seen := map[string]bool{}
		for range 20 * count {
			_, body := p.get(t, "GET", "/helloworld", nil)
			var answer struct{ Replica string }
			if err := json.Unmarshal([]byte(body), &answer); err != nil {
				t.Fatalf("answered %s", body)
			}
			seen[answer.Replica] = true
		}
		return len(seen) == count
	})
}

func (p *project) certificate(t *testing.T) *x509.Certificate {
	t.Helper()
	connection, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.httpsPort), insecure())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	return connection.ConnectionState().PeerCertificates[0]
}

func (p *project) serial(t *testing.T) string {
	t.Helper()
	return p.certificate(t).SerialNumber.String()
}

// renewal makes the renewal window longer than the certificate's life: it is due
// at once, and must be renewed under load.
func renewal(t *testing.T, p *project) {
	before := p.serial(t)
	restore := p.edit(t, "infra/certificate/certificate.go", "serverRenewal     = 30 * 24", "serverRenewal     = 365 * 24")
	defer func() { restore(); p.up(t) }()
	p.up(t) // the window is in the state from now on
	load := p.startLoad(false)
	defer load.end(t)
	first := p.serial(t)
	p.up(t)
	if second := p.serial(t); second == first {
		t.Errorf("not renewed: serial numbers %s, %s, %s", before, first, second)
	}
}

// keysAreSecret looks for keys in all that Pulumi and the engine show.
func keysAreSecret(t *testing.T, p *project) {
	secret := regexp.MustCompile(`PRIVATE KEY`)
	check := func(where, text string) {
		if secret.MatchString(text) {
			t.Errorf("%s shows a private key", where)
		}
	}
	err := filepath.WalkDir(filepath.Join(p.dir, ".pulumi/state"), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		check(path, string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	p.set(t, "proxy.names[0]", "other.example.com")
	for _, args := range [][]string{{"preview", "--diff"}, {"up", "--yes", "--diff", "--skip-preview"}, {"stack", "output"}, {"stack", "export"}} {
		out, err := p.pulumi(args...)
		if err != nil {
			t.Errorf("pulumi %v: %v\n%s", args, err, out)
		}
		check("pulumi "+strings.Join(args, " "), out)
	}
	for _, container := range p.resources(t)["containers"] {
		for _, args := range [][]string{{"inspect"}, {"logs"}} {
			out, err := exec.Command("docker", append(args, container)...).CombinedOutput()
			if err != nil {
				t.Fatal(err)
			}
			check("docker "+args[0], string(out))
		}
	}
	if block, _ := pem.Decode([]byte(p.output(t, "caCertificate"))); block == nil || block.Type != "CERTIFICATE" {
		t.Error("the output caCertificate is no certificate")
	}
}

func statusAndLogs(t *testing.T, p *project) {
	out, err := p.run("make", "status")
	if err != nil || strings.Count(out, "replica ") != 3 || !strings.Contains(out, "proxy ") {
		t.Errorf("make status: %v\n%s", err, out)
	}
	logs := p.command("timeout", "--signal=INT", "3", "make", "logs")
	text, _ := logs.CombinedOutput() // it follows until it is ended
	if !strings.Contains(string(text), "| {") {
		t.Errorf("make logs shows\n%s", text)
	}
}

// makeForeign makes what is not the stack's, and returns the check that it is
// still there.
func makeForeign(t *testing.T) func(*testing.T) {
	t.Helper()
	network := docker(t, "network", "create", "e2e-foreign")[0]
	volume := docker(t, "volume", "create", "e2e-foreign")[0]
	t.Cleanup(func() {
		docker(t, "volume", "rm", volume)
		docker(t, "network", "rm", network)
	})
	// Another test's stack takes its image along.
	built := docker(t, "images", "--quiet", "--no-trunc", "--filter", "label=helloworld.stack")
	images := slices.DeleteFunc(docker(t, "images", "--quiet", "--no-trunc"), func(id string) bool { return slices.Contains(built, id) })
	container := docker(t, "create", "--name", "e2e-foreign", "--network", network, images[0], "true")[0]
	t.Cleanup(func() { docker(t, "rm", container) })
	return func(t *testing.T) {
		docker(t, "container", "inspect", container)
		docker(t, "network", "inspect", network)
		docker(t, "volume", "inspect", volume)
		for _, image := range images {
			docker(t, "image", "inspect", image)
		}
	}
}
