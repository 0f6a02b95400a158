package pgwire

import (
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/views"
)

var update = flag.Bool("update", false, "write what psql shows, and what clients are answered, into testdata")

// psqlCommands are typed into psql one by one.
var psqlCommands = []string{
	`select * from dns_counts order by count desc limit 10`,
	`\d`, `\dt`, `\d dns_counts`, `\d+ dns_counts`, `\dn`, `\l`, `\du`, `\dt+`, `\di`, `\dv`, `\df`, `\dT`, `\dx`, `\dp`, `\dt dns*`, `\d nothing`, `\dS pg_class`,
	`\conninfo`, `\encoding`, `\x \\ select * from dns_total`, `select version()`, `show brotally.as_of`,
	`select nix from dns_counts`, `begin; select 1 as one; commit`,
	`insert into dns_counts values (1)`, `\set FETCH_COUNT 2 \\ select count from dns_counts order by 1`, `\set FETCH_COUNT 4 \\ select nix from dns_counts; select * from dns_counts order by 1, 2`, `\sf nothing`, `explain select * from dns_counts`,
}

// TestPsqlShows runs psql, the one that PSQL names, and compares what it shows with testdata/psql-VERSION.txt: versions ask
// and show differently. Of a version without such a file all commands have to be answered without a fault of ours.
func TestPsqlShows(t *testing.T) {
	psql := os.Getenv("PSQL")
	if psql == "" {
		t.Skip("no psql: set PSQL")
	}
	version, err := exec.CommandContext(t.Context(), psql, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	major, _, _ := strings.Cut(strings.Fields(string(version))[2], ".")
	f := newFixture(t, Config{Version: "test"}, views.Limits{}, office(), dnsCounts, total)
	host, port, _ := strings.Cut(f.addr, ":")
	var shown strings.Builder
	for _, command := range psqlCommands {
		cmd := exec.CommandContext(t.Context(), psql, "-X", "-h", host, "-p", port, "-U", "analyst", "-d", "brotally", "-v", "VERBOSITY=verbose", "-P", "pager=off")
		cmd.Env = append(os.Environ(), "PGSSLMODE=disable", "LC_ALL=C.UTF-8", "PGCLIENTENCODING=UTF8")
		cmd.Stdin = strings.NewReader(command + "\n")
		if !strings.Contains(command, `\`) {
			cmd.Stdin = strings.NewReader(command + ";\n")
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v", command, err)
		}
		shown.WriteString("> " + command + "\n" + strings.ReplaceAll(string(out), port, "PORT") + "\n")
	}
	got := shown.String()
	if strings.Contains(got, "XX000") || strings.Contains(got, "is not answered here") {
		t.Errorf("%s", got)
	}
	file := "testdata/psql-" + major + ".txt"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		t.Logf("no %s to compare with: -update writes it", file)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
