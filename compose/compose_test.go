package compose_test

import (
	"bufio"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"
)

// load reads the files as docker compose does.
func load(t *testing.T, files ...string) *types.Project {
	t.Helper()
	details := types.ConfigDetails{WorkingDir: ".", Environment: types.Mapping{}}
	for _, f := range files {
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: f})
	}
	project, err := loader.LoadWithContext(context.Background(), details, func(o *loader.Options) {
		o.ResolvePaths = true
		o.SetProjectName("brotally", true)
	})
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// TestDockerComposeTakesTheFiles asks the program itself, which needs no engine for that.
func TestDockerComposeTakesTheFiles(t *testing.T) {
	program, err := exec.LookPath("docker-compose")
	if err != nil {
		if os.Getenv("BROTALLY_REQUIRE_COMPOSE") == "1" {
			t.Fatal(err)
		}
		t.Skip("no docker-compose in PATH (Debian's package docker-compose)")
	}
	for _, files := range [][]string{{"-f", "compose.yml"}, {"-f", "compose.yml", "-f", "sensor.yml"}} {
		cmd := exec.Command(program, append(files, "config", "-q")...)
		cmd.Env = append(os.Environ(), "INTERFACE=eth0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", files, err, out)
		}
	}
}

func TestServicesAreConfined(t *testing.T) {
	project := load(t, "compose.yml")
	for _, name := range []string{"kafka", "topics", "zeek", "registry", "brotally-1", "brotally-2", "prometheus", "grafana"} {
		if _, err := project.GetService(name); err != nil {
			t.Error(err)
		}
	}
	pinned := regexp.MustCompile(`:v?\d+\.\d+\.\d+$`)
	hostPorts := map[string]string{}
	for name, s := range project.Services {
		if own := s.Build != nil; !own && !pinned.MatchString(s.Image) || own && !strings.HasSuffix(s.Image, ":dev") {
			t.Errorf("%s: image %s has no full version", name, s.Image)
		}
		if !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") || s.Privileged || len(s.CapAdd) > 0 || s.NetworkMode != "" {
			t.Errorf("%s: want no capabilities and no way to get any", name)
		}
		if s.Deploy == nil || s.Deploy.Resources.Limits == nil || s.Deploy.Resources.Limits.MemoryBytes == 0 || s.Deploy.Resources.Limits.NanoCPUs == 0 {
			t.Errorf("%s: want limits of memory and processors", name)
		}
		if s.Restart == "" {
			t.Errorf("%s: want to know when it restarts", name)
		}
		if s.HealthCheck == nil && s.Build == nil && name != "topics" {
			t.Errorf("%s: want a health check", name)
		}
		for _, p := range s.Ports {
			if other, taken := hostPorts[p.Published]; taken {
				t.Errorf("port %s is %s's and %s's", p.Published, other, name)
			}
			hostPorts[p.Published] = name
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is for other machines", name, p.Published)
			}
		}
		for _, v := range s.Volumes {
			switch v.Type {
			case types.VolumeTypeBind:
				if _, err := os.Stat(v.Source); err != nil || !v.ReadOnly {
					t.Errorf("%s: %s, read only %v: %v", name, v.Source, v.ReadOnly, err)
				}
			case types.VolumeTypeVolume:
				if _, ok := project.Volumes[v.Source]; !ok || v.Source == "" {
					t.Errorf("%s: volume %q has no name", name, v.Source)
				}
			default:
				t.Errorf("%s: a volume of type %s", name, v.Type)
			}
		}
		for key, value := range s.Environment {
			if value != nil && regexp.MustCompile(`PASSWORD|SECRET|TOKEN`).MatchString(key) && !strings.HasPrefix(*value, "/run/secrets/") {
				t.Errorf("%s: %s is not in a file", name, key)
			}
		}
		for other, on := range s.DependsOn {
			of, err := project.GetService(other)
			switch {
			case err != nil:
				t.Errorf("%s: %v", name, err)
			case on.Condition == types.ServiceConditionHealthy && of.HealthCheck == nil && of.Build == nil:
				t.Errorf("%s waits for the health of %s, which has no check", name, other)
			case on.Condition == types.ServiceConditionStarted:
				t.Errorf("%s only waits for the start of %s", name, other)
			}
		}
	}
	for name, s := range project.Secrets {
		if text, err := os.ReadFile(s.File); err != nil || len(text) < 12 {
			t.Errorf("secret %s: %d bytes, %v", name, len(text), err)
		}
	}
	one, two := project.Services["brotally-1"], project.Services["brotally-2"]
	if one.Image != two.Image || !slices.Equal(one.Command, two.Command) || *one.Environment["BROTALLY_INSTANCE"] == *two.Environment["BROTALLY_INSTANCE"] {
		t.Error("the two instances want one image, one command and two names")
	}
}

