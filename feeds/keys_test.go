package feeds

import (
	"testing"
)

// keySetOf returns the feed that the names tell; a name that ends in {} has an object.
func keySetOf(names ...string) string {
	var k KeySet
	k.Reset()
	for _, name := range names {
		isObject := len(name) > 2 && name[len(name)-2:] == "{}"
		if isObject {
			name = name[:len(name)-2]
		}
		k.Add([]byte(name), isObject)
	}
	return k.Feed()
}

func TestKeySets(t *testing.T) {
	connection := []string{"ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p"}
	with := func(names ...string) []string { return append(connection[:len(connection):len(connection)], names...) }
	for _, tt := range []struct {
		name  string
		names []string
		want  string
	}{
		{"dns", with("proto", "trans_id", "query", "qtype_name", "rejected"), "dns"},
		{"dns without an answer", with("query"), "dns"},
		{"conn", with("proto", "conn_state", "missed_bytes", "history"), "conn"},
		{"an older version's name", with("version", "issuer_subject"), "ssl"},
		{"objects for dots", []string{"ts", "uid", "id{}", "query"}, "dns"},
		{"underscores for dots", []string{"ts", "uid", "id_orig_h", "query"}, "dns"},
		{"objects for other dots", []string{"ts", "host", "name", "version{}", "software_type"}, "software"},
		{"id that is a file's", []string{"ts", "id", "certificate.version", "certificate.serial"}, "x509"},
		{"a notice, not its copy", with("note", "msg", "actions", "suppress_for"), "notice"},
		{"a site's own fields", with("query", "qtype_name", "sensor"), "dns"},
		{"log extensions", with("query", "_system_name", "_write_ts", "_node"), "dns"},

		{"nothing", nil, ""},
		{"what all logs have", connection, ""},
		{"what two logs have", with("mime_type"), ""},
		{"what no log has", []string{"door", "badge"}, ""},
		{"more strange names than known ones", []string{"ts", "query", "door", "badge"}, ""},
		{"as many strange names as known ones", []string{"ts", "query", "door"}, ""},
		{"columns of different logs", with("query", "conn_state"), ""},
		{"a scalar where only objects are", []string{"ts", "id", "query"}, ""},

		{"all columns of a small log", []string{"ts", "host"}, "known_hosts"},
		{"all columns of a smaller one", []string{"name"}, "loaded_scripts"},
		{"all columns and a strange one", []string{"ts", "host", "door"}, ""},
		{"a larger log's columns", []string{"ts", "host", "port_num", "port_proto", "service"}, "known_services"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := keySetOf(tt.names...); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// TestEveryFeedIsToldByItsColumns: a record with all of a feed's columns is that feed's, whatever order they come in.
func TestEveryFeedIsToldByItsColumns(t *testing.T) {
	for _, f := range All() {
		var names []string
		for _, c := range f.Columns {
			names = append([]string{c.Name}, names...)
		}
		want := f.Name
		if of := repeats[f.Name]; of != "" {
			want = of
		}
		if got := keySetOf(names...); got != want {
			t.Errorf("the columns of %s tell %q", f.Name, got)
		}
	}
}
