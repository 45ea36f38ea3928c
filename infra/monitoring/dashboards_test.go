package monitoring

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboard has all fields that a dashboard may have: a misspelt one is unknown.
type dashboard struct {
	ID                                         *int
	UID, Title, Description, Timezone, Refresh string
	Tags                                       []string
	SchemaVersion, GraphTooltip                int
	Editable                                   *bool
	Time                                       struct{ From, To string }
	Panels                                     []panel
	Links                                      []struct {
		Type, Title, Icon, Tooltip, URL                string
		Tags                                           []string
		AsDropdown, KeepTime, IncludeVars, TargetBlank bool
	}
	Annotations, Templating struct{ List []map[string]any }
	document                any
}

type panel struct {
	ID, MaxDataPoints                  int
	Type, Title, Description, Interval string
	GridPos                            struct{ X, Y, W, H int }
	Datasource                         struct{ Type, UID string }
	Options, Transformations           any
	Targets                            []struct {
		RefID, Expr, QueryType, LegendFormat, Format string
		MaxLines                                     int
		Instant                                      bool
	}
	FieldConfig struct {
		Defaults struct {
			Unit, NoValue                       string
			Decimals, Min, Max                  *float64
			Color, Custom, Mappings, Thresholds any
			Links                               []struct{ Title, URL string }
		}
		Overrides []any
	}
}

// eachDashboard runs a test on every dashboard.
func eachDashboard(t *testing.T, test func(t *testing.T, d dashboard)) {
	t.Helper()
	files := must(filepath.Glob("dashboards/*.json"))
	if len(files) < 6 {
		t.Fatalf("only %d dashboards", len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text := must(os.ReadFile(file))
			var d dashboard
			decoder := json.NewDecoder(bytes.NewReader(text))
			decoder.DisallowUnknownFields()
			if err := errors.Join(decoder.Decode(&d), json.Unmarshal(text, &d.document)); err != nil {
				t.Fatal(err)
			}
			test(t, d)
		})
	}
}

// eachValue calls visit with every key and value of a document.
func eachValue(document any, visit func(key string, value any)) {
	switch document := document.(type) {
	case map[string]any:
		for key, value := range document {
			visit(key, value)
			eachValue(value, visit)
		}
	case []any:
		for _, value := range document {
			visit("", value)
			eachValue(value, visit)
		}
	}
}

func TestDashboardsAreReadOnlyAndLinkToEachOther(t *testing.T) {
	titles := map[string]bool{}
	eachDashboard(t, func(t *testing.T, d dashboard) {
		if d.UID+".json" != filepath.Base(t.Name()) {
			t.Errorf("its uid is %q", d.UID)
		}
		if d.SchemaVersion != 41 || d.ID != nil || d.Editable == nil || *d.Editable {
			t.Error("it is no dashboard of schema 41 that Grafana numbers and nobody edits")
		}
		if d.Title == "" || titles[d.Title] || d.Description == "" {
			t.Errorf("its title %q is not its own, or its description is missing", d.Title)
		}
		titles[d.Title] = true
		if d.Refresh != "15s" || d.Timezone != "browser" || d.Time.From == "" || d.Time.To != "now" {
			t.Error("it does not show the present in the reader's time")
		}
		if !slices.Contains(d.Tags, "helloworld") || len(d.Links) == 0 {
			t.Error("it has no tag or no link")
		}
		for _, link := range d.Links {
			if link.Type != "dashboards" || !slices.Equal(link.Tags, []string{"helloworld"}) || !link.KeepTime || !link.IncludeVars {
				t.Errorf("the link %q does not lead to the dashboards by their tag, at the same time", link.Title)
			}
		}
	})
}

