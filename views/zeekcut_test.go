package views

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestZeekCutReadsRows pipes rows through zeek-cut, or bro-cut as it was called, the one that ZEEK_CUT names.
func TestZeekCutReadsRows(t *testing.T) {
	cut := os.Getenv("ZEEK_CUT")
	if cut == "" {
		t.Skip("no zeek-cut: set ZEEK_CUT")
	}
	f := newFixture(t, Limits{}, dnsCounts, dnsTotal, queries)
	f.add(office()...)
	url := f.server(ServerConfig{}).URL + "/api/v1/tables/"
	for _, c := range []struct {
		rows string
		args []string
		want string
	}{
		{"dns_counts/rows?order=-count", []string{"count", "id.orig_h", "qtype_name"}, "5\t10.0.0.1\tA\n4\t2001:db8::7\tPTR\n3\t10.0.0.2\tA\n2\t10.0.0.1\tAAAA\n1\t10.0.0.2\t-\n"},
		{"dns_counts/rows?qtype_name=A&order=count", []string{"-n", "count"}, "10.0.0.2\tA\n10.0.0.1\tA\n"},
		{"dns_counts/rows?count.gt=100", []string{"count"}, ""},
		{"dns_total/rows", []string{"-u", "newest", "n"}, "2023-11-14T22:13:20+0000\t15\n"},
		{"queries/rows?order=query", []string{"query"}, "(empty)\n\\x1b[31mred\na,\"b\"\\x0ac\nexample.com\n"},
	} {
		r := get(t, url+c.rows, "Accept", "text/x-zeek-log")
		cmd := exec.CommandContext(t.Context(), cut, c.args...)
		cmd.Env = append(os.Environ(), "TZ=UTC")
		cmd.Stdin = strings.NewReader(r.body)
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != c.want {
			t.Errorf("%s %q: %v\n%s, want\n%sof\n%s", c.rows, c.args, err, out, c.want, r.body)
		}
	}
}
