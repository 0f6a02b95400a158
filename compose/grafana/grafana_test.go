package grafana

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/brotally/brotally/internal/testprometheus"
)

var update = flag.Bool("update", false, "write dashboards/*.json")

func TestFilesAreGenerated(t *testing.T) {
	all := Dashboards()
	for name, d := range all {
		want, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("dashboards", name+".json")
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(have)); diff != "" {
			t.Errorf("%s is not what is generated: run go generate ./compose/grafana (-want +got):\n%s", file, diff)
		}
	}
	files, err := filepath.Glob("dashboards/*")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(all) {
		t.Errorf("files %v, want %d", files, len(all))
	}
}

func TestQueriesNameWhatThereIs(t *testing.T) {
	known := testprometheus.Known(t)
	queries := 0
	for name, d := range Dashboards() {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				if target.Datasource.UID != prometheusUID {
					continue
				}
				queries++
				if err := testprometheus.Check(strings.ReplaceAll(target.Expr, "$__rate_interval", "1m"), known); err != nil {
					t.Errorf("%s, %s: %v", name, p.Title, err)
				}
			}
		}
	}
	if queries < 30 {
		t.Errorf("%d queries only", queries)
	}
}

// Panels must neither overlap nor stand beyond the grid, and each needs an id of its own.
func TestPanelsHaveTheirPlaces(t *testing.T) {
	for name, d := range Dashboards() {
		taken := map[[2]int]string{}
		ids := map[int]bool{}
		for _, p := range d.Panels {
			if ids[p.ID] {
				t.Errorf("%s: id %d twice", name, p.ID)
			}
			ids[p.ID] = true
			if p.GridPos.X+p.GridPos.W > 24 {
				t.Errorf("%s: %s stands beyond the grid", name, p.Title)
			}
			for x := range p.GridPos.W {
				for y := range p.GridPos.H {
					at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
					if other, is := taken[at]; is {
						t.Fatalf("%s: %s overlaps %s", name, p.Title, other)
					}
					taken[at] = p.Title
				}
			}
		}
	}
}

func TestDataSourcesAreProvisioned(t *testing.T) {
	text, err := os.ReadFile("provisioning/datasources/brotally.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Datasources []struct{ UID, Type, URL string }
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	there := map[Source]bool{}
	for _, s := range file.Datasources {
		there[Source{s.Type, s.UID}] = s.URL != ""
	}
	for name, d := range Dashboards() {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				if !there[target.Datasource] || *p.Datasource != target.Datasource {
					t.Errorf("%s, %s: data source %v is not provisioned", name, p.Title, target.Datasource)
				}
			}
		}
		for _, v := range d.Templating.List {
			if !there[v.Datasource] {
				t.Errorf("%s, variable %s: data source %v is not provisioned", name, v.Name, v.Datasource)
			}
		}
		if text, err := d.JSON(); err != nil || !json.Valid(text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
