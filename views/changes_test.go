package views

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/grouptable"
	"github.com/brotally/brotally/tables"
)

// writer gives a table of a fixture changelog records, as its view would.
type writer struct {
	t        testing.TB
	table    *tables.Table
	store    *grouptable.Store
	rows     *tables.Groups
	next     [partitions]int64
	progress codecs.Progress
}

func (f *fixture) writer(t testing.TB, table string) *writer {
	w := &writer{t: t, table: f.view(table).table, store: f.stores[table]}
	w.rows, w.progress.NewestTime = w.table.NewGroups(), codecs.NoTime
	return w
}

// add combines records into the rows and lets the partitions take in what changes.
func (w *writer) add(messages ...string) {
	layout, err := tables.LayoutOf(w.table)
	if err != nil {
		w.t.Error(err)
	}
	combiner, err := w.table.NewCombiner(layout)
	if err != nil {
		w.t.Error(err)
	}
	decoder := codecs.NewJSON(layout)
	var rec feeds.Record
	for _, m := range messages {
		if err := decoder.Decode([]byte(m), &rec); err != nil {
			w.t.Error(err)
		}
		combiner.Add(&rec)
	}
	var records [partitions][]sarama.ConsumerMessage
	for key, partial := range combiner.Groups().All() {
		state, _ := w.rows.Upsert([]byte(key))
		w.table.Merge(state, partial)
		w.record(&records, key, codecs.AppendRow(nil, w.table, state))
	}
	n := int64(len(messages))
	w.progress.Advance(codecs.Progress{Upto: w.progress.Upto + n, NewestTime: 1_700_000_000_000_000 + n, Counts: codecs.Counts{Read: n, Counted: n}})
	w.take(&records)
}

// delete deletes the row with these values of the group columns.
func (w *writer) delete(values ...string) {
	var records [partitions][]sarama.ConsumerMessage
	var vals []feeds.Value
	for _, v := range values {
		vals = append(vals, feeds.StringValue(v))
	}
	key, err := w.table.EncodeKey(vals)
	if err != nil {
		w.t.Error(err)
	}
	w.rows.Delete(key)
	w.record(&records, string(key), nil)
	w.take(&records)
}

func (w *writer) record(records *[partitions][]sarama.ConsumerMessage, key string, value []byte) {
	number := int32(0)
	if !tables.IsOther(key) {
		var err error
		if number, err = grouptable.NewPartitioner(w.table).Of(key, partitions); err != nil {
			w.t.Error(err)
		}
	}
	records[number] = append(records[number], sarama.ConsumerMessage{Key: []byte(key), Value: value, Offset: w.next[number]})
	w.next[number]++
}

func (w *writer) take(records *[partitions][]sarama.ConsumerMessage) {
	for number := range int32(partitions) {
		all := append(records[number], sarama.ConsumerMessage{
			Key: []byte(codecs.ProgressKey(codecs.Source{Topic: "dns"})), Value: codecs.AppendProgressRow(nil, w.progress), Offset: w.next[number]})
		w.next[number] += 2 // behind it is the marker of a commit
		p, _ := w.store.Partition(number)
		if err := p.Take(all); err != nil {
			w.t.Error(err)
		}
	}
}

// event is a server-sent event.
type event struct {
	name, data, id string
	hasID          bool   // an empty one, too
	comment        string // or a comment
}

// eventStream is a connection to a stream of changes.
type eventStream struct {
	t      *testing.T
	res    *http.Response
	body   *bufio.Reader
	cancel context.CancelFunc
}

// listen connects. Where that is refused the test fails, and the stream has ended.
func listen(t *testing.T, url, last string) *eventStream {
	t.Helper()
	return listenAs(t, url, last, "")
}

// listenAs is listen with a token.
func listenAs(t *testing.T, url, last, token string) *eventStream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Error(err)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err) // not Fatal: some tests listen from goroutines
		res = &http.Response{Body: http.NoBody}
	}
	s := &eventStream{t: t, res: res, body: bufio.NewReader(res.Body), cancel: cancel}
	t.Cleanup(s.close)
	if res.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(res.Body)
		t.Errorf("status %d: %s", res.StatusCode, b)
	}
	return s
}

func (s *eventStream) close() {
	s.cancel()
	s.res.Body.Close()
}

// read returns the next event or comment; the error is io.EOF at the stream's end.
func (s *eventStream) read() (e event, err error) {
	for {
		line, err := s.body.ReadString('\n')
		if err != nil {
			return e, err
		}
		line = strings.TrimSuffix(line, "\n")
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "" && e != (event{}):
			return e, nil
		case line == "", name == "retry":
		case name == "":
			e.comment = value
		case name == "event":
			e.name = value
		case name == "data":
			e.data = value
		case name == "id":
			e.id, e.hasID = value, true
		default:
			return e, fmt.Errorf("line %q is of no event", line)
		}
	}
}

// next is read for a stream that does not end here; it skips comments.
func (s *eventStream) next() event {
	s.t.Helper()
	for {
		e, err := s.read()
		if err != nil {
			s.t.Fatal(err)
		}
		if e.comment == "" {
			return e
		}
	}
}