// What others ask for must be there under that name and port.
func TestAddressesAreThoseOfServices(t *testing.T) {
	project := load(t, "compose.yml")
	listens := map[string]string{"brotally-1": "8080", "brotally-2": "8080", "prometheus": "9090", "kafka": "9092", "registry": "8081"}
	check := func(where, address string) {
		host, port, _ := strings.Cut(address, ":")
		if _, err := project.GetService(host); err != nil || listens[host] != port {
			t.Errorf("%s: nobody listens at %s", where, address)
		}
	}
	var scrape struct {
		Configs []struct {
			Statics []struct {
				Targets []string
			} `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	read(t, "prometheus/prometheus.yml", &scrape)
	if n := len(scrape.Configs[0].Statics[0].Targets); n != 2 {
		t.Errorf("Prometheus asks %d instances", n)
	}
	for _, target := range scrape.Configs[0].Statics[0].Targets {
		check("prometheus.yml", target)
	}
	var sources struct {
		Datasources []struct{ URL string }
	}
	read(t, "grafana/provisioning/datasources/brotally.yml", &sources)
	for _, s := range sources.Datasources {
		u, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		check("Grafana's data source", u.Host)
	}
	check("Karapace", *project.Services["registry"].Environment["KARAPACE_BOOTSTRAP_URI"])
	check("Zeek", *project.Services["zeek"].Environment["KAFKA_BROKERS"])
	zeek, err := os.ReadFile("zeek/local.zeek")
	if err != nil || !strings.Contains(string(zeek), `"kafka:9092"`) {
		t.Errorf("local.zeek: %v", err)
	}
	// Where Grafana looks for dashboards is where they are mounted.
	var providers struct {
		Providers []struct {
			Options struct{ Path string }
		}
	}
	read(t, "grafana/provisioning/dashboards/brotally.yml", &providers)
	if !slices.ContainsFunc(project.Services["grafana"].Volumes, func(v types.ServiceVolumeConfig) bool {
		return v.Target == providers.Providers[0].Options.Path && strings.HasSuffix(v.Source, "grafana/dashboards")
	}) {
		t.Errorf("dashboards are not mounted at %s", providers.Providers[0].Options.Path)
	}
}

func TestSensorOverride(t *testing.T) {
	zeek := load(t, "compose.yml", "sensor.yml").Services["zeek"]
	if zeek.NetworkMode != "host" || !slices.Equal(zeek.CapDrop, []string{"ALL"}) || !slices.Equal(zeek.CapAdd, []string{"NET_RAW"}) || *zeek.Environment["KAFKA_BROKERS"] != "localhost:9094" {
		t.Errorf("zeek is %+v", zeek)
	}
}

// Each topic that Zeek sends to must be made: nobody else makes it.
func TestZeekTopicsAreMade(t *testing.T) {
	script, err := os.ReadFile("zeek/local.zeek")
	if err != nil {
		t.Fatal(err)
	}
	logs := regexp.MustCompile(`(?m)^redef Kafka::logs_to_send = set\((.*)\);`).FindStringSubmatch(string(script))
	command := strings.Join(load(t, "compose.yml").Services["topics"].Command, " ")
	made := regexp.MustCompile(`for topic in (.*); do`).FindStringSubmatch(command)
	var want []string
	for _, log := range strings.Split(logs[1], ", ") {
		want = append(want, strings.ToLower(strings.TrimSuffix(log, "::LOG")))
	}
	if got := strings.Fields(made[1]); !slices.Equal(got, want) || len(got) < 4 {
		t.Errorf("made are %v, Zeek sends %v", got, want)
	}
	if strings.Contains(command, "$$") {
		t.Errorf("a dollar too many: %s", command)
	}
}

// A build is sent what its Dockerfile's ignore file lets through: every package that is compiled must be among it.
func TestBuildContextsAreWhole(t *testing.T) {
	for dockerfile, pkg := range map[string]string{"brotally": "./cmd/brotally", "zeek": "./compose/traffic"} {
		allowed := []string{}
		ignore, err := os.Open(filepath.Join(dockerfile, "Dockerfile.dockerignore"))
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(ignore)
		for lines.Scan() {
			if path, ok := strings.CutPrefix(lines.Text(), "!"); ok {
				allowed = append(allowed, path)
			}
		}
		ignore.Close()
		list := exec.Command("go", "list", "-deps", "-f", `{{if and .Module (eq .Module.Path "github.com/brotally/brotally")}}{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{end}}`, pkg)
		list.Dir = ".."
		out, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		top, err := filepath.Abs("..")
		if err != nil {
			t.Fatal(err)
		}
		files := 0
		for file := range strings.FieldsSeq(string(out)) {
			path, err := filepath.Rel(top, file)
			if err != nil {
				t.Fatal(err)
			}
			files++
			if !slices.ContainsFunc(allowed, func(a string) bool { return path == a || strings.HasPrefix(path, a+"/") }) {
				t.Errorf("%s: %s is not sent", dockerfile, path)
			}
			if strings.Contains(path, "/testdata/") || strings.HasSuffix(path, "_test.go") {
				t.Errorf("%s: %s is left out again", dockerfile, path)
			}
		}
		if files < 5 {
			t.Errorf("%s: %d files only", dockerfile, files)
		}
		text, err := os.ReadFile(filepath.Join(dockerfile, "Dockerfile"))
		if err != nil {
			t.Fatal(err)
		}
		checkDockerfile(t, dockerfile, string(text))
	}
}

// checkDockerfile looks at what hadolint does not: that bases have versions, that Go is go.mod's, that it ends as nobody.
func checkDockerfile(t *testing.T, name, text string) {
	t.Helper()
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(string(mod))[1]
	if !strings.Contains(text, fmt.Sprintf("FROM golang:%s-", version)) {
		t.Errorf("%s: want Go %s, as go.mod has it", name, version)
	}
	bases := regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllStringSubmatch(text, -1)
	for _, b := range bases {
		if !strings.Contains(b[1], ":") || strings.HasSuffix(b[1], ":latest") {
			t.Errorf("%s: %s has no version", name, b[1])
		}
	}
	if last := bases[len(bases)-1][1]; !strings.HasSuffix(last, ":nonroot") && !regexp.MustCompile(`(?m)^USER [1-9]\d*$`).MatchString(text) {
		t.Errorf("%s runs as root", name)
	}
	if !strings.Contains(text, "\nHEALTHCHECK ") {
		t.Errorf("%s has no health check", name)
	}
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