func TestEveryPanelHasAQueryAUnitAndAnExplanation(t *testing.T) {
	value := regexp.MustCompile(`Value #(\w+)`)
	// What VictoriaLogs is asked for, by the type of the panel.
	kinds := map[string]string{"timeseries": "statsRange", "stat": "stats", "logs": "instant", "table": "instant"}
	eachDashboard(t, func(t *testing.T, d dashboard) {
		ids, titles := map[int]bool{}, map[string]bool{}
		for _, p := range d.Panels {
			if p.ID <= 0 || ids[p.ID] || p.Title == "" || titles[p.Title] {
				t.Errorf("the id %d or the title %q is not the panel's own", p.ID, p.Title)
			}
			ids[p.ID], titles[p.Title] = true, true
			if p.Type == "row" || p.Type == "text" {
				continue
			}
			if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID == "" || len(p.Targets) == 0 {
				t.Errorf("%s lacks a description, a unit, a data source or a query", p.Title)
			}
			refs := map[string]bool{}
			for _, q := range p.Targets {
				if q.RefID == "" || refs[q.RefID] || q.Expr == "" {
					t.Errorf("%s: the query %q has no id of its own or no expression", p.Title, q.RefID)
				}
				refs[q.RefID] = true
				kind, counts := "", false
				if p.Datasource.UID == logsSource {
					kind, counts = kinds[p.Type], strings.Contains(q.Expr, "| stats ")
				}
				if q.QueryType != kind || counts != strings.HasPrefix(kind, "stats") || (q.MaxLines > 0) != (kind == "instant") {
					t.Errorf("%s: the query %q is no query %q of its data source for this type of panel", p.Title, q.Expr, q.QueryType)
				}
			}
			for _, found := range value.FindAllStringSubmatch(string(must(json.Marshal(p.Transformations))), -1) {
				if !refs[found[1]] {
					t.Errorf("%s: a transformation names the query %s, which it does not have", p.Title, found[1])
				}
			}
		}
	})
}

func TestPanelsLieBesideEachOther(t *testing.T) {
	eachDashboard(t, func(t *testing.T, d dashboard) {
		taken := map[[2]int]string{}
		for _, p := range d.Panels {
			g := p.GridPos
			// Logs lie below: what is read at first sight are metrics.
			below := d.UID == "service" && p.Datasource.UID != logsSource && g.Y+g.H > 22
			if g.X < 0 || g.Y < 0 || g.W <= 0 || g.H <= 0 || g.X+g.W > 24 || below {
				t.Errorf("%s is outside of the 24 columns, or below the first screen", p.Title)
			}
			for x := g.X; x < g.X+g.W; x++ {
				for y := g.Y; y < g.Y+g.H; y++ {
					if other := taken[[2]int{x, y}]; other != "" && other != p.Title {
						t.Fatalf("%s lies on %s", p.Title, other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
		}
	})
}

func TestDashboardsNameOnlyWhatIsThere(t *testing.T) {
	sources := map[any]any{"prometheus": "prometheus", "alertmanager": "alertmanager", "-- Grafana --": "grafana", logsSource: logsType}
	use := regexp.MustCompile(`\$\{?([A-Za-z_]\w*)|\[\[(\w+)`)
	eachDashboard(t, func(t *testing.T, d dashboard) {
		known := []string{"__rate_interval", "__interval", "__interval_ms", "__range", "__range_s", "__all", "__url_time_range", "__value", "__field", "__data"}
		for _, v := range d.Templating.List {
			known = append(known, v["name"].(string))
			query, _ := v["query"].(string)
			source, _ := v["datasource"].(map[string]any)
			values, _ := v["query"].(map[string]any)
			switch {
			case v["type"] == "textbox", v["type"] == "custom" && query != "":
			case v["type"] == "query" && source["uid"] == logsSource && values["type"] == "fieldValue" && values["field"] != "" && values["query"] != "" && values["refId"] != "":
			case v["type"] == "query" && source["uid"] == "prometheus" && query != "":
			default:
				t.Errorf("%s has no query or no data source", v["name"])
			}
		}
		for _, a := range d.Annotations.List {
			if expr, _ := a["expr"].(string); a["datasource"] == nil || expr == "" && a["builtIn"] == nil {
				t.Errorf("%s has no query or no data source", a["name"])
			}
		}
		eachValue(d.document, func(key string, value any) {
			if key == "datasource" {
				source, _ := value.(map[string]any)
				if kind, ok := sources[source["uid"]]; !ok || source["type"] != kind {
					t.Errorf("there is no data source %v", value)
				}
			}
			if text, ok := value.(string); ok {
				if key == "url" && text != "" && !strings.HasPrefix(text, logsLink+"logs?${__url_time_range}&var-") {
					t.Errorf("a link does not lead to the logs of the same time: %s", text)
				}
				for _, found := range use.FindAllStringSubmatch(text, -1) {
					if !slices.Contains(known, found[1]+found[2]) {
						t.Errorf("there is no variable %s: %s", found[0], text)
					}
				}
			}
		})
	})
}