// whole reads to the first as_of.
func (s *eventStream) whole() *eventStream {
	s.t.Helper()
	for e := s.next(); e.name != eventAsOf; e = s.next() {
	}
	return s
}

// replica is the rows that a listener has made of events, by key.
type replica struct {
	rows  map[string]string
	id    string
	asOf  string // of the last as_of
	began int    // snapshots
	why   []string
}

// apply takes in an event.
func (r *replica) apply(t *testing.T, e event) {
	t.Helper()
	type keyed struct {
		Key string
		Row json.RawMessage
	}
	var one keyed
	var many []keyed
	var err error
	switch e.name {
	case eventSnapshot:
		r.rows = map[string]string{}
		r.began++
	case eventRows:
		err = json.Unmarshal([]byte(e.data), &many)
		for _, k := range many {
			r.rows[k.Key] = string(k.Row)
		}
	case eventUpsert:
		err = json.Unmarshal([]byte(e.data), &one)
		r.rows[one.Key] = string(one.Row)
	case eventDelete:
		err = json.Unmarshal([]byte(e.data), &one)
		delete(r.rows, one.Key)
	case eventAsOf:
		r.asOf = e.data
	case eventReset:
		var why restart
		err = json.Unmarshal([]byte(e.data), &why)
		r.why = append(r.why, why.Reason)
	default:
		t.Errorf("event %+v", e)
	}
	if err != nil {
		t.Errorf("event %+v: %v", e, err)
	}
	if e.hasID {
		r.id = e.id
	}
}

// sorted returns the rows, sorted.
func (r *replica) sorted() []string { return slices.Sorted(maps.Values(r.rows)) }

// upto reads until the table is as of an offset.
func (r *replica) upto(s *eventStream, offset int64) {
	s.t.Helper()
	for {
		e := s.next()
		r.apply(s.t, e)
		if e.name == eventAsOf && reaches(e.data, offset) {
			return
		}
	}
}

// reaches reports whether the data of an as_of says that a table is as of an offset, of its one source partition.
func reaches(data string, offset int64) bool {
	var a struct {
		AsOf map[string]map[string]int64 `json:"as_of"`
	}
	if json.Unmarshal([]byte(data), &a) != nil {
		return false
	}
	for _, at := range a.AsOf["dns"] {
		return at >= offset
	}
	return false
}

// lookedUp returns the rows that a look-up finds, as objects, sorted.
func lookedUp(t *testing.T, url string) []string {
	t.Helper()
	sep := "?"
	if strings.Contains(url, "?") {
		sep = "&"
	}
	a := get(t, url+sep+"format=ndjson")
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	if a.body == "" {
		return nil
	}
	lines := strings.Split(strings.TrimSuffix(a.body, "\n"), "\n")
	slices.Sort(lines)
	return lines
}

const often = `CREATE TABLE often AS SELECT query, count(*) AS n, min(trans_id) AS id FROM dns GROUP BY query HAVING count(*) % 3 <> 1`

func asked(q string) string { return fmt.Sprintf(`{"query":%q,"trans_id":7}`, q) }

// TestChanges reads a stream event by event.
func TestChanges(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	w := f.writer(t, "dns_counts")
	w.add(`{"id.orig_h":"10.0.0.1","qtype_name":"A"}`, `{"id.orig_h":"10.0.0.1","qtype_name":"A"}`)
	url := f.server(ServerConfig{}).URL + "/api/v1/tables/dns_counts/changes"
	s := listen(t, url, "")
	for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"} {
		if got := s.res.Header.Get(name); got != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	expect := func(name, data string) (id string) {
		t.Helper()
		e := s.next()
		for e.name == eventAsOf && name != eventAsOf {
			e = s.next()
		}
		if e.name != name || e.data != data {
			t.Fatalf("event %s %s, want %s %s", e.name, e.data, name, data)
		}
		return e.id
	}
	if e := s.next(); !e.hasID || e.id != noID {
		t.Errorf("who loses the connection now would go on at %q", e.id)
	}
	s.close()
	s = listen(t, url, "")
	expect("snapshot", `{"table":"dns_counts","columns":[{"name":"id.orig_h","type":"inet","key":true,"aggregate":false},{"name":"qtype_name","type":"string","key":true,"aggregate":false},{"name":"count","type":"bigint","key":false,"aggregate":true}]}`)
	expect("rows", `[{"key":"{\"id.orig_h\":\"10.0.0.1\",\"qtype_name\":\"A\"}","row":{"id.orig_h":"10.0.0.1","qtype_name":"A","count":2}}]`)
	first := expect("as_of", `{"as_of":{"dns":{"0":2}},"event_time":"2023-11-14T22:13:20.000002Z","groups":1}`)
	if first == "" {
		t.Error("as_of has no id to go on from")
	}
	w.add(`{"id.orig_h":"10.0.0.1","qtype_name":"A"}`)
	expect("upsert", `{"key":"{\"id.orig_h\":\"10.0.0.1\",\"qtype_name\":\"A\"}","row":{"id.orig_h":"10.0.0.1","qtype_name":"A","count":3}}`)
	w.delete("10.0.0.1", "A")
	expect("delete", `{"key":"{\"id.orig_h\":\"10.0.0.1\",\"qtype_name\":\"A\"}","row":{"id.orig_h":"10.0.0.1","qtype_name":"A"}}`)
	s.close()

	// Who lost the connection behind the first as_of hears what became of the row since: once.
	s = listen(t, url+"?last_event_id="+first, "")
	expect("delete", `{"key":"{\"id.orig_h\":\"10.0.0.1\",\"qtype_name\":\"A\"}","row":{"id.orig_h":"10.0.0.1","qtype_name":"A"}}`)
	if e := s.next(); e.name != "as_of" {
		t.Errorf("event %+v", e)
	}
	s.close()

	// From now on.
	s = listen(t, url+"?snapshot=false", "")
	if e := s.next(); e.name != "as_of" || e.id == "" {
		t.Errorf("event %+v", e)
	}
	w.add(`{"id.orig_h":"10.0.0.9"}`)
	expect("upsert", `{"key":"{\"id.orig_h\":\"10.0.0.9\",\"qtype_name\":null}","row":{"id.orig_h":"10.0.0.9","qtype_name":null,"count":1}}`)

	if a := do(t, http.MethodHead, url, ""); a.status != http.StatusOK || a.header.Get("Content-Type") != "text/event-stream" || a.body != "" {
		t.Errorf("HEAD: %+v", a)
	}
}

