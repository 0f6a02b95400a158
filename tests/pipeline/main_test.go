package pipeline

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/brotally/brotally/internal/fault"
)

var (
	update   = flag.Bool("update", false, "rewrite what the scripts expect")
	crashing = flag.Bool("crashing", os.Getenv("BROKERS") != "", "play each script a second time with crashes; without it only those that are about crashes")
)

// atOnce is how many scripts run at a time: they mostly wait, for heartbeats and for each other's processes.
const atOnce = "6"

// binary is the program under test, built with the faults in it.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", atOnce); err != nil {
			panic(err) // there is no such flag any more
		}
	}
	dir, err := os.MkdirTemp("", "brotally-pipeline-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "brotally")
	out, err := exec.Command("go", "build", "-tags", "faults", "-o", binary, "../../cmd/brotally").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "build brotally: %v\n%s", err, out)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir) // a temporary folder
		os.Exit(code)
	}))
}

// files are all scripts.
func files(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.test")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	return files
}

func TestScripts(t *testing.T) {
	for _, file := range files(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".test"), func(t *testing.T) {
			t.Parallel()
			s, err := read(file)
			if err != nil {
				t.Fatal(err)
			}
			t.Run("plain", func(t *testing.T) {
				check(t, &world{script: s, binary: binary}, *update)
				if *update && !t.Failed() {
					if err := s.write(); err != nil {
						t.Fatal(err)
					}
				}
			})
			if *crashing || strings.HasPrefix(filepath.Base(file), "crash-") {
				t.Run("crashing", func(t *testing.T) { check(t, &world{script: s, binary: binary, crashing: true}, false) })
			}
		})
	}
}

// check plays a script and fails where it is told something else than it expects.
func check(t *testing.T, w *world, update bool) {
	t.Helper()
	wrong, err := w.play(update)
	for _, m := range wrong {
		t.Errorf("%s: %s (-want +got):\n%s", m.place, m.step, m.diff)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestScriptsNotice takes a protection away and wants the scripts that are named after it to fail: otherwise they would prove
// nothing.
func TestScriptsNotice(t *testing.T) {
	for name, protection := range map[string]string{
		"without-transactions": fault.Transactions, "without-flush-first": fault.FlushFirst, "stream-without-transactions": fault.Transactions,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := read(filepath.Join("testdata", name+".test"))
			if err != nil {
				t.Fatal(err)
			}
			w := &world{script: s, binary: binary, env: []string{"BROTALLY_UNPROTECTED=" + protection}}
			wrong, err := w.play(false)
			if len(wrong) == 0 && err == nil {
				t.Fatalf("%s is off, and everything is as the script says", protection)
			}
			t.Logf("noticed: %v %v", wrong, err)
		})
	}
}
