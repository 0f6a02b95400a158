package prometheus_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/brotally/brotally/internal/testprometheus"
)

// rules are alerts.yml.
type rules struct {
	Groups []struct {
		Rules []struct {
			Alert       string
			Expr        string
			Labels      map[string]string
			Annotations map[string]string
		}
	}
}

func TestAlertsNameWhatThereIs(t *testing.T) {
	text, err := os.ReadFile("alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file rules
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile("alerts_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	known := testprometheus.Known(t)
	seen := 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			seen++
			if err := testprometheus.Check(r.Expr, known); err != nil {
				t.Errorf("%s: %v", r.Alert, err)
			}
			if _, err := testprometheus.WithoutThreshold(r.Expr); err != nil {
				t.Errorf("%s: %v", r.Alert, err)
			}
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || len(r.Annotations["description"]) < 80 {
				t.Errorf("%s: want a severity, a summary, and a description that says what to do", r.Alert)
			}
			if !strings.Contains(string(tests), `alertname="`+r.Alert+`"`) {
				t.Errorf("%s has no test in alerts_test.yml", r.Alert)
			}
			if !strings.Contains(string(docs), "`"+r.Alert+"`") {
				t.Errorf("docs/OPERATIONS.md does not tell of %s", r.Alert)
			}
		}
	}
	if seen < 10 {
		t.Errorf("%d alerts only", seen)
	}
}

func TestPromtool(t *testing.T) {
	promtool := testprometheus.Tool(t, "promtool")
	for _, args := range [][]string{{"check", "config", "prometheus.yml"}, {"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