// TestChangesOfHaving: a row that HAVING leaves out is no row, and one that was never shown is not deleted either.
func TestChangesOfHaving(t *testing.T) {
	f := newFixture(t, Limits{}, often)
	w := f.writer(t, "often")
	s := listen(t, f.server(ServerConfig{}).URL+"/api/v1/tables/often/changes", "").whole()
	// Each step is followed by one whose events are known, so that what is not sent shows.
	end := 0
	step := func(do func(), want ...string) {
		t.Helper()
		do()
		end++
		marker := fmt.Sprintf("end%d", end)
		w.add(asked(marker), asked(marker))
		var got []string
		for e := s.next(); !strings.Contains(e.data, `"key":"`+marker); e = s.next() {
			// All partitions' changes are sent in turn: those of the marker's may come before those of the step's.
			if e.name != eventAsOf {
				got = append(got, e.name+" "+e.data)
			}
		}
		for e := s.next(); e.name != eventAsOf; e = s.next() {
			got = append(got, e.name+" "+e.data)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	upsert2, deleted := `upsert {"key":"a","row":{"query":"a","n":2,"id":7}}`, `delete {"key":"a","row":{"query":"a"}}`
	step(func() { w.add(asked("a")) })                             // 1: hidden
	step(func() { w.add(asked("a")) }, upsert2)                    // 2
	step(func() { w.add(asked("a"), asked("a")) }, deleted)        // 4: hidden
	step(func() { w.delete("a") })                                 // it was hidden
	step(func() { w.delete("nobody") })                            // it was never there
	step(func() { w.add(asked("a")); w.add(asked("a")) }, upsert2) // 1, 2
	step(func() { w.delete("a"); w.delete("a") }, deleted)         // once
	step(func() { w.add(asked("a"), asked("a")) }, upsert2)        // it comes again
	step(func() { w.delete("a"); w.add(asked("b")) }, deleted)     // b is hidden
	step(func() { w.delete("b"); w.add(asked("a"), asked("a")) }, upsert2)
}

// TestChangesInARange: a row that comes into the range is there, and one that leaves it is deleted.
func TestChangesInARange(t *testing.T) {
	f := newFixture(t, Limits{}, queries)
	w := f.writer(t, "queries")
	w.add(asked("a"))
	s := listen(t, f.server(ServerConfig{}).URL+"/api/v1/tables/queries/changes?n.gte=2&n.lte=3", "")
	var r replica
	r.upto(s, 1)
	for n := int64(2); n <= 5; n++ {
		w.add(asked("a"))
		r.upto(s, n)
		want := []string{fmt.Sprintf(`{"query":"a","n":%d,"rtt":null}`, n)}
		if n > 3 {
			want = nil
		}
		if diff := cmp.Diff(want, r.sorted()); diff != "" {
			t.Errorf("of %d: %s", n, diff)
		}
	}
}

// TestChangesAreTheRows: whoever connects, loses connections, and goes on, has in the end the rows that a look-up finds.
func TestChangesAreTheRows(t *testing.T) {
	const total = `CREATE TABLE total AS SELECT count(*) AS n FROM dns HAVING count(*) % 3 <> 1`
	for _, test := range []struct{ definition, filter string }{
		{queries, ""}, {often, ""}, {total, ""}, {dnsCounts, ""}, {queries, "query=q3"}, {often, "n=6"}, {often, "n=6&query=q1"}, {queries, `query=\N`},
		{queries, "n.gte=3&n.lt=9"}, {often, "n.ne=6&query.gt=q3"},
	} {
		f := newFixture(t, Limits{}, test.definition)
		name := f.All()[0].table.Name
		t.Run(name+" "+test.filter, func(t *testing.T) {
			w := f.writer(t, name)
			url := f.server(ServerConfig{}).URL + "/api/v1/tables/" + name
			random := rand.New(rand.NewPCG(1, uint64(len(test.filter))))
			step := func() {
				for range random.IntN(4) {
					var messages []string
					for range 1 + random.IntN(6) {
						q := asked(fmt.Sprintf("q%d", random.IntN(8)))
						if random.IntN(8) == 0 {
							q = `{"trans_id":1}`
						}
						messages = append(messages, q)
					}
					w.add(messages...)
				}
				if random.IntN(3) == 0 && len(w.table.Keys()) == 1 {
					w.delete(fmt.Sprintf("q%d", random.IntN(8)))
				}
			}
			var r replica
			for range 40 {
				step()
				s := listen(t, url+"/changes?"+test.filter, r.id)
				reads := random.IntN(12)
				done := make(chan struct{})
				go func() { // awaited below
					defer close(done)
					step()
				}()
				// After an as_of there may be nothing more to read.
				for range reads {
					e := s.next()
					r.apply(t, e)
					if e.name == eventAsOf {
						break
					}
				}
				s.close()
				<-done
			}
			step()
			w.add(asked("last"))
			s := listen(t, url+"/changes?"+test.filter, r.id)
			r.upto(s, w.progress.Upto)
			if diff := cmp.Diff(lookedUp(t, url+"/rows?"+test.filter), r.sorted()); diff != "" {
				t.Error(diff)
			}
			if r.began == 0 || len(r.why) > 0 {
				t.Errorf("%d snapshots, reset because %v", r.began, r.why)
			}
		})
	}
}

// TestChangesWhileTheTableMoves has many listeners come and go on while rows come and go.
func TestChangesWhileTheTableMoves(t *testing.T) {
	f := newFixture(t, Limits{}, often)
	w := f.writer(t, "often")
	url := f.server(ServerConfig{}).URL + "/api/v1/tables/often"
	var before []string
	for i := range 1800 { // two parts of a snapshot in each partition
		before = append(before, asked(fmt.Sprintf("q%d", i)), asked(fmt.Sprintf("q%d", i)))
	}
	w.add(before...)
	const listeners, batches = 50, 60
	end := int64(len(before) + 3*batches)
	replicas := make([]replica, listeners)
	var all sync.WaitGroup
	for i := range replicas {
		all.Go(func() {
			r, s := &replicas[i], listen(t, url+"/changes", "")
			lost := "" // the id at which it lost its connection last: it comes further before it does again
			for n := 1; !reaches(r.asOf, end); n++ {
				e, err := s.read()
				if err != nil {
					t.Error(err)
					return
				}
				r.apply(t, e)
				if n%40 == i%40 && r.id != lost && r.id != "" && r.id != noID { // now and then, in the middle too
					lost = r.id
					s.close()
					s = listen(t, url+"/changes", r.id)
				}
			}
		})
	}
	for i := range batches {
		w.add(asked(fmt.Sprintf("q%d", i*29)), asked(fmt.Sprintf("q%d", i%7)), asked(fmt.Sprintf("new%d", i)))
		w.delete(fmt.Sprintf("q%d", i%5))
	}
	w.take(&[partitions][]sarama.ConsumerMessage{})
	all.Wait()
	want := lookedUp(t, url+"/rows")
	for i := range replicas {
		if got := replicas[i].sorted(); !slices.Equal(want, got) {
			t.Errorf("listener %d has %d rows, want %d", i, len(got), len(want))
		}
	}
}

func TestChangesGoOnOnlyWhereTheyCan(t *testing.T) {
	f := newFixture(t, Limits{Changes: 3}, queries)
	w := f.writer(t, "queries")
	view := f.view("queries")
	url := f.server(ServerConfig{}).URL + "/api/v1/tables/queries/changes"
	w.add(asked("a"))
	var r replica
	s := listen(t, url, "")
	r.upto(s, 1)
	s.close()
	good := r.id
	for range 5 {
		w.add(asked("a"))
	}
	for name, test := range map[string]struct{ id, why string }{
		"an id that is older than what is kept": {good, "too_old"},
		"what is no id":                         {"x", "unknown_id"},
		"an id of another changelog":            {"other" + good, "another_life"},
		"an id with other partitions":           {good + "-0", "another_life"},
		"no number":                             {strings.Replace(good, "-", "--", 1), "unknown_id"},
		"far too much":                          {strings.Repeat("1.", 1000), "unknown_id"},
	} {
		t.Run(name, func(t *testing.T) {
			r := replica{rows: map[string]string{"left over": "{}"}}
			s := listen(t, url, test.id)
			r.upto(s, 6)
			if diff := cmp.Diff(replica{rows: map[string]string{"a": `{"query":"a","n":6,"rtt":null}`}, began: 1, why: []string{test.why}, id: r.id, asOf: r.asOf}, r, cmp.AllowUnexported(replica{})); diff != "" {
				t.Error(diff)
			}
		})
	}
	// Without a snapshot it goes on from now.
	s = listen(t, url+"?snapshot=false", good)
	if e := s.next(); e.name != eventReset {
		t.Errorf("event %+v", e)
	}
	if e := s.next(); e.name != eventAsOf {
		t.Errorf("event %+v", e)
	}
	s.close()
	// One from a server that is ahead of this one hears nothing that it has heard.
	r = replica{rows: map[string]string{}}
	var ahead [partitions]int64
	for n := range ahead {
		ahead[n] = w.next[n] + 2
	}
	s = listen(t, url, eventID(view.held.Load().life, ahead[:]))
	w.add(asked("a")) // each partition has two or three records more
	w.add(asked("b"))
	r.upto(s, 8)
	if diff := cmp.Diff([]string{`{"query":"b","n":1,"rtt":null}`}, r.sorted()); diff != "" || r.began > 0 || r.why != nil {
		t.Errorf("%s %+v", diff, r)
	}
}

// TestAsOfIsNoPromise of what was not sent yet: one that comes back after more changes than are read at a time hears as_of behind all.
func TestAsOfIsNoPromise(t *testing.T) {
	const many = 3 * partitions * drained / 2
	f := newFixture(t, Limits{Changes: -1, ChangesBytes: -1}, queries)
	w := f.writer(t, "queries")
	url := f.server(ServerConfig{}).URL + "/api/v1/tables/queries/changes"
	w.add(asked("q0"))
	var r replica
	s := listen(t, url, "")
	r.upto(s, 1)
	s.close()
	var messages []string
	for i := range many {
		messages = append(messages, asked(fmt.Sprintf("q%d", i)))
	}
	w.add(messages...)
	s = listen(t, url, r.id)
	for r.asOf = ""; r.asOf == ""; {
		r.apply(t, s.next())
	}
	if !reaches(r.asOf, many+1) || len(r.rows) != many {
		t.Errorf("%d rows are the table as of %s", len(r.rows), r.asOf)
	}
}

// TestASnapshotTakesBackTheAddress: a browser that loses half a snapshot comes back to the address that it had at first, which says
// where to go on from.
func TestASnapshotTakesBackTheAddress(t *testing.T) {
	f := newFixture(t, Limits{}, queries)
	w := f.writer(t, "queries")
	w.add(asked("a"))
	url := f.server(ServerConfig{}).URL + "/api/v1/tables/queries/changes"
	var r replica
	s := listen(t, url, "")
	r.upto(s, 1)
	s.close()
	url += "?last_event_id=" + r.id
	s = listen(t, url, "another"+r.id)
	for r = (replica{}); r.began == 0; {
		r.apply(t, s.next())
	}
	s.close() // before any row
	r.upto(listen(t, url, r.id), 1)
	if diff := cmp.Diff(lookedUp(t, strings.Replace(url[:strings.Index(url, "?")], "changes", "rows", 1)), r.sorted()); diff != "" {
		t.Error(diff)
	}
}

// TestAWithdrawnTokenHearsNoMore, neither of changes nor of nothing.
func TestAWithdrawnTokenHearsNoMore(t *testing.T) {
	for _, quiet := range []bool{true, false} {
		f := newFixture(t, Limits{}, queries)
		w := f.writer(t, "queries")
		all := tokens(t, "read "+readToken+"\nread "+adminToken)
		url := f.server(ServerConfig{Tokens: all, Heartbeat: map[bool]time.Duration{true: 20 * time.Millisecond}[quiet]}).URL + "/api/v1/tables/queries/changes"
		stays, goes := listenAs(t, url, "", adminToken).whole(), listenAs(t, url, "", readToken).whole()
		all.all.Store(tokens(t, "read "+adminToken).all.Load())
		if !quiet {
			w.add(asked("a"))
		}
		if e := goes.next(); e.name != eventError || !strings.Contains(e.data, `"code":"unauthorized"`) {
			t.Errorf("event %+v", e)
		}
		if _, err := goes.read(); !errors.Is(err, io.EOF) {
			t.Errorf("after the error: %v", err)
		}
		if quiet {
			w.add(asked("a"))
		}
		if e := stays.next(); e.name != eventUpsert {
			t.Errorf("another token: event %+v", e)
		}
	}
}

func TestChangesOfARebuiltTable(t *testing.T) {
	f := newFixture(t, Limits{}, queries)
	w := f.writer(t, "queries")
	w.add(asked("a"))
	view := f.view("queries")
	url := f.server(ServerConfig{}).URL + "/api/v1/tables/queries/changes"
	s := listen(t, url, "")
	var r replica
	r.upto(s, 1)

	view.hold(held{state: "is rebuilt"})
	if e := s.next(); e.name != eventReset || !strings.Contains(e.data, `"reason":"rebuilt"`) {
		t.Errorf("event %+v", e)
	}
	a := get(t, url)
	if got := a.apiErr(t); !strings.HasPrefix(got, "Service Unavailable not_ready: ") || a.header.Get("Retry-After") != "1" {
		t.Errorf("%s %v", got, a.header)
	}
	stale := listen(t, url+"?stale=true", "")
	if e := stale.next(); e.name != eventSnapshot || !strings.Contains(e.data, `"partial":true`) {
		t.Errorf("event %+v", e)
	}
	if e := stale.next(); e.name != eventAsOf || e.id != "" {
		t.Errorf("event %+v", e)
	}

	store := grouptable.New(grouptable.Config{Table: view.table})
	store.Fill(partitions)
	f.stores["queries"] = store
	view.hold(held{store: store, partitions: partitions, ready: true, life: "another", state: "ready"})
	w = f.writer(t, "queries")
	w.add(asked("b"), asked("b"))
	want := []string{`{"query":"b","n":2,"rtt":null}`}
	r.upto(s, 2)
	if diff := cmp.Diff(want, r.sorted()); diff != "" {
		t.Error(diff)
	}
	r = replica{}
	r.upto(stale, 2)
	if diff := cmp.Diff(want, r.sorted()); diff != "" || !slices.Equal(r.why, []string{"restored"}) {
		t.Error(diff, r.why)
	}
}

// TestChangesOfAnotherDefinition: another view has taken the place of the one that was listened to.
func TestChangesOfAnotherDefinition(t *testing.T) {
	f := newFixture(t, Limits{}, queries)
	f.writer(t, "queries").add(asked("a"))
	url := f.server(ServerConfig{}).URL + "/api/v1/tables/queries/changes"
	s, filtered := listen(t, url, "").whole(), listen(t, url+"?rtt=1", "").whole()
	other := newFixture(t, Limits{}, `CREATE TABLE queries AS SELECT query, count(*) AS n FROM dns GROUP BY query`)
	other.writer(t, "queries").add(asked("b"))
	f.show(newRoll(map[string]*View{"queries": other.view("queries")}, nil))
	var r replica
	r.upto(s, 1)
	if diff := cmp.Diff([]string{`{"query":"b","n":1}`}, r.sorted()); diff != "" || !slices.Equal(r.why, []string{"redefined"}) {
		t.Error(diff, r.why)
	}
	filtered.next() // the reset
	if e := filtered.next(); e.name != eventError || !strings.Contains(e.data, `"unknown_parameter"`) {
		t.Errorf("event %+v", e)
	}
	if _, err := filtered.read(); !errors.Is(err, io.EOF) {
		t.Errorf("after the error: %v", err)
	}
	f.show(newRoll(map[string]*View{}, nil))
	s.next()
	if e := s.next(); e.name != eventError || !strings.Contains(e.data, `"unknown_table"`) {
		t.Errorf("event %+v", e)
	}
}

// heldBack is a client that reads nothing until it is let.
type heldBack struct {
	http.ResponseWriter
	let     chan struct{}
	waiting chan struct{} // told when a write waits
}

func (h *heldBack) Write(b []byte) (int, error) {
	select {
	case h.waiting <- struct{}{}:
		<-h.let
	case <-h.let:
	}
	return h.ResponseWriter.Write(b)
}

func (h *heldBack) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// TestASlowListenerIsCutOff, and the table goes on.
func TestASlowListenerIsCutOff(t *testing.T) {
	f := newFixture(t, Limits{Changes: 10}, queries)
	w := f.writer(t, "queries")
	server := NewServer(ServerConfig{Views: f.Views})
	rec := httptest.NewRecorder()
	slow := &heldBack{rec, make(chan struct{}), make(chan struct{})}
	ended := make(chan struct{})
	go func() { // awaited below
		defer close(ended)
		server.ServeHTTP(slow, httptest.NewRequest(http.MethodGet, "/api/v1/tables/queries/changes?snapshot=false", nil))
	}()
	for range 2 { // retry, then as_of
		<-slow.waiting
		slow.let <- struct{}{}
	}
	w.add(asked("a"))
	<-slow.waiting // the upsert is written, and not read
	for range 1000 {
		w.add(asked("a")) // returns: nobody waits for who does not read
	}
	if at := f.view("queries").AsOf().Offsets[codecs.Source{Topic: "dns"}]; at != 1001 {
		t.Errorf("the table is at %d", at)
	}
	close(slow.let)
	<-ended
	if body := rec.Body.String(); !strings.HasSuffix(body, "\n\n") || !strings.Contains(body, "event: error\ndata: {\"code\":\"too_slow\"") {
		t.Errorf("it was sent %s", body)
	}
}

// TestAListenerThatReadsNothingIsLetGo when the connection takes no more.
func TestAListenerThatReadsNothingIsLetGo(t *testing.T) {
	f := newFixture(t, Limits{Reading: 50 * time.Millisecond, Changes: -1, ChangesBytes: -1}, queries)
	w := f.writer(t, "queries")
	ended := make(chan struct{})
	handler := NewServer(ServerConfig{Views: f.Views})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r)
		close(ended)
	}))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /api/v1/tables/queries/changes HTTP/1.1\r\nHost: localhost\r\n\r\n")
	long := strings.Repeat("x", 900)
	for i := range 300 {
		var messages []string
		for n := range 100 {
			messages = append(messages, asked(fmt.Sprintf("%s%d", long, (i*100+n)%2000)))
		}
		w.add(messages...)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("it is still there")
	}
	if f.Listening() != 0 {
		t.Errorf("%d listen", f.Listening())
	}
}

