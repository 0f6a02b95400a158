package broker

import (
	"bytes"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/brotally/brotally/internal/kafka"
)

// A demo runs for hours: what is written over and over, and what is purged, must not pile up.
func TestLogsDoNotPileUp(t *testing.T) {
	const segment = 1 << 20
	b := StartTest(t, Config{Temporary: true, SegmentBytes: segment, CompactEvery: 100 * time.Millisecond})
	size := func() (n int64) {
		err := filepath.WalkDir(b.remove, func(_ string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil // a file may go while we look
			}
			if i, err := d.Info(); err == nil {
				n += i.Size()
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	cfg := kafka.Config{Brokers: b.Addrs(), Properties: map[string]string{"compression.type": "none"}}
	a, err := kafka.NewAdmin(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for _, topic := range []kafka.Topic{
		{Name: "changelog", Partitions: 1, Config: map[string]string{"cleanup.policy": "compact"}},
		{Name: "partials", Partitions: 1, Config: map[string]string{"cleanup.policy": "delete", "retention.ms": "-1"}},
	} {
		if err := a.Ensure(topic); err != nil {
			t.Fatal(err)
		}
	}
	tx, err := kafka.NewTx(t.Context(), cfg, "writer")
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()

	const rounds, keys = 200, 50
	value := bytes.Repeat([]byte("v"), 1000)
	for round := range rounds { // 10 MB into each topic
		for k := range keys {
			tx.Send("changelog", 0, fmt.Append(nil, k), value)
			tx.Send("partials", 0, nil, value)
		}
		if err := tx.Commit(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}
		if round%20 == 0 {
			if err := a.DeleteRecords("partials", map[int32]int64{0: -1}); err != nil {
				t.Fatal(err)
			}
		}
	}
	// What came since the last compaction may still be there.
	const want = 8 * segment
	if n := size(); n > want {
		t.Errorf("%d MB are left of 20, want at most %d", n>>20, want>>20)
	} else {
		t.Logf("%d kB are left of 20 MB", n>>10)
	}
}

// A key's committed value outlives the aborted one that was going to replace it.
func TestCompactionLeavesOpenTransactionsAlone(t *testing.T) {
	b := StartTest(t, Config{CompactEvery: time.Nanosecond}) // at every request, if it may
	cfg := kafka.Config{Brokers: b.Addrs()}
	a, err := kafka.NewAdmin(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Ensure(kafka.Topic{Name: "c", Partitions: 1, Config: map[string]string{"cleanup.policy": "compact"}}); err != nil {
		t.Fatal(err)
	}
	var txs [2]kafka.Tx
	for i := range txs {
		if txs[i], err = kafka.NewTx(t.Context(), cfg, fmt.Sprint("tx-", i)); err != nil {
			t.Fatal(err)
		}
		defer txs[i].Close()
	}
	put := func(tx kafka.Tx, key, value string) {
		t.Helper()
		tx.Send("c", 0, []byte(key), []byte(value))
		if err := tx.Commit(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	records := func() (n int64, table map[string]string) {
		t.Helper()
		table = map[string]string{}
		r, err := kafka.NewReader(t.Context(), kafka.ReaderConfig{Client: a.Client(), Topic: "c", From: 0})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		done, err := r.Recover(t.Context(), func(_ int64, key, value []byte, _ int64) error {
			table[string(key)] = string(value)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return done.Records, table
	}

	put(txs[0], "key", "committed")
	txs[0].Send("c", 0, []byte("key"), []byte("rolled back"))
	for { // until that has arrived
		offs, err := a.Offsets("c")
		if err != nil {
			t.Fatal(err)
		}
		if offs["c"][0].Newest == 3 {
			break
		}
	}
	for i := range 20 {
		put(txs[1], "other", fmt.Sprint(i))
	}
	if err := txs[0].Abort(); err != nil {
		t.Fatal(err)
	}
	if n, table := records(); n < 21 || table["key"] != "committed" {
		t.Fatalf("%d records after the abort, key is %q", n, table["key"])
	}
	// With nothing open it does compact, at one of the next requests.
	end := time.Now().Add(20 * time.Second)
	for i := 0; ; i++ {
		put(txs[1], "other", fmt.Sprint(i))
		n, table := records()
		if table["key"] != "committed" || table["other"] != fmt.Sprint(i) {
			t.Fatalf("%d records: %v", n, table)
		}
		if n <= 5 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d records after 20 s", n)
		}
	}
}
