package faults

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
)

// defined writes a file with the world's table and another one of the same feed, called seen.
func (w *world) defined(file, query string) string {
	w.t.Helper()
	text, err := os.ReadFile(w.sql)
	if err != nil {
		w.t.Fatal(err)
	}
	path := filepath.Join(w.t.TempDir(), file)
	seen := fmt.Sprintf("CREATE TABLE seen WITH (topic = '%s-seen', feed_topic = '%s') AS\n%s;\n", w.app, w.topic, query)
	if err := os.WriteFile(path, append(text, seen...), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// seen is what an instance answers about the table of that name: its columns, and the sum of all its counts.
type seen struct {
	columns string
	total   int64
}

func (i *instance) seen() (s seen, err error) {
	res, err := http.Get(i.address() + "/api/v1/tables/seen/rows?limit=100000&format=json")
	if err != nil {
		return s, err
	}
	defer res.Body.Close()
	var answer struct {
		Columns []struct{ Name string }
		Rows    [][]any
		Error   json.RawMessage
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return s, err
	}
	if res.StatusCode != http.StatusOK {
		return s, fmt.Errorf("%s: %s", res.Status, answer.Error)
	}
	for _, c := range answer.Columns {
		s.columns += c.Name + " "
	}
	for _, row := range answer.Rows {
		s.total += int64(row[len(row)-1].(float64))
	}
	return s, nil
}

// TestATableChangesUnderLoadWhileItsProcessesAreKilled: the old definition answers, never going back, until the new one does; its
// results are exact then, the other table's all the time, and nothing of the old one is left.
func TestATableChangesUnderLoadWhileItsProcessesAreKilled(t *testing.T) {
	w := newWorld(t)
	first := w.defined("first.sql", "SELECT qtype_name, count(*) AS n FROM dns GROUP BY qtype_name")
	second := w.defined("second.sql", "SELECT id.orig_h, count(*) AS n FROM dns WHERE trans_id >= 0 GROUP BY id.orig_h")
	const backlog, records, rate = 250_000, 60_000, 3_000
	if err := w.send(t.Context(), backlog, 100_000); err != nil {
		t.Fatal(err)
	}
	process := []string{"--only=process"}
	a := w.launch("a", first, process)
	c := w.launch("c", first, []string{"--only=serve"})
	w.eventually("the first definition answers for all there is", 40*time.Second, func() bool {
		s, err := c.seen()
		return err == nil && s.total == backlog
	})
	wait := w.flow(records, rate)

	// Somebody asks all the time.
	stop, asked := make(chan struct{}), 0
	var asking sync.WaitGroup
	asking.Go(func() {
		last := seen{}
		for {
			s, err := c.seen()
			switch asked++; {
			case err != nil:
				t.Errorf("no answer: %v", err)
				return
			case s.total < last.total:
				t.Errorf("it answers for %d records, and did for %d", s.total, last.total)
				return
			case s.columns != last.columns && asked > 1 && !strings.HasPrefix(s.columns, "id.orig_h"):
				t.Errorf("it went from %s to %s", last.columns, s.columns)
				return
			}
			last = s
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})

	a.kill()
	random := rand.New(rand.NewPCG(2, uint64(time.Now().UnixNano())))
	kills := 0
	for ; ; kills++ {
		a, b := w.launch("a", second, process), w.launch("b", second, process)
		time.Sleep(250*time.Millisecond + time.Duration(random.Int64N(int64(500*time.Millisecond)))) // the moment is the test
		a.kill()
		b.kill()
		if s, err := c.seen(); err == nil && strings.HasPrefix(s.columns, "id.orig_h") || kills == 12 {
			break
		}
	}
	a = w.launch("a", second, process)
	w.eventually("the second definition answers", 40*time.Second, func() bool {
		s, err := c.seen()
		return err == nil && strings.HasPrefix(s.columns, "id.orig_h")
	})
	wait()
	w.exact(c)
	want := map[string]int64{}
	for key, n := range w.truthNow() {
		var of struct {
			Host string `json:"id.orig_h"`
		}
		if name, ok := strings.CutSuffix(key, " count"); ok {
			if err := json.Unmarshal([]byte(name), &of); err != nil {
				t.Fatal(err)
			}
			want[of.Host] += n
		}
	}
	result := func() map[string]int64 {
		got := map[string]int64{}
		w.read(w.app+"-seen", kgo.ReadCommitted(), func(r *kgo.Record) {
			var row struct{ N int64 }
			if r.Value == nil {
				delete(got, string(r.Key))
			} else if err := json.Unmarshal(r.Value, &row); err != nil {
				t.Fatal(err)
			} else {
				got[string(r.Key)] = row.N
			}
		})
		return got
	}
	w.eventually("the result topic has the second definition's rows", 40*time.Second, func() bool { return cmp.Equal(want, result()) })
	w.eventually("nothing of the first one is left", 20*time.Second, func() bool {
		topics, err := w.admin.ListTopics(t.Context())
		return err == nil && !topics.Has(w.app+"-seen-table") && !topics.Has(w.app+"-seen-partials") && topics.Has(w.app+"-seen.2-table")
	})
	close(stop)
	asking.Wait()
	a.stop()
	t.Logf("both processes were killed %d times while it changed over %d records; it was asked %d times meanwhile and always answered", kills, w.sent.Load(), asked)
}