func TestListenersAreLimited(t *testing.T) {
	f := newFixture(t, Limits{Listeners: 2}, queries)
	url := f.server(ServerConfig{}).URL + "/api/v1/tables/queries/changes"
	first := listen(t, url, "").whole()
	listen(t, url, "").whole()
	a := get(t, url)
	if got := a.apiErr(t); got != "Too Many Requests too_many_listeners: 2 listen to changes already, which is the limit; try again in a moment" || a.header.Get("Retry-After") == "" {
		t.Errorf("%s, %v", got, a.header)
	}
	first.close()
	eventually(t, "who has gone still counts", func() bool { return f.Listening() == 1 })
	listen(t, url, "").whole()
}

// eventually waits for something that nobody tells of.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for timeout := time.After(patience); !holds(); {
		select {
		case <-timeout:
			t.Fatal(what)
		case <-time.After(time.Millisecond):
		}
	}
}

func TestChangesAreRefused(t *testing.T) {
	f := newFixture(t, Limits{}, queries)
	url := f.server(ServerConfig{Tokens: tokens(t, "read s3cret-s3cret-s3cret")}).URL + "/api/v1/tables/"
	token := []string{"Authorization", "Bearer s3cret-s3cret-s3cret"}
	for path, want := range map[string]string{
		"query/changes":                   "Not Found unknown_table: no table query; the tables are queries",
		"queries/changes?stale=x":         `Bad Request bad_value: stale: "x" is neither true nor false`,
		"queries/changes?snapshot=x":      `Bad Request bad_value: snapshot: "x" is neither true nor false`,
		"queries/changes?snapshots=false": "Bad Request unknown_parameter: no column or parameter snapshots; did you mean snapshot?",
		"queries/changes?n=1&n=2":         "Bad Request bad_parameter: n is given twice; POST /api/v1/query takes SQL, which has OR and IN",
	} {
		if got := get(t, url+path, token...).apiErr(t); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if got := get(t, url+"queries/changes"); got.status != http.StatusUnauthorized {
		t.Errorf("without the token: %+v", got)
	}
	if got := get(t, url+"queries/changes", append(token, "Host", "evil.example")...); got.status != http.StatusForbidden {
		t.Errorf("under another name: %+v", got)
	}
	if got := do(t, http.MethodPost, url+"queries/changes", "", token...); got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %+v", got)
	}
}

