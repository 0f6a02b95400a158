package replay_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/replay"
)

// registered is a schema registry that takes everything.
type registered struct {
	subjects []string
	schemas  []string
	err      error
}

func (r *registered) Register(_ context.Context, subject, schema string) (int, error) {
	r.subjects, r.schemas = append(r.subjects, subject), append(r.schemas, schema)
	return len(r.schemas), r.err
}

func (r *registered) Schema(id int) ([]string, error) { return r.schemas[id-1 : id], nil }

func TestAvro(t *testing.T) {
	c := newCluster(t)
	dns := write(t, "dns.ndjson", `{"ts":1.5,"id.orig_h":"10.0.0.1"}
{"ts":2.5,"id.orig_h":"10.0.0.2","site":"here"}
{"ts":3.5,"id.orig_h":"nowhere","site":"there"}
`)
	conn := write(t, "conn.log", "#separator \\x09\n#path\tconn\n#fields\tts\tid.orig_h\torig_bytes\n#types\ttime\taddr\tcount\n4.5\t10.0.0.1\t7\n")
	sr := &registered{}
	sum, err := replay.Run(t.Context(), replay.Config{Kafka: c.cfg, Files: []string{dns, conn}, Topics: map[string]string{"dns": "dns"}, Topic: "zeek", CreateTopics: 1, Avro: sr})
	if err != nil || sum.Records != 4 || sum.Misfits != 1 {
		t.Errorf("%v: %d records, %d misfits", err, sum.Records, sum.Misfits)
	}
	if diff := cmp.Diff([]string{"dns-value", "dns-value", "zeek-zeek.conn"}, sr.subjects); diff != "" {
		t.Errorf("subjects (-want +got):\n%s", diff)
	}
	got := map[string][]string{}
	for topic, columns := range map[string][]feeds.Column{
		"dns":  {{Name: "id.orig_h", Type: feeds.T(feeds.Inet)}, {Name: "site", Type: feeds.T(feeds.String)}},
		"zeek": {{Name: "ts", Type: feeds.T(feeds.Timestamp)}, {Name: "orig_bytes", Type: feeds.T(feeds.Ubigint)}},
	} {
		d := codecs.NewAvro(&feeds.Layout{Columns: columns}, sr)
		for _, msg := range c.messages(topic) {
			var rec feeds.Record
			if err := d.Decode([]byte(msg), &rec); err != nil {
				t.Fatal(err)
			}
			got[topic] = append(got[topic], rec.Values[0].String()+" "+rec.Values[1].String())
		}
		slices.Sort(got[topic])
	}
	if diff := cmp.Diff(map[string][]string{"dns": {"10.0.0.1 NULL", "10.0.0.2 here", "NULL there"}, "zeek": {"1970-01-01T00:00:04.500000Z 7"}}, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}

	sr = &registered{err: errors.New("not that one")}
	if _, err := replay.Run(t.Context(), replay.Config{Kafka: c.cfg, Files: []string{dns}, Avro: sr}); !errors.Is(err, sr.err) {
		t.Errorf("a schema that is refused: %v", err)
	}
}
