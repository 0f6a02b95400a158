package sql

import "testing"

// TestIdentifier has a name mean itself wherever it stands: words of the language, capitals, dots, quotes.
func TestIdentifier(t *testing.T) {
	for name, want := range map[string]string{
		"count": "count", "id.orig_h": "id.orig_h", "from": `"from"`, "to": "to", "order": `"order"`, "AA": `"AA"`, "odd values": `"odd values"`,
		`a"b`: `"a""b"`, "": `""`, "1st": `"1st"`, "a.": `"a."`, "büro": "büro",
	} {
		got := Identifier(name)
		if got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
		if name == "" {
			continue // no column is called so
		}
		stmt, err := ParseStatement("", "SELECT "+got+" FROM t")
		if err != nil {
			t.Errorf("%q: %v", name, err)
		} else if again := Format(stmt); again != "SELECT "+want+"\nFROM t" {
			t.Errorf("%q: %s", name, again)
		}
	}
}
