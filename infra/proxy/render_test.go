package proxy

import (
	"testing"

	"helloworld/infra/config"
	"helloworld/infra/golden"
	"helloworld/infra/workload"
)

var rendered = map[string]settings{
	"redirect": {
		proxy: config.Proxy{Domain: "localhost", HTTPSPort: 443, HTTP: config.HTTPRedirect},
		app:   config.App{Port: 8000, StopGrace: 20}, replicas: []string{"replica-1", "replica-2"}, certificate: "CERT", authority: "CA",
	},
	"serve": {
		proxy: config.Proxy{Domain: "www.example.com", Names: []string{"example.com", "192.0.2.1"}, HTTPSPort: 8443, HTTP: config.HTTPServe},
		app:   config.App{Port: 9000, StopGrace: 1}, grafana: true, replicas: []string{"replica-1"}, certificate: "CERT", authority: "CA",
	},
}

var name = workload.Revisions{}.RevisionID

func TestRenderedFilesAreGolden(t *testing.T) {
	for mode, s := range rendered {
		r, err := render(s, name)
		if err != nil {
			t.Fatal(err)
		}
		golden.Check(t, mode+".nginx.conf", r.nginxConf)
		golden.Check(t, mode+".servers.conf", r.serversConf)
	}
}

func TestTheRevisionFollowsEverythingItDependsOn(t *testing.T) {
	base := rendered["redirect"]
	seen := map[string]string{}
	for what, change := range map[string]func(*settings){
		"nothing":     func(*settings) {},
		"https port":  func(s *settings) { s.proxy.HTTPSPort = 8443 },
		"names":       func(s *settings) { s.proxy.Names = []string{"example.com"} },
		"grace":       func(s *settings) { s.app.StopGrace = 5 },
		"port":        func(s *settings) { s.app.Port = 8001 },
		"replicas":    func(s *settings) { s.replicas = []string{"replica-1"} },
		"certificate": func(s *settings) { s.certificate = "OTHER" },
		"authority":   func(s *settings) { s.authority = "OTHER" },
		"domain":      func(s *settings) { s.proxy.Domain = "example.com" },
		"grafana":     func(s *settings) { s.grafana = true },
		"http":        func(s *settings) { s.proxy.HTTP = config.HTTPServe },
	} {
		s := base
		change(&s)
		first, err := render(s, name)
		if err != nil {
			t.Fatal(err)
		}
		second, err := render(s, name)
		if err != nil || first != second {
			t.Errorf("%s: two renderings differ", what)
		}
		if other, ok := seen[first.id]; ok {
			t.Errorf("%s and %s give the same revision", what, other)
		}
		seen[first.id] = what
	}
}
