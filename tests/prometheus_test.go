package tests

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/brotally/brotally/compose/grafana"
	"github.com/brotally/brotally/internal/testprometheus"
)

// TestPrometheusAnswersDashboardsAndAlerts runs a demo and a Prometheus that asks it, with the configuration that comes with
// Brotally, until every query of the dashboards, and what every alert compares, has an answer.
func TestPrometheusAnswersDashboardsAndAlerts(t *testing.T) {
	t.Parallel()
	program := testprometheus.Tool(t, "prometheus")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer http.DefaultClient.CloseIdleConnections()

	demo := started(ctx, t, brotally(t, "demo", "--port", "0", "--broker-port", "0", "--rate", "200"), `(?m)^  page +(http://[^/\s]+)`)
	config := scrapeConfig(t, strings.TrimPrefix(demo, "http://"))
	prometheus := "http://" + started(ctx, t, exec.Command(program, "--config.file="+config, "--storage.tsdb.path="+t.TempDir(),
		"--web.listen-address=127.0.0.1:0"), `msg="Listening on" address=(127\.0\.0\.1:[1-9]\d*)`)

	queries := map[string]string{} // by where they are
	for name, d := range grafana.Dashboards() {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				at := fmt.Sprintf("%s, panel %d %s, %s", name, p.ID, p.Title, target.RefID)
				if target.Expr == "" {
					lookUp(ctx, t, at, demo, target)
					continue
				}
				queries[at] = strings.NewReplacer("$__rate_interval", "10s", "$table", "dns_counts").Replace(target.Expr)
			}
		}
		for _, v := range d.Templating.List {
			values := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`).FindStringSubmatch(v.Query)
			queries[name+", variable "+v.Name] = fmt.Sprintf("group by (%s) (%s)", values[2], values[1])
		}
	}
	for alert, expr := range alerts(t) {
		compared, err := testprometheus.WithoutThreshold(expr)
		if err != nil {
			t.Fatalf("%s: %v", alert, err)
		}
		queries["alert "+alert] = compared
	}
	for len(queries) > 0 && ctx.Err() == nil {
		for at, query := range queries {
			if n, err := ask(ctx, prometheus, query); err != nil {
				t.Errorf("%s: %v", at, err)
				delete(queries, at)
			} else if n > 0 {
				delete(queries, at)
			}
		}
		time.Sleep(200 * time.Millisecond) // until Prometheus has asked once more
	}
	for at, query := range queries {
		t.Errorf("%s: no data for %s", at, query)
	}

	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError, State string }
			}
		}
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		get(ctx, t, prometheus+"/api/v1/rules", &answer)
		unwell := 0
		for _, g := range answer.Data.Groups {
			for _, r := range g.Rules {
				if r.Health == "err" || r.State == "firing" {
					t.Fatalf("alert %s: %s %s %s", r.Name, r.Health, r.State, r.LastError)
				}
				if r.Health != "ok" {
					unwell++
				}
			}
		}
		if len(answer.Data.Groups) > 0 && unwell == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d alerts were not evaluated", unwell)
		}
	}
}

// started starts a program, which is stopped when the test ends, and returns what the pattern finds first in what it says.
func started(ctx context.Context, t *testing.T, cmd *exec.Cmd, pattern string) string {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // the test looks at what it did, not at how it ended
		read.Close()
	})
	found, said := make(chan string, 1), &bytes.Buffer{}
	go func() { // ends with the program
		lines := bufio.NewScanner(read)
		for lines.Scan() {
			if m := regexp.MustCompile(pattern).FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
				break
			}
			said.WriteString(lines.Text() + "\n")
		}
		_, _ = io.Copy(io.Discard, read)
		close(found)
	}()
	select {
	case text, ok := <-found:
		if !ok {
			t.Fatalf("%s ended:\n%s", cmd.Path, said)
		}
		return text
	case <-ctx.Done():
		t.Fatalf("%s does not say %s", cmd.Path, pattern)
		return ""
	}
}

// scrapeConfig writes Prometheus's configuration for one target that is asked often, and returns its path.
func scrapeConfig(t *testing.T, target string) string {
	t.Helper()
	folder, err := filepath.Abs("../compose/prometheus")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "prometheus.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Global map[string]string `yaml:"global"`
		Rules  []string          `yaml:"rule_files"`
		Scrape []struct {
			Job     string `yaml:"job_name"`
			Statics []struct {
				Targets []string `yaml:"targets"`
			} `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true) // or something would be lost
	if err := decoder.Decode(&config); err != nil {
		t.Fatal(err)
	}
	config.Global["scrape_interval"], config.Global["evaluation_interval"] = "500ms", "1s"
	for i := range config.Rules {
		config.Rules[i] = filepath.Join(folder, config.Rules[i])
	}
	config.Scrape[0].Statics[0].Targets = []string{target}
	if text, err = yaml.Marshal(config); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// alerts returns the expressions of the alerts.
func alerts(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../compose/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			all[r.Alert] = r.Expr
		}
	}
	return all
}

// ask returns how many values a query has that are numbers.
func ask(ctx context.Context, prometheus, query string) (n int, err error) {
	r, err := request(ctx, http.MethodGet, prometheus+"/api/v1/query?query="+url.QueryEscape(query), "")
	if err != nil {
		return 0, err
	}
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.Unmarshal(r, &answer); err != nil {
		return 0, err
	}
	for _, one := range answer.Data.Result {
		if one.Value[1] != "NaN" {
			n++
		}
	}
	return n, nil
}

// lookUp asks Brotally as Grafana's Infinity would, and looks whether the panel's columns are there.
func lookUp(ctx context.Context, t *testing.T, at, server string, target grafana.Target) {
	t.Helper()
	var have []string
	text, err := request(ctx, target.URLOptions.Method, server+target.URL, target.URLOptions.Data)
	for deadline := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		text, err = request(ctx, target.URLOptions.Method, server+target.URL, target.URLOptions.Data) // a view may still be restored
	}
	if err != nil {
		t.Errorf("%s: %v", at, err)
		return
	}
	if target.Type == "csv" {
		if have, err = csv.NewReader(bytes.NewReader(text)).Read(); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	} else {
		var answer map[string][]map[string]any
		if err := json.Unmarshal(text, &answer); err != nil || len(answer[target.RootSelector]) == 0 {
			t.Errorf("%s: %v, nothing under %q: %s", at, err, target.RootSelector, text)
			return
		}
		for name := range answer[target.RootSelector][0] {
			have = append(have, name)
		}
	}
	for _, c := range target.Columns {
		if !slices.Contains(have, c.Selector) || strings.Contains(c.Selector, ".") {
			t.Errorf("%s: no column %s, or one with a dot; there are %v", at, c.Selector, have)
		}
	}
}

func get(ctx context.Context, t *testing.T, url string, into any) {
	t.Helper()
	text, err := request(ctx, http.MethodGet, url, "")
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func request(ctx context.Context, method, url, body string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, text)
	}
	return text, err
}
