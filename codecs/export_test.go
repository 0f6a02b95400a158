package codecs

import (
	"testing"

	"github.com/brotally/brotally/feeds"
)

// AvroSchemaText returns the schema that we give columns.
func AvroSchemaText(t testing.TB, name string, columns []feeds.Column) string {
	t.Helper()
	s, err := newAvroSchema("test", name, columns)
	if err != nil {
		t.Fatal(err)
	}
	return s.text
}
