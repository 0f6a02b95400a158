package grouptable

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/tables"
)

// remembered returns a Store of two partitions, of which the first takes in records of those keys from an offset on, a record
// each; "" is one of progress.
func remembered(t *testing.T) (s *Store, take func(offset int64, keys ...string)) {
	t.Helper()
	table := compile(t, hosts)
	s = New(Config{Table: table})
	p := s.Fill(2)[0]
	return s, func(offset int64, keys ...string) {
		t.Helper()
		var records []sarama.ConsumerMessage
		for _, key := range keys {
			r := sarama.ConsumerMessage{Offset: offset, Key: []byte(key), Value: codecs.AppendRow(nil, table, table.NewState())}
			if key == "" {
				r.Key, r.Value = []byte(codecs.ProgressKey(source)), codecs.AppendProgressRow(nil, codecs.Progress{})
			}
			records = append(records, r)
			offset++
		}
		if err := p.Take(records); err != nil {
			t.Fatal(err)
		}
	}
}

// source is where the table's records come from.
var source = codecs.Source{Topic: "dns"}

func shownAll(string, tables.State) bool { return true }

// changesOf returns the changes from an offset on as "offset key was".
func changesOf(s *Store, from int64, most int) (changes []string, next int64, kept bool) {
	p, _ := s.Partition(0)
	all, next, kept := p.Changes(from, most, nil)
	for _, c := range all {
		changes = append(changes, fmt.Sprint(c.Offset, " ", c.Key, " ", c.Was))
	}
	return changes, next, kept
}

func TestChangesAreRemembered(t *testing.T) {
	s, take := remembered(t)
	take(0, "a", "b", "")
	if _, _, kept := changesOf(s, 3, 10); kept || s.Remembers() {
		t.Error("changes are kept for nobody")
	}
	changed := s.Changed()
	forget := s.Remember(Keep{Changes: 8, Bytes: 1 << 20, Linger: time.Hour, Shows: shownAll})
	take(4, "c", "a") // at 3 is the marker of a commit
	select {
	case <-changed:
	default:
		t.Error("nobody is told of a change of a row alone")
	}
	take(6, "", "c", "")
	for _, test := range []struct {
		from int64
		most int
		want []string
		next int64
		kept bool
	}{
		{2, 10, nil, 2, false},
		{3, 10, []string{"4 c false", "5 a true", "7 c true"}, 9, true},
		{3, 2, []string{"4 c false", "5 a true"}, 7, true},
		{3, 0, nil, 4, true},
		{5, 10, []string{"5 a true", "7 c true"}, 9, true},
		{8, 10, nil, 9, true},
		{20, 10, nil, 20, true}, // ahead
	} {
		got, next, kept := changesOf(s, test.from, test.most)
		if !slices.Equal(got, test.want) || next != test.next || kept != test.kept {
			t.Errorf("%d changes from %d: %v, %d, %v", test.most, test.from, got, next, kept)
		}
	}
	take(7, "c", "") // again, as after a lost connection
	if got, _, _ := changesOf(s, 3, 10); len(got) != 3 {
		t.Errorf("what comes twice is there twice: %v", got)
	}
	// Of more than eight the oldest go.
	take(9, "d", "e", "f", "g", "h", "i", "j")
	if got, _, kept := changesOf(s, 6, 10); !kept || !slices.Equal(got, []string{"7 c true", "9 d false", "10 e false", "11 f false", "12 g false", "13 h false", "14 i false", "15 j false"}) {
		t.Errorf("the newest are %v, %v", got, kept)
	}
	if _, _, kept := changesOf(s, 5, 10); kept {
		t.Error("more are kept than is allowed")
	}
	// A second listener, and the first one goes: nothing is forgotten.
	again := s.Remember(Keep{Changes: 8, Bytes: 1 << 20, Linger: time.Hour, Shows: shownAll})
	forget()
	s.forget() // as the timer would
	if got, _, kept := changesOf(s, 6, 10); !kept || len(got) != 8 {
		t.Errorf("with a listener left: %v, %v", got, kept)
	}
	again()
	if !s.Remembers() {
		t.Error("the last listener has no time to come back")
	}
	s.forget()
	if s.Remembers() {
		t.Error("changes are kept for nobody in the end")
	}
}

