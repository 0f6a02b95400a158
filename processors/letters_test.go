package processors_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/brotally/brotally/processors"
)

// TestDeadLetters: what is no record lies in the dead-letter topic once, under its place, with the reason; its first 64 KiB.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 2)
	long := strings.Repeat("x", 100_000)
	p.produce("dns", 1, dns("10.0.0.1", "A"), "no record", `[{"ts": 1.0}]`, long, "", `{"ts": 1.0`)
	// The first commit fails: the letters are written again, under the same keys, and the first ones are void.
	fault := p.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TxnID: combineID, Err: kerr.InvalidProducerEpoch})
	r := p.run(notebook, func(c *processors.Config) { c.CommitRecords = 2 })
	p.exact(notebook, nil)
	if fault.Hits() != 1 {
		t.Errorf("the commit failed %d times", fault.Hits())
	}
	letters := p.letters("dns")
	for key, want := range map[string]struct {
		value  string
		reason string
	}{
		"dns/0/1": {"no record", "not a JSON object"},
		"dns/0/2": {`[{"ts": 1.0}]`, "not a JSON object"},
		"dns/0/3": {long[:65536], "not a JSON object"},
		"dns/0/4": {"", "not a JSON object"},
		"dns/0/5": {`{"ts": 1.0`, "not a JSON object"},
	} {
		l := letters[key]
		if diff := cmp.Diff(want.value, string(l.value)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
		h := p.headers(l)
		number := key[strings.LastIndexByte(key, '/')+1:]
		if h["__streams.errors.topic"] != "dns" || h["__streams.errors.partition"] != "0" || h["__streams.errors.offset"] != number ||
			!strings.HasPrefix(h["__streams.errors.message"], want.reason) || !strings.HasSuffix(h["__streams.errors.exception"], "codecs.DecodeError") {
			t.Errorf("%s has headers %v", key, h)
		}
		if cut := h["__streams.errors.truncated"]; (cut == "100000") != (number == "3") || cut != "" && number != "3" {
			t.Errorf("%s has %q as truncated", key, cut)
		}
	}
	r.stop()

	p.produce("dns", 1, "once more")
	r = p.run(notebook, nil)
	p.exact(notebook, nil)
	p.letters("dns")
	r.stop()
}

// TestAFloodOfBadRecords is bounded like everything else: the interval ends when the letters fill the memory they may have.
func TestAFloodOfBadRecords(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 1)
	flood := make([]string, 20_000)
	for i := range flood {
		flood[i] = "!"
	}
	p.produce("dns", 1, flood...)
	commits := p.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TxnID: combineID, Observe: true, Count: -1})
	r := p.run(notebook, func(c *processors.Config) { c.CombineBytes = 1 << 20 })
	p.exact(notebook, nil)
	p.letters("dns")
	if commits.Hits() < 8 {
		t.Errorf("20,000 letters of a kilobyte each were committed in %d intervals of a megabyte", commits.Hits())
	}
	r.stop()
}

// TestLargeRecords: nothing that a record holds stops anything, and no record of ours gets over 512 KiB.
func TestLargeRecords(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.must(p.broker.Cluster().CreateTopic("dns", 2, map[string]string{"max.message.bytes": "20971520"}))
	p.refresh("dns")
	// Every text at its limit, of characters that JSON writes with six.
	var wide strings.Builder
	wide.WriteString("CREATE TABLE wide AS SELECT query")
	for i := range 60 {
		fmt.Fprintf(&wide, ", max(query || '%d') || min(query || '%d') AS m%d", i, i, i)
	}
	wide.WriteString(" FROM dns GROUP BY query;")
	const keys = `CREATE TABLE keys AS SELECT query, answers, count(*) AS n, min(query) AS first FROM dns GROUP BY query, answers;`
	megabyte := strings.Repeat("a", 1<<20)
	control := strings.Repeat(`\u0001`, 5000)
	p.produce("dns", 2,
		`{"ts": 1.0, "query": "`+megabyte+`"}`,
		`{"ts": 1.0, "query": "`+megabyte+`"}`,
		`{"ts": 1.0, "query": "`+megabyte+`b"}`,
		`{"ts": 1.0, "query": "`+control+`", "answers": ["`+megabyte+`", "x"]}`,
		`{"ts": 1.0, "query": "x", "uid": "`+strings.Repeat("u", 10<<20)+`"}`,
		`{"ts": 1.0, "query": "x", "uid": "`+strings.Repeat("u", 10<<20), // cut off
		dns("10.0.0.1", "A"))
	r := p.run(keys+wide.String(), nil)
	p.exact(keys+wide.String(), nil)
	if have := p.progress(keys, "dns", 0); have.Counts.CutKeys < 2 {
		t.Errorf("progress %+v: no key was cut", have)
	}
	r.says("WARN", "too large for one record")
	for _, l := range p.letters("dns") {
		if h := p.headers(l); !bytes.HasPrefix(l.value, []byte(`{"ts": 1.0, "query": "x", "uid": "uuu`)) || len(l.value) != 64<<10 || h["__streams.errors.truncated"] == "" {
			t.Errorf("dead letter %s of %d bytes, headers %v", l.key, len(l.value), h)
		}
	}
	if len(p.latest("keys")) != 5 {
		t.Errorf("%d keys, want two of a megabyte that differ in their last byte, and three more", len(p.latest("keys")))
	}
	r.stop()
}
