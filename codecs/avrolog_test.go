package codecs

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/feeds"
)

// No two columns of a feed are one in Avro.
func TestFeedsHaveAvroNames(t *testing.T) {
	for _, f := range feeds.All() {
		names := map[string]string{}
		for _, c := range f.Columns {
			name := feeds.AvroName(c.Name)
			if other, taken := names[name]; taken {
				t.Errorf("%s: %s and %s are both %s", f.Name, other, c.Name, name)
			}
			names[name] = c.Name
		}
	}
}

func TestAvroLog(t *testing.T) {
	l, err := NewAvroLog("dns")
	if err != nil {
		t.Fatal(err)
	}
	var registered []string
	register := func(schema string) (int, error) {
		registered = append(registered, schema)
		return len(registered), nil
	}
	layout := feedLayout(t, "dns", "ts", "id.orig_h", "TTLs")
	layout.Slot(feeds.Column{Name: "site.name", Type: feeds.T(feeds.String)})
	layout.Slot(feeds.Column{Name: "site_load", Type: feeds.T(feeds.Bigint)})
	for _, c := range []struct {
		record, want string
		schemas, bad int // how many there are then
	}{
		{`{"ts":1.5,"id.orig_h":"10.0.0.1","TTLs":[36.0]}`, `"1970-01-01T00:00:01.500000Z" "10.0.0.1" [36] null null`, 1, 0},
		{`{"dns":{"ts":1.5,"id":{"orig_h":"10.0.0.1"}}}`, `"1970-01-01T00:00:01.500000Z" "10.0.0.1" null null null`, 1, 0},
		{`{"ts":2.5,"site.name":"here","site_load":3}`, `"1970-01-01T00:00:02.500000Z" null null "here" 3`, 2, 0},
		{`{"ts":2.5,"site_load":4,"id_orig_h":"10.0.0.2"}`, `"1970-01-01T00:00:02.500000Z" "10.0.0.2" null null 4`, 2, 0},
		{`{"ts":"never","site_load":"much"}`, `null null null null null`, 2, 2},
	} {
		msg, bad, err := l.Append(nil, []byte(c.record), register)
		if err != nil || bad != c.bad || len(registered) != c.schemas {
			t.Fatalf("%s: %v, %d bad fields, %d schemas", c.record, err, bad, len(registered))
		}
		var rec feeds.Record
		if err := NewAvro(layout, registeredSchemas(registered)).Decode(msg, &rec); err != nil {
			t.Fatalf("%s: %v", c.record, err)
		}
		if diff := cmp.Diff(c.want, valuesText(&rec)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.record, diff)
		}
	}
	if _, _, err := l.Append(nil, []byte("no record"), register); err == nil {
		t.Error("what is no record is taken")
	}
}

// registeredSchemas are schemas by id, from 1.
type registeredSchemas []string

func (s registeredSchemas) Schema(id int) ([]string, error) { return s[id-1 : id], nil }
