package web

import (
	"testing"

	"github.com/brotally/brotally/views/client"
)

func TestFilters(t *testing.T) {
	text := client.TableColumn{Name: "query", Type: "string"}
	address := client.TableColumn{Name: "id.orig_h", Type: "inet"}
	number := client.TableColumn{Name: "count", Type: "ubigint"}
	for _, tc := range []struct {
		column client.TableColumn
		text   string
		name   string
		value  any
	}{
		{number, ">= 10", "count.gte", "10"},
		{number, "<10", "count.lt", "10"},
		{number, "10", "count", "10"},
		{number, "!=10", "count.ne", "10"},
		{address, "10.0.0.0/8", "id.orig_h.subnet", "10.0.0.0/8"},
		{address, "10.0.0.1", "id.orig_h", "10.0.0.1"},
		{text, "a/b", "query", "a/b"},
		{text, `\N`, "query", nil},
		{text, `!=\N`, "query.ne", nil},
		{text, `\\N`, "query", `\N`},
		{text, "= a ", "query", " a "},
		{text, "==a", "query", "=a"},
		{text, "=>a", "query", ">a"},
	} {
		if name, value := condition(tc.column, tc.text); name != tc.name || value != tc.value {
			t.Errorf("%s %s: %s %v, want %s %v", tc.column.Name, tc.text, name, value, tc.name, tc.value)
		}
	}
	// What a click on a cell says finds that value and no other.
	for _, value := range []string{"a", " a", "a ", "\ta\t", ">a", "<script>", "=a", "!=", "!a", "", "10.0.0.0/8", "\u2028a"} {
		for _, c := range []client.TableColumn{text, address} {
			if name, got := condition(c, filterFor(c, value)); name != c.Name || got != value {
				t.Errorf("%s %q: %s %q", c.Name, value, name, got)
			}
		}
	}
	if name, got := condition(text, filterFor(text, `\N`)); name != "query" || got != nil {
		t.Errorf("NULL: %s %v", name, got)
	}
}
