package monitoring

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const logs = "http://victorialogs:9428"

// sources are the data sources that Grafana is told of, and those it is to delete.
type sources struct {
	Datasources []struct {
		Name, UID, Type, URL string
		JSONData             struct {
			DerivedFields []map[string]string `yaml:"derivedFields"`
		} `yaml:"jsonData"`
	}
	DeleteDatasources []struct{ Name string } `yaml:"deleteDatasources"`
}

func TestLogsAreADataSource(t *testing.T) {
	for url, want := range map[string][]string{"": {"prometheus", "alertmanager"}, logs: {"prometheus", "alertmanager", logsSource}} {
		var s sources
		if err := yaml.Unmarshal([]byte(must(renderGrafana(url, name)).files["datasources.yml"]), &s); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, source := range s.Datasources {
			got = append(got, source.UID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("with %q there are %q", url, got)
		}
		if url == "" {
			if len(s.DeleteDatasources) != 1 || s.DeleteDatasources[0].Name != "Logs" {
				t.Errorf("without logging it deletes %v", s.DeleteDatasources)
			}
			continue
		}
		source := s.Datasources[2]
		fields := source.JSONData.DerivedFields
		if source.Name != "Logs" || source.Type != logsType || source.URL != url || len(s.DeleteDatasources) > 0 {
			t.Errorf("the data source is %+v, and it deletes %v", source, s.DeleteDatasources)
		}
		// Grafana takes $$ for $.
		if len(fields) != 1 || fields[0]["datasourceUid"] != logsSource || fields[0]["matcherRegex"] != "request_id" || fields[0]["url"] != `request_id:="$${__value.raw}"` {
			t.Errorf("lines link to %v", fields)
		}
	}
}

func TestWithoutLoggingNothingSpeaksOfLogs(t *testing.T) {
	with, without := must(renderGrafana(logs, name)), must(renderGrafana("", name))
	if again := must(renderGrafana("", name)); again.id != without.id || with.id == without.id {
		t.Errorf("with logging it is revision %s, without %s, and then %s", with.id, without.id, again.id)
	}
	if _, ok := without.files[logsDashboard]; ok || len(without.files) != len(with.files)-1 {
		t.Errorf("there are %d files with logging, %d without", len(with.files), len(without.files))
	}
	for file, text := range without.files {
		if !strings.HasSuffix(file, ".json") {
			continue
		}
		var before, after struct{ Panels []panel }
		if err := json.Unmarshal([]byte(text), &after); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if err := json.Unmarshal([]byte(with.files[file]), &before); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if strings.Contains(text, logsType) || strings.Contains(text, logsLink) {
			t.Errorf("%s has something of logs", file)
		}
		kept := slices.DeleteFunc(before.Panels, func(p panel) bool { return p.Datasource.UID == logsSource })
		if len(kept) != len(after.Panels) {
			t.Errorf("%s has %d panels, want %d", file, len(after.Panels), len(kept))
		}
	}
}

// TestLinksToLogsSetItsVariables: what a link sets, the dashboard Logs has.
func TestLinksToLogsSetItsVariables(t *testing.T) {
	variables := map[string]bool{}
	type target struct{ variable, at string }
	var set []target
	eachDashboard(t, func(t *testing.T, d dashboard) {
		if d.UID == "logs" {
			for _, v := range d.Templating.List {
				variables["var-"+v["name"].(string)] = true
			}
		}
		eachValue(d.document, func(key string, value any) {
			if text, ok := value.(string); ok && key == "url" && text != "" {
				_, query, _ := strings.Cut(text, "&")
				for name := range must(url.ParseQuery(query)) {
					set = append(set, target{name, d.UID})
				}
			}
		})
	})
	if len(set) < 20 {
		t.Errorf("links set only %d variables", len(set))
	}
	for _, s := range set {
		if !variables[s.variable] {
			t.Errorf("a link of %s sets %s, which Logs does not have", s.at, s.variable)
		}
	}
}
