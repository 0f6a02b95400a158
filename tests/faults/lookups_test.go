package faults

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// asker looks rows up while processes die, and holds each answer against what it says of itself.
type asker struct {
	w       *world
	key     string     // of the group that is asked for, as in the truth
	query   url.Values // that asks for it
	records []record   // of the group, in the order in which they are sent
	stop    chan struct{}
	ended   sync.WaitGroup

	answers, refusals atomic.Int64

	mu    sync.Mutex // guards wrong
	wrong []string
}

// record is where a record lies, and what it adds to the sum.
type record struct {
	partition   int
	offset, sum int64
}

// asks begins to look up the row of the first record's group, of most records, and of all rows together.
func (w *world) asks(most int64) *asker {
	host, qtype := groupOf(1)
	a := &asker{w: w, key: truthKey(host, qtype), query: url.Values{"id.orig_h": {host}, "qtype_name": {qtype}}, stop: make(chan struct{})}
	for i := int64(1); i <= most; i++ {
		if h, q := groupOf(i); h == host && q == qtype {
			p := i % partitions
			first := p
			if p == 0 {
				first = partitions
			}
			a.records = append(a.records, record{int(p), (i - first) / partitions, i % 1000})
		}
	}
	return a
}

// of asks an instance until that is gone or the asking ends.
func (a *asker) of(i *instance) {
	a.ended.Go(func() {
		for {
			select {
			case <-i.gone:
				return
			case <-a.stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			if addr := i.address(); addr != "" {
				a.ask(addr+"/api/v1/tables/counts/rows?"+a.query.Encode(), a.checkRow)
				a.ask(addr+"/api/v1/tables/counts/rows?format=json", a.checkAll)
			}
		}
	})
}

// answer is what a look-up finds, and what it says of itself.
type answer struct {
	Columns []struct{ Name string }
	Rows    [][]any
	Meta    struct {
		AsOf map[string]map[string]int64 `json:"as_of"`
	}
}

// ask looks up. What does not answer, for it was killed, says nothing; what is no answer has to be 503.
func (a *asker) ask(url string, check func(answer) string) {
	res, err := http.Get(url)
	if err != nil {
		return
	}
	defer res.Body.Close()
	var found answer
	switch res.StatusCode {
	case http.StatusOK:
		if json.NewDecoder(res.Body).Decode(&found) != nil {
			return // killed in the middle of it: it is no answer
		}
		a.answers.Add(1)
		if wrong := check(found); wrong != "" {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.wrong = append(a.wrong, wrong)
		}
	case http.StatusServiceUnavailable:
		a.refusals.Add(1)
	default:
		a.mu.Lock()
		defer a.mu.Unlock()
		a.wrong = append(a.wrong, url+": "+res.Status)
	}
}

// checkRow: the row has at least what lies below the offsets that the answer names, and no more than was sent.
func (a *asker) checkRow(found answer) string {
	var count, sum, least, leastSum int64
	for _, row := range found.Rows {
		count, sum = int64(row[2].(float64)), int64(row[3].(float64))
	}
	offsets := found.Meta.AsOf[a.w.topic]
	for _, r := range a.records {
		if r.offset < offsets[fmt.Sprint(r.partition)] {
			least++
			leastSum += r.sum
		}
	}
	sent := a.w.truthNow()
	if count < least || sum < leastSum || count > sent[a.key+" count"] || sum > sent[a.key+" sum"] || len(found.Rows) > 1 {
		return fmt.Sprintf("%s has %d and %d as of %v; at least %d and %d were counted there, %d and %d were sent",
			a.key, count, sum, offsets, least, leastSum, sent[a.key+" count"], sent[a.key+" sum"])
	}
	return ""
}

// checkAll: all rows together have at least the records below those offsets, and no more than were sent.
func (a *asker) checkAll(found answer) string {
	var count, least int64
	for _, row := range found.Rows {
		count += int64(row[2].(float64))
	}
	for _, offset := range found.Meta.AsOf[a.w.topic] {
		least += offset
	}
	if sent := a.w.sent.Load(); count < least || count > sent {
		return fmt.Sprintf("all rows have %d records as of %v, which are %d at least; %d were sent", count, found.Meta.AsOf, least, sent)
	}
	return ""
}

// end ends the asking, and fails the test if an answer was wrong.
func (a *asker) end() {
	a.w.t.Helper()
	close(a.stop)
	a.ended.Wait()
	a.w.t.Logf("%d answers and %d refusals while it was counted", a.answers.Load(), a.refusals.Load())
	if a.answers.Load() == 0 {
		a.w.t.Error("nothing was answered")
	}
	for n, wrong := range a.wrong {
		if n == 5 {
			a.w.t.Errorf("and %d more", len(a.wrong)-n)
			break
		}
		a.w.t.Error(wrong)
	}
}
