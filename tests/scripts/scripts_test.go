// Package scripts specifies the command line: one script a subject in testdata, run against the real binary by testscript
// (pkg.go.dev/github.com/rogpeppe/go-internal/testscript). Beside its commands there are:
//
//	exits CODE PROGRAM ARG..            runs it and checks its exit code
//	broker [secure|NAME=VALUE]..        starts an embedded broker; sets $BROKER to its address, $BROKERPORT to its port
//	registry                            starts a schema registry; sets $REGISTRY to its URL
//	alter TOPIC NAME=VALUE..            changes settings of a topic of a broker that is not secure
//	delete TOPIC                        deletes a topic of such a broker
//	freeport NAME                       sets $NAME to a port of 127.0.0.1 that nobody listens on
//	large FILE SIZE..                   writes dns records whose query has so many bytes
//	until TEXT PROGRAM ARG..            runs it again and again until its standard output matches the regular expression
//
// -update rewrites the files that cmp compares with.
package scripts

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite what scripts expect")

// bin is the folder of the binary under test.
var bin string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(build(m))
}

func build(m *testing.M) int {
	var err error
	if bin, err = os.MkdirTemp("", "brotally-scripts-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(bin) //nolint:errcheck // a temporary folder
	cmd := exec.Command("go", "build", "-o", filepath.Join(bin, "brotally"), "github.com/brotally/brotally/cmd/brotally")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build brotally: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			return os.MkdirAll(env.Getenv("TMPDIR"), 0o755)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "broker": startBroker, "registry": startRegistry, "certificate": certificate, "freeport": freePort, "until": until, "large": large, "alter": alterTopic, "delete": deleteTopic,
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG..")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	var failed *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &failed):
		code = failed.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

func freePort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: freeport NAME")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	ts.Check(err)
	ts.Check(l.Close())
	ts.Setenv(args[0], port)
}

func large(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: large FILE SIZE..")
	}
	var b strings.Builder
	for _, arg := range args[1:] {
		size, err := strconv.Atoi(arg)
		ts.Check(err)
		fmt.Fprintf(&b, "{\"ts\":1.5,\"query\":%q}\n", strings.Repeat("x", size))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o600))
}

// until polls, because what it waits for is another process.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until TEXT PROGRAM ARG..")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	end := time.After(30 * time.Second)
	for tick := time.Tick(50 * time.Millisecond); ; {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && want.MatchString(ts.ReadFile("stdout")) {
			return
		}
		select {
		case <-end:
			ts.Fatalf("no output that matches %s; the last error is %v", args[0], err)
		case <-tick:
		}
	}
}