// TestHeartbeats come while there is nothing to say, for longer than the server waits for requests.
func TestHeartbeats(t *testing.T) {
	f := newFixture(t, Limits{}, queries)
	server := httptest.NewUnstartedServer(NewServer(ServerConfig{Views: f.Views, Heartbeat: 20 * time.Millisecond}))
	server.Config.ReadTimeout, server.Config.WriteTimeout = 30*time.Millisecond, 30*time.Millisecond
	server.Start()
	t.Cleanup(server.Close)
	s := listen(t, server.URL+"/api/v1/tables/queries/changes", "")
	for beats := 0; beats < 5; {
		e, err := s.read()
		if err != nil {
			t.Fatal(err)
		}
		if e.comment == "still here" {
			beats++
		}
	}
}

// TestStreamsEndWithTheServer at once, and cleanly.
func TestStreamsEndWithTheServer(t *testing.T) {
	f := newFixture(t, Limits{}, queries)
	l, err := Listen(ListenConfig{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, l, NewServer(ServerConfig{Views: f.Views}), nil) }() // awaited below
	s := listen(t, "http://"+l.Addr().String()+"/api/v1/tables/queries/changes", "").whole()
	began := time.Now()
	stop()
	if e, err := s.read(); !errors.Is(err, io.EOF) {
		t.Errorf("it ends with %+v, %v", e, err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > shutdownPatience/2 {
		t.Errorf("it took %v", took)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestNobodyListensNothingIsKept, nor long after somebody did.
func TestNobodyListensNothingIsKept(t *testing.T) {
	f := newFixture(t, Limits{Linger: time.Millisecond}, queries)
	store := f.stores["queries"]
	if store.Remembers() {
		t.Error("changes are kept for nobody")
	}
	s := listen(t, f.server(ServerConfig{}).URL+"/api/v1/tables/queries/changes", "").whole()
	if !store.Remembers() {
		t.Error("no changes are kept")
	}
	s.close()
	eventually(t, "changes are still kept", func() bool { return !store.Remembers() })
}

// TestChangesOfTheOthers: above MAX GROUPS a partition has a row of what is left, which its key tells from those of others.
func TestChangesOfTheOthers(t *testing.T) {
	f := newFixture(t, Limits{}, `CREATE TABLE few AS SELECT query, is_other, count(*) AS n FROM dns GROUP BY query MAX GROUPS 1`)
	w := f.writer(t, "few")
	s := listen(t, f.server(ServerConfig{}).URL+"/api/v1/tables/few/changes", "").whole()
	state, _ := w.rows.Upsert([]byte(tables.OtherKey))
	var records [partitions][]sarama.ConsumerMessage
	w.record(&records, tables.OtherKey, codecs.AppendRow(nil, w.table, state))
	w.take(&records)
	if e := s.next(); e.name != eventUpsert || e.data != `{"key":"\\#other/0","row":{"query":null,"is_other":true,"n":0}}` {
		t.Errorf("event %+v", e)
	}
	s.whole()
	records = [partitions][]sarama.ConsumerMessage{}
	w.record(&records, tables.OtherKey, nil)
	w.take(&records)
	e := s.next()
	for e.name == eventAsOf {
		e = s.next()
	}
	if e.name != eventDelete || e.data != `{"key":"\\#other/0","row":{"query":null}}` {
		t.Errorf("event %+v", e)
	}
}

// TestChangesOnKafka follows a changelog that is written in transactions through one server, and goes on at another.
func TestChangesOnKafka(t *testing.T) { onBrokers(t, testChangesOnKafka) }

func testChangesOnKafka(t *testing.T, addrs []string) {
	c := newChangelog(t, addrs, hosts)
	c.create()
	c.send(host(1), host(2), host(1))
	c.commit()
	serve := func() (url string) {
		v, _ := c.views()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := v.WaitReady(ctx); err != nil {
			t.Fatal(err)
		}
		all := &Views{gate: v.gate}
		all.show(newRoll(map[string]*View{"hosts": v}, nil))
		s := httptest.NewServer(NewServer(ServerConfig{Views: all}))
		t.Cleanup(s.Close)
		t.Cleanup(http.DefaultClient.CloseIdleConnections)
		return s.URL + "/api/v1/tables/hosts"
	}
	one, two := serve(), serve()
	listen(t, two+"/changes?snapshot=false", "").whole() // so that the other one keeps changes, too
	var r replica
	s := listen(t, one+"/changes", "")
	r.upto(s, 3)
	c.send(host(3))
	c.commit()
	r.upto(s, 4)
	s.close()
	c.send(host(1), host(4))
	c.commit()
	s = listen(t, two+"/changes", r.id)
	r.upto(s, 6)
	if diff := cmp.Diff(lookedUp(t, two+"/rows"), r.sorted()); diff != "" || len(r.rows) != 4 || r.began != 1 || r.why != nil {
		t.Errorf("%s %+v", diff, r)
	}
	s.close()

	// The changelog is made anew: the rows of the old one are forgotten.
	s = listen(t, one+"/changes", r.id).whole()
	c.delete()
	c.create()
	c.rows, c.progress = c.table.NewGroups(), codecs.Progress{NewestTime: codecs.NoTime}
	c.send(host(7))
	c.commit()
	for r.began < 2 {
		r.apply(t, s.next())
	}
	r.upto(s, 1)
	if diff := cmp.Diff([]string{`{"host":"10.0.0.7","n":1}`}, r.sorted()); diff != "" || !slices.Contains(r.why, "rebuilt") {
		t.Errorf("%s %+v", diff, r)
	}
}

func FuzzEventID(f *testing.F) {
	for _, id := range []string{"", "life.1-2-3", "life.", "life.1--2", ".1-2-3", "life.99999999999999999999-1-1", "life.-1-2-3"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		at, why := parseEventID(id, "life", partitions)
		if why == nil && (len(at) != partitions || slices.Min(at) < 0) {
			t.Errorf("%q is %v", id, at)
		}
		if why == nil {
			if again, why := parseEventID(eventID("life", at), "life", partitions); why != nil || !slices.Equal(again, at) {
				t.Errorf("%q is read back as %v, %v", id, again, why)
			}
		}
	})
}

// BenchmarkTake takes in changes of rows, with and without somebody who wants to know.
func BenchmarkTake(b *testing.B) {
	for _, listened := range []bool{false, true} {
		b.Run(map[bool]string{false: "nobody listens", true: "somebody listens"}[listened], func(b *testing.B) {
			f := newFixture(b, Limits{}, queries)
			store, view := f.stores["queries"], f.view("queries")
			if listened {
				defer store.Remember(view.keep())()
			}
			p, _ := store.Partition(0)
			value := codecs.AppendRow(nil, view.table, view.table.NewState())
			records := make([]sarama.ConsumerMessage, 1024)
			for i := range records {
				key, err := view.table.EncodeKey([]feeds.Value{feeds.StringValue(fmt.Sprintf("host%d.example.com", i))})
				if err != nil {
					b.Fatal(err)
				}
				records[i].Key, records[i].Value = key, value
			}
			b.ReportAllocs()
			offset := int64(0)
			for b.Loop() {
				for i := range records {
					records[i].Offset = offset
					offset++
				}
				if err := p.Take(records); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*1024/b.Elapsed().Seconds(), "records/s")
		})
	}
}
