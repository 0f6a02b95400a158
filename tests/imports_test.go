// Package tests holds the tests of the whole program.
package tests

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/brotally/brotally"

// allowed says what of ours each folder may import: the arrows of docs/DESIGN.md. A folder that is not listed may be
// imported by cmd only and import what it likes but cmd.
var allowed = map[string][]string{
	"feeds":                  {},
	"tables/sql":             {},
	"tables":                 {"feeds", "tables/sql"},
	"codecs":                 {"feeds", "tables", "tables/sql"},
	"codecs/codectest":       {"codecs", "feeds", "tables", "internal/output"},
	"processors":             {"codecs", "feeds", "tables", "tables/sql", "internal/catalog", "internal/fault", "internal/grouptable", "internal/kafka", "internal/letters", "internal/registry"},
	"views":                  {"codecs", "feeds", "tables", "tables/sql", "internal/catalog", "internal/fault", "internal/grouptable", "internal/kafka", "internal/output"},
	"views/client":           {},
	"views/pgwire":           {"feeds", "tables", "tables/sql", "views", "views/pgwire/pgcatalog"},
	"views/pgwire/pgcatalog": {},
	"web":                    {"tables/sql", "views/client"},
	"web/tryit":              {"web"},
	"examples":               {},
	"internal/fault":         {},
	"internal/catalog":       {"feeds", "tables", "internal/fault", "internal/kafka"},
	"internal/kafka":         {"internal/fault"},
	"internal/letters":       {"internal/kafka"},
	"internal/grouptable":    {"codecs", "feeds", "tables", "internal/fault", "internal/kafka"},
	"internal/broker":        {},
	"internal/traffic":       {},
	"internal/registry":      {"codecs", "internal/kafka"},
	"internal/verify":        {"codecs", "feeds", "tables", "internal/catalog", "internal/grouptable", "internal/kafka", "internal/letters"},
	"internal/replay":        {"codecs", "feeds", "internal/kafka"},
	"internal/output":        {"feeds", "tables", "tables/sql"},
	"internal/metrics":       {"codecs", "processors", "tables", "views", "internal/kafka"},
}

// foreign says in which folders a library may appear; folders below count.
var foreign = map[string][]string{
	"github.com/lovoo/goka":           {"processors", "views", "internal/grouptable"},
	"github.com/IBM/sarama":           {"processors", "views", "internal/grouptable", "internal/kafka", "internal/replay"},
	"github.com/twmb/franz-go":        {"internal/broker", "internal/kafka", "internal/registry", "internal/testregistry", "examples/consumers", "tests/bench"},
	"github.com/spf13/cobra":          {"cmd"},
	"github.com/prometheus":           {"internal/metrics", "internal/testprometheus"},
	"net/http":                        {"views", "web", "cmd", "internal/kafka", "internal/metrics", "internal/registry", "internal/testregistry", "tests/bench"}, // in internal/kafka for tokens alone
	"golang.org/x/oauth2":             {"internal/kafka"},
	"github.com/linkedin/goavro":      {"codecs"},
	"github.com/apache/arrow-go":      {"internal/output"},
	"github.com/axiomhq/hyperloglog":  {"tables"},
	"github.com/google/btree":         {"tables"},
	"github.com/hamba/avro":           {"internal/testregistry"},
	"github.com/klauspost/compress":   {"views"},
	"github.com/chromedp":             {"internal/testbrowser"},
	"github.com/getkin/kin-openapi":   {}, // tests alone
	"github.com/jackc/pgx":            {"views/pgwire"},
	"github.com/rogpeppe/go-internal": {},
	"gonum.org/v1/plot":               {"tests/bench"},
}

func TestImportsPointOneWay(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	seen := 0
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		folder := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		for _, imported := range p.Imports {
			if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
				checkOurs(t, folder, ours)
				continue
			}
			for library, folders := range foreign {
				if within(imported, library) && !slices.ContainsFunc(folders, func(f string) bool { return within(folder, f) }) {
					t.Errorf("%s imports %s, which belongs in %v", folder, imported, folders)
				}
			}
		}
	}
	if seen < 8 {
		t.Fatalf("go list named %d packages only", seen)
	}
}

func checkOurs(t *testing.T, folder, imported string) {
	t.Helper()
	if within(imported, "cmd") {
		t.Errorf("%s imports %s: cmd is the top", folder, imported)
	}
	may, listed := allowed[folder]
	if listed && !slices.Contains(may, imported) {
		t.Errorf("%s imports %s; it may import %v", folder, imported, may)
	}
}

func within(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, path.Clean(folder)+"/")
}
