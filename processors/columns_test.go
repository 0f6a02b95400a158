package processors

import (
	"errors"
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
	columns, err := discovered(&made.Definition)
	if err != nil {
		t.Fatal(err)
	}
	entry := kafka.Entry{Table: "t", Columns: columns}
	got, err := ColumnsOf(entry)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]feeds.Column{{Name: "site", Type: feeds.T(feeds.Bigint)}}, got); diff != "" {
		t.Errorf("only what is not built in is kept (-want +got):\n%s", diff)
	}
	if err := retyped(entry, &made.Definition); err != nil {
		t.Errorf("the same types: %v", err)
	}
	var refused *Refusal
	if err := retyped(entry, &compile(feeds.String).Definition); !errors.As(err, &refused) {
		t.Errorf("site turned from bigint into string: %v, want a refusal", err)
	}
}
