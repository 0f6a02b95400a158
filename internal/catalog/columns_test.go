package catalog

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

func TestDiscoveredColumnsKeepTheTypeThatTheTableWasMadeWith(t *testing.T) {
	compile := func(typ feeds.Kind) *tables.Table {
		dns, _ := feeds.Lookup("dns")
		extended := &feeds.Feed{Name: "dns", Columns: append(dns.Columns[:len(dns.Columns):len(dns.Columns)], feeds.Column{Name: "site", Type: feeds.T(typ)})}
		all, err := tables.CompileFile("t.sql", "CREATE TABLE t AS SELECT site, qtype_name, count(*) FROM dns GROUP BY 1, 2",
			func(string) (*feeds.Feed, bool) { return extended, true })
		if err != nil {
			t.Fatal(err)
		}
		return all[0]
	}
	made := compile(feeds.Bigint)
	columns, err := Discovered(&made.Definition)
	if err != nil {
		t.Fatal(err)
	}
	entry := kafka.Entry{Table: "t", Columns: columns}
	got, err := Columns(entry)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]feeds.Column{{Name: "site", Type: feeds.T(feeds.Bigint)}}, got); diff != "" {
		t.Errorf("only what is not built in is kept (-want +got):\n%s", diff)
	}
	// Compiled again they are what they were, whatever the built-in feed says.
	entry.SQL, entry.Feed, entry.Sources = made.SQL, "dns", map[string]kafka.Source{"a": {}, "b": {Mixed: true}}
	again, err := Compile(entry)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made.Inputs, again.Tables[0].Inputs); diff != "" {
		t.Errorf("what the catalog's table reads (-was +is):\n%s", diff)
	}
	if o := again.Tables[0].Options; !slices.Equal(o.FeedTopics, []string{"a", "b"}) || !slices.Equal(o.MixedTopics, []string{"b"}) {
		t.Errorf("its topics are %v, mixed %v", o.FeedTopics, o.MixedTopics)
	}
	entry.SQL = "CREATE TABLE t AS SELECT nonsense"
	if _, err := Compile(entry); err == nil || !strings.Contains(err.Error(), "t in the catalog") {
		t.Errorf("what does not compile: %v", err)
	}
}