func TestChangesAreBounded(t *testing.T) {
	s, take := remembered(t)
	defer s.Remember(Keep{Changes: 1 << 30, Bytes: 1000, Linger: 0, Shows: shownAll})()
	for offset := range int64(2000) {
		take(offset, fmt.Sprintf("a key of some length, which is to take place %d", offset))
	}
	p, _ := s.Partition(0)
	if n := len(p.recent.ring) - p.recent.gone; n < 2 || p.recent.bytes > 1000 || p.recent.bytes != n*p.recent.ring[len(p.recent.ring)-1].size() || cap(p.recent.ring) > 1000 {
		t.Errorf("%d changes, %d bytes, room for %d", n, p.recent.bytes, cap(p.recent.ring))
	}
	got, next, kept := changesOf(s, p.recent.from, 5000)
	if !kept || next != 2000 || len(got) != len(p.recent.ring)-p.recent.gone {
		t.Errorf("%d changes, %d, %v", len(got), next, kept)
	}
}

// TestPartitionsShareWhatIsKept: one may have what the others leave, and each has its share when all need it.
func TestPartitionsShareWhatIsKept(t *testing.T) {
	table := compile(t, hosts)
	s := New(Config{Table: table})
	all := s.Fill(4)
	defer s.Remember(Keep{Changes: 1000, Bytes: 1 << 20, Shows: shownAll})()
	value := codecs.AppendRow(nil, table, table.NewState())
	take := func(p *Partition, n int) {
		t.Helper()
		var records []sarama.ConsumerMessage
		for i := range n {
			records = append(records, sarama.ConsumerMessage{Offset: p.Next() + int64(i), Key: fmt.Append(nil, i), Value: value})
		}
		if err := p.Take(records); err != nil {
			t.Fatal(err)
		}
	}
	remembered := func() (n []int) {
		for _, p := range all {
			n = append(n, p.remembered(true))
		}
		return n
	}
	take(all[0], 900)
	if got := remembered(); got[0] != 900 {
		t.Errorf("a burst in one partition: %v are kept", got)
	}
	for _, p := range all[1:] {
		take(p, 2000)
	}
	if got := remembered(); slices.Min(got) < 200 || int(s.kept.changes.Load()) != 1000 || got[0]+got[1]+got[2]+got[3] != 1000 {
		t.Errorf("a burst in each: %v are kept, which is said to be %d", got, s.kept.changes.Load())
	}
	all[0].recent.restart(900)
	if got := remembered(); got[0] != 0 || int(s.kept.changes.Load()) != got[1]+got[2]+got[3] {
		t.Errorf("after one has begun anew: %v are kept, which is said to be %d", got, s.kept.changes.Load())
	}
}

// TestABurstIsToldOfWhileItComes, so that who follows need not be slow for its changes to be gone.
func TestABurstIsToldOfWhileItComes(t *testing.T) {
	s, take := remembered(t)
	var changed <-chan struct{}
	seen, told := 0, 0
	defer s.Remember(Keep{Changes: 1 << 30, Bytes: 1 << 30, Shows: func(string, tables.State) bool {
		seen++
		select {
		case <-changed:
			told = cmp.Or(told, seen)
		default:
		}
		return true
	}})()
	changed = s.Changed()
	take(0, slices.Repeat([]string{"a"}, 5000)...)
	if told == 0 || told > 1000 {
		t.Errorf("told of at change %d of %d", told, seen)
	}
}

// TestHiddenRowsAreNotRemembered: nobody is told of them.
func TestHiddenRowsAreNotRemembered(t *testing.T) {
	s, take := remembered(t)
	shown := false
	defer s.Remember(Keep{Changes: 8, Bytes: 1 << 20, Shows: func(string, tables.State) bool { return shown }})()
	changed := s.Changed()
	take(0, "a", "b", "a")
	select {
	case <-changed:
		t.Error("told of what nobody sees")
	default:
	}
	if got, next, kept := changesOf(s, 0, 10); len(got) > 0 || next != 3 || !kept {
		t.Errorf("hidden: %v, %d, %v", got, next, kept)
	}
	shown = true
	take(3, "a")
	if got, _, _ := changesOf(s, 0, 10); len(got) != 1 {
		t.Errorf("shown: %v", got)
	}
}
