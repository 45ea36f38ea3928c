package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// start runs the handler on a real server and returns its address, its log and
// the switch of its readiness.
func start(t *testing.T) (url string, log *bytes.Buffer, ready *atomic.Bool) {
	t.Helper()
	log, ready = &bytes.Buffer{}, &atomic.Bool{}
	ready.Store(true)
	server := httptest.NewServer(newHandler("replica-7", ready, slog.New(slog.NewJSONHandler(log, nil))))
	t.Cleanup(server.Close)
	return server.URL, log, ready
}

func send(t *testing.T, method, url, body string, header http.Header) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, strings.TrimSpace(string(text))
}

func TestRoutes(t *testing.T) {
	url, _, _ := start(t)
	for _, test := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/helloworld", 200, `{"message":"Hello, world!","replica":"replica-7","version":"dev"}`},
		{"GET", "/helloworld?x=1", 200, `{"message":"Hello, world!","replica":"replica-7","version":"dev"}`},
		{"HEAD", "/helloworld", 200, ""},
		{"POST", "/helloworld", 405, `{"error":"method not allowed"}`},
		{"DELETE", "/helloworld", 405, `{"error":"method not allowed"}`},
		{"GET", "/", 404, `{"error":"not found"}`},
		{"GET", "/helloworld/", 404, `{"error":"not found"}`},
		{"GET", "//helloworld", 404, `{"error":"not found"}`},
		{"GET", "/x/../helloworld", 404, `{"error":"not found"}`},
		{"POST", "/nothing", 404, `{"error":"not found"}`},
		{"GET", "/healthz", 200, `{"status":"ok"}`},
		{"GET", "/readyz", 200, `{"status":"ok"}`},
	} {
		response, body := send(t, test.method, url+test.path, "", nil)
		if response.StatusCode != test.status || body != test.body {
			t.Errorf("%s %s: %d %s, want %d %s", test.method, test.path, response.StatusCode, body, test.status, test.body)
		}
		if kind := response.Header.Get("Content-Type"); kind != "application/json" {
			t.Errorf("%s %s: content type %q", test.method, test.path, kind)
		}
		if allow := response.Header.Get("Allow"); test.status == 405 && allow != "GET, HEAD" {
			t.Errorf("%s %s: Allow is %q", test.method, test.path, allow)
		}
	}
}

func TestAStoppingReplicaIsAliveButNotReady(t *testing.T) {
	url, _, ready := start(t)
	ready.Store(false)
	if response, _ := send(t, "GET", url+"/readyz", "", nil); response.StatusCode != 503 {
		t.Errorf("/readyz: %d, want 503", response.StatusCode)
	}
	if response, _ := send(t, "GET", url+"/healthz", "", nil); response.StatusCode != 200 {
		t.Errorf("/healthz: %d, want 200", response.StatusCode)
	}
}

func TestMetricsCountByRouteMethodAndCodeNeverByRawPath(t *testing.T) {
	url, _, _ := start(t)
	send(t, "GET", url+"/helloworld", "", nil)
	send(t, "GET", url+"/secret-path", "", nil)
	send(t, "BREW", url+"/helloworld", "", nil)
	_, text := send(t, "GET", url+"/metrics", "", nil)
	for _, want := range []string{
		`http_requests_total{code="200",method="get",replica="replica-7",route="/helloworld",version="dev"} 1`,
		`http_requests_total{code="404",method="get",replica="replica-7",route="other",version="dev"} 1`,
		`http_requests_total{code="405",method="unknown",replica="replica-7",route="/helloworld",version="dev"} 1`,
		`http_request_duration_seconds_count{code="200",method="get",replica="replica-7",route="/helloworld",version="dev"} 1`,
		`http_requests_in_flight{replica="replica-7",version="dev"} 1`,
		`app_build_info{replica="replica-7",version="dev"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if strings.Contains(text, "secret-path") {
		t.Error("a raw path is a label")
	}
}

func TestEveryRequestIsOneLogLineWithItsID(t *testing.T) {
	url, log, _ := start(t)
	response, _ := send(t, "GET", url+"/helloworld", "", http.Header{"X-Request-Id": {"abc-1"}, "X-Real-Ip": {"192.0.2.7"}})
	if id := response.Header.Get("X-Request-Id"); id != "abc-1" {
		t.Errorf("the answer carries the id %q", id)
	}
	send(t, "GET", url+"/healthz", "", nil)
	var line struct {
		Level, Msg, Method, Path, Route, Client string
		RequestID                               string `json:"request_id"`
		Status                                  int
	}
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatalf("the log is not one JSON line: %v\n%s", err, log)
	}
	if line.RequestID != "abc-1" || line.Status != 200 || line.Route != "/helloworld" || line.Client != "192.0.2.7" {
		t.Errorf("logged %+v", line)
	}
}

func TestAForgedRequestIDIsReplaced(t *testing.T) {
	url, log, _ := start(t)
	response, _ := send(t, "GET", url+"/helloworld", "", http.Header{"X-Request-Id": {`a" b`}})
	if id := response.Header.Get("X-Request-Id"); !validRequestID.MatchString(id) {
		t.Errorf("the id %q was let through", id)
	}
	if strings.Contains(log.String(), `a\" b`) {
		t.Error("the forged id is in the log")
	}
}

func TestAPanicIsLoggedAndAnswered(t *testing.T) {
	var log bytes.Buffer
	handler := logRequests(slog.New(slog.NewJSONHandler(&log, nil)), slog.LevelInfo, "/x",
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") }))
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest("GET", "/x", nil))
	if recorder.Code != 500 || !strings.Contains(log.String(), `"problem":"boom"`) || !strings.Contains(log.String(), `"status":500`) {
		t.Errorf("answered %d, logged %s", recorder.Code, &log)
	}
}
