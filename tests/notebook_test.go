package tests

import (
	"bufio"
	"encoding/json"
	"flag"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

var updateNotebook = flag.Bool("update-notebook", false, "write what the notebook shows into it")

const notebook = "../examples/notebooks/bro_to_kafka_to_brotally.ipynb"

// execute runs a notebook and writes it with what it showed.
const execute = `
import sys, nbformat, nbclient
nb = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(nb, timeout=120, kernel_name="python3", record_timing=False).execute()
nbformat.write(nb, sys.argv[2])
`

// TestPythonNotebook runs the notebook beside the demo, with the Python that PYTHON names: one that has nbclient, ipykernel, pandas, matplotlib and
// confluent-kafka.
func TestPythonNotebook(t *testing.T) {
	python := os.Getenv("PYTHON")
	if python == "" {
		t.Skip("no Python: set PYTHON, see `make test-clients`")
	}
	brokers := startDemo(t)
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	in, err := filepath.Abs(notebook)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out.ipynb")
	cmd := exec.Command(python, "-c", execute, in, out)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(path)+string(os.PathListSeparator)+os.Getenv("PATH"),
		"BROTALLY_BROKERS="+brokers, "BROTALLY_LISTEN="+freeAddress(t), "IPYTHONDIR="+t.TempDir())
	run(t, cmd)

	shown, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var nb struct {
		Cells []struct {
			Source  string `json:"source"`
			Outputs []struct {
				Text string            `json:"text"`
				Data map[string]string `json:"data"`
			} `json:"outputs"`
		} `json:"cells"`
	}
	// nbformat writes texts as lists of lines; as one text they are easier to look through.
	if err := json.Unmarshal(joinLines(t, shown), &nb); err != nil {
		t.Fatal(err)
	}
	var tables []string
	groups, pictures := []int{}, 0
	for _, cell := range nb.Cells {
		for _, o := range cell.Outputs {
			if m := regexp.MustCompile(`DNS Query Counts = (\d+)`).FindStringSubmatch(o.Text); m != nil {
				n, _ := strconv.Atoi(m[1])
				groups = append(groups, n)
			}
			switch {
			case o.Data["image/png"] != "":
				pictures++
			case o.Data["text/plain"] != "":
				tables = append(tables, o.Data["text/plain"])
			}
		}
		if strings.Contains(cell.Source, `subscribe(["notebook_dns_counts"])`) {
			lines := strings.Split(strings.TrimSpace(cell.Outputs[0].Text), "\n")
			if len(lines) != 5 {
				t.Errorf("%d records of the result topic, want 5: %q", len(lines), lines)
			}
			for _, line := range lines {
				var row struct {
					Host  string `json:"id.orig_h"`
					Count int64  `json:"count"`
				}
				if err := json.Unmarshal([]byte(line), &row); err != nil || row.Host == "" || row.Count < 1 {
					t.Errorf("a record of the result topic is %s: %v", line, err)
				}
			}
		}
	}
	if len(tables) != 2 || len(groups) != 2 || pictures != 1 {
		t.Fatalf("%d tables, %d numbers of rows, %d pictures; want 2, 2, 1", len(tables), len(groups), pictures)
	}
	var most [2]int
	for i, table := range tables {
		rows := strings.Split(table, "\n")[1:]
		if len(rows) != 10 || groups[i] < 10 {
			t.Errorf("%d rows of %d:\n%s", len(rows), groups[i], table)
		}
		last := 1 << 62
		for j, row := range rows {
			fields := strings.Fields(row)
			n, err := strconv.Atoi(fields[len(fields)-1])
			if err != nil || n > last || n < 1 {
				t.Errorf("rows are not sorted by count:\n%s", table)
			}
			if last = n; j == 0 {
				most[i] = n
			}
		}
	}
	if most[1] <= most[0] || groups[1] < groups[0] {
		t.Errorf("the second look has no more than the first:\n%s\n%s", tables[0], tables[1])
	}
	if *updateNotebook && !t.Failed() {
		if err := os.WriteFile(notebook, shown, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// startDemo starts the demo and returns its broker.
func startDemo(t *testing.T) (brokers string) {
	t.Helper()
	cmd := brotally(t, "demo") // on other ports than its own if those are taken
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = cmd.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make(chan string)
	go func() { // ends with the process
		defer close(said)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			said <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		for range said {
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("demo: %v", err)
		}
	})
	late := time.After(time.Minute)
	var all []string
	for {
		select {
		case line, ok := <-said:
			if !ok {
				t.Fatalf("the demo ended: %s", strings.Join(all, "\n"))
			}
			all = append(all, line)
			if m := regexp.MustCompile(`^  Kafka +(\S+)`).FindStringSubmatch(line); m != nil {
				brokers = m[1]
			}
			if strings.HasPrefix(line, "first counts") && brokers != "" {
				go func() { // ends with the process
					for range said {
					}
				}()
				return brokers
			}
		case <-late:
			t.Fatalf("the demo has no counts after a minute: %s", strings.Join(all, "\n"))
		}
	}
}

// freeAddress returns an address of this machine on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// joinLines makes one text of each list of texts.
func joinLines(t *testing.T, notebook []byte) []byte {
	t.Helper()
	var tree any
	if err := json.Unmarshal(notebook, &tree); err != nil {
		t.Fatal(err)
	}
	var join func(any) any
	join = func(x any) any {
		switch x := x.(type) {
		case map[string]any:
			for name, v := range x {
				x[name] = join(v)
			}
		case []any:
			var b strings.Builder
			for i, v := range x {
				s, ok := v.(string)
				if !ok {
					x[i] = join(v)
				}
				b.WriteString(s)
			}
			if len(x) > 0 && b.Len() > 0 {
				return b.String()
			}
		}
		return x
	}
	b, err := json.Marshal(join(tree))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
