package views

import (
	"errors"
	"strings"
	"testing"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// TestStreamsAreNoTables: they are not listed, and who asks for one is told where its records are.
func TestStreamsAreNoTables(t *testing.T) {
	defs, err := tables.CompileDefinitions("test.sql", dnsTotal+`; CREATE STREAM Failed WITH (topic = 'dns-failed') AS SELECT uid FROM dns`, feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	v, err := New(Config{Kafka: kafka.Config{Brokers: []string{"127.0.0.1:1"}}, Tables: defs.Tables, Streams: defs.Streams})
	if err != nil {
		t.Fatal(err)
	}
	if all := v.All(); len(all) != 1 || all[0].Table().Name != "dns_total" {
		t.Errorf("%d views, want that of the table alone", len(all))
	}
	_, err = v.Compile("SELECT * FROM failed")
	var unknown *UnknownTable
	if !errors.As(err, &unknown) || unknown.Hint != "Failed is a stream: its records are on topic dns-failed" || !strings.Contains(err.Error(), unknown.Hint) {
		t.Errorf("a look-up in a stream: %v", err)
	}
}
