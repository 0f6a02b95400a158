package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// nobody is a broker that is not there: a command line that gets so far has flags that exist and SQL that compiles.
const nobody = "127.0.0.1:1"

func TestComposeCommandLines(t *testing.T) {
	project, err := loader.LoadWithContext(context.Background(), types.ConfigDetails{WorkingDir: "../../compose", Environment: types.Mapping{},
		ConfigFiles: []types.ConfigFile{{Filename: "../../compose/compose.yml"}}}, func(o *loader.Options) { o.SetProjectName("brotally", true) })
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for name, s := range project.Services {
		if !strings.HasPrefix(s.Image, "brotally:") {
			continue
		}
		seen++
		var environ, args []string
		for key, value := range s.Environment {
			environ = append(environ, key+"="+*value)
		}
		for _, arg := range s.Command {
			if arg == "--brokers=kafka:9092" {
				arg = "--brokers=" + nobody
			}
			args = append(args, strings.ReplaceAll(arg, "/examples/", "../../examples/"))
		}
		if !slices.Contains(args, "--brokers="+nobody) {
			t.Fatalf("%s: %v", name, args)
		}
		if code, _, stderr := invoke(context.Background(), environ, args...); code != exitNoBroker || strings.Contains(stderr, "no setting of ours") {
			t.Errorf("%s: exit code %d, %s", name, code, stderr)
		}
	}
	if seen != 2 {
		t.Errorf("%d services", seen)
	}
}

// The image's health check is a command of ours.
func TestImageHealthCheck(t *testing.T) {
	text, err := os.ReadFile("../../compose/brotally/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	check := regexp.MustCompile(`(?m)^HEALTHCHECK .* CMD \["/usr/local/bin/brotally", "(.*)"\]$`).FindStringSubmatch(string(text))
	if check == nil {
		t.Fatal("no health check")
	}
	if code, _, stderr := invoke(context.Background(), nil, append(strings.Split(check[1], `", "`), "--server", nobody)...); code != exitFailed || !strings.Contains(stderr, "does not answer") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

func TestServiceUnit(t *testing.T) {
	const file = "../../compose/systemd/brotally.service"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	start := regexp.MustCompile(`(?m)^ExecStart=(\S+) (.*)$`).FindStringSubmatch(string(text))
	folder := t.TempDir()
	for name, content := range map[string]string{"brotally.yaml": "brokers: [" + nobody + "]\n", "tables.sql": "CREATE TABLE n AS SELECT count(*) AS n FROM dns;\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := strings.Fields(strings.ReplaceAll(start[2], "/etc/brotally", folder))
	environ := []string{"BROTALLY_INSTANCE=host"}
	if code, _, stderr := invoke(context.Background(), environ, args...); code != exitNoBroker || strings.Contains(stderr, "no setting of ours") {
		t.Errorf("exit code %d, %s", code, stderr)
	}

	t.Run("systemd", func(t *testing.T) {
		analyze, err := exec.LookPath("systemd-analyze")
		if err != nil {
			if os.Getenv("BROTALLY_REQUIRE_SYSTEMD") != "" {
				t.Fatal(err)
			}
			t.Skipf("no systemd-analyze: %v", err)
		}
		// It looks whether the program is there.
		unit := filepath.Join(folder, "brotally.service")
		if err := os.WriteFile(unit, []byte(strings.ReplaceAll(string(text), start[1], "/bin/true")), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(analyze, "verify", "--man=no", unit).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("verify: %v\n%s", err, out)
		}
		if out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=15", unit).CombinedOutput(); err != nil {
			t.Errorf("an exposure of more than 1.5 of 10: %v\n%s", err, out)
		}
	})
}
