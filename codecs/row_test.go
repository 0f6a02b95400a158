package codecs

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestRowsReadBack(t *testing.T) {
	table := compile(t, manyKinds)
	rapid.Check(t, func(t *rapid.T) {
		groups := randomGroups(t, table)
		read := table.NewGroups()
		for key, s := range groups.All() {
			row := AppendRow(nil, table, s)
			state, _ := read.Upsert([]byte(key))
			if err := ReadRow(row, table, state); err != nil {
				t.Fatal(err)
			}
			// Again, over a state that is not empty.
			if err := ReadRow(row, table, state); err != nil {
				t.Fatal(err)
			}
			if err := ReadRow(append(row, 0), table, state); err == nil {
				t.Fatal("a byte too many is not noticed")
			}
			if err := ReadRow(row, table, state); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(flat(t, table, groups), flat(t, table, read)); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	})
}

func TestRowsOfANewerProgram(t *testing.T) {
	table := compile(t, manyKinds)
	for _, b := range [][]byte{nil, {}, {0}, {rowVersion + 1, 1, 2}} {
		if err := ReadRow(b, table, table.NewState()); err == nil {
			t.Errorf("%v is read as a row", b)
		}
		if _, err := ReadProgressRow(b); err == nil {
			t.Errorf("%v is read as progress", b)
		}
	}
	if err := ReadRow([]byte{rowVersion + 1}, table, table.NewState()); !strings.Contains(err.Error(), "update it") {
		t.Error(err)
	}
}

// FuzzReadRow reads changelog values of whoever may write to the changelog.
func FuzzReadRow(f *testing.F) {
	table := compile(f, manyKinds)
	f.Add(AppendRow(nil, table, table.NewState()))
	f.Add([]byte{rowVersion, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		state := table.NewState()
		if err := ReadRow(b, table, state); err == nil {
			again, row := table.NewState(), AppendRow(nil, table, state)
			if err := ReadRow(row, table, again); err != nil {
				t.Errorf("what was read cannot be read again: %v", err)
			}
			if diff := cmp.Diff(row, AppendRow(nil, table, again)); diff != "" {
				t.Errorf("-first +second:\n%s", diff)
			}
		}
		if p, err := ReadProgressRow(b); err == nil {
			if again, err := ReadProgressRow(AppendProgressRow(nil, p)); err != nil || again != p {
				t.Errorf("%+v became %+v, %v", p, again, err)
			}
		}
	})
}

func TestProgressKeysReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := sources(t)
		key := ProgressKey(want)
		got, ok := ParseProgressKey(key)
		if !ok || got != want || !IsInternal([]byte(key)) {
			t.Fatalf("%v became %q, %v, %v", want, key, got, ok)
		}
	})
	for _, key := range []string{"", `\#`, `\#progress/`, `\#progress/dns`, `\#progress/dns/`, `\#progress/dns/-1`, `\#progress/dns/x`, `\#progress/dns/99999999999`, "progress/dns/1", `\#windows/dns/1`} {
		if got, ok := ParseProgressKey(key); ok {
			t.Errorf("%q was read as %v", key, got)
		}
	}
}

func TestValueKeysReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number, group, value := rapid.IntRange(0, 1000).Draw(t, "number"), rapid.String().Draw(t, "group"), rapid.SliceOf(rapid.Byte()).Draw(t, "value")
		key := AppendValueKey([]byte("before"), number, group, value)[len("before"):]
		n, g, v, ok := ParseValueKey(key)
		if !ok || n != number || string(g) != group || string(v) != string(value) || !IsInternal(key) {
			t.Fatalf("%d %q %q became %d %q %q, %v", number, group, value, n, g, v, ok)
		}
		if _, ok := ParseProgressKey(string(key)); ok {
			t.Fatalf("%q is progress", key)
		}
	})
	for _, key := range []string{"", `\#`, `\#distinct/`, "\\#distinct/\x00", "\\#distinct/\x00\x05four", "\\#distinct/\xff\xff\xff\xff\xff\xff\x01\x00", `\#progress/dns/1`, "distinct/\x00\x00"} {
		if _, _, _, ok := ParseValueKey([]byte(key)); ok {
			t.Errorf("%q was read", key)
		}
	}
	if err := ReadValueRow(AppendValueRow(nil)); err != nil {
		t.Error(err)
	}
	for _, b := range [][]byte{nil, {0}, {rowVersion + 1}, {rowVersion, 0}} {
		if err := ReadValueRow(b); err == nil {
			t.Errorf("%v is read as a value", b)
		}
	}
}

// TestNoGroupIsInternal: no key of a table looks like one of ours.
func TestNoGroupIsInternal(t *testing.T) {
	table := compile(t, `CREATE TABLE t AS SELECT query, count(*) AS n FROM dns GROUP BY query`)
	rapid.Check(t, func(t *rapid.T) {
		groups := randomGroupsOf(t, table)
		for key := range groups.All() {
			if IsInternal([]byte(key)) {
				t.Fatalf("%q", key)
			}
		}
	})
	if IsInternal(nil) || IsInternal([]byte(`\`)) || !IsInternal([]byte(`\#`)) {
		t.Error("the edge of what is internal")
	}
}

func TestProgressReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := progresses(t)
		b := append(want.Append(nil), "rest"...)
		got, rest, err := ReadProgress(b)
		if err != nil || got != want || string(rest) != "rest" {
			t.Fatalf("%+v became %+v, rest %q, %v", want, got, rest, err)
		}
		for n := range len(b) - len("rest") {
			if _, _, err := ReadProgress(b[:n]); err == nil {
				t.Fatalf("the first %d bytes are read", n)
			}
		}
	})
}

// TestProgressAdvances: counts are added; times and offsets never go back.
func TestProgressAdvances(t *testing.T) {
	p := Progress{NewestTime: NoTime}
	p.Advance(Progress{Upto: 10, NewestTime: 5, WallTime: 3, Counts: Counts{Read: 4, Counted: 3, Filtered: 1, Lost: 2}})
	p.Advance(Progress{Upto: 10, NewestTime: NoTime, WallTime: 9})
	p.Advance(Progress{Upto: 12, NewestTime: 4, WallTime: 8, Counts: Counts{Read: 5, OtherFeed: 2, NoTime: 1, DeadLettered: 2, BadFields: 7}})
	want := Progress{Upto: 12, NewestTime: 5, WallTime: 9, Counts: Counts{Read: 9, Counted: 3, Filtered: 1, OtherFeed: 2, NoTime: 1, DeadLettered: 2, BadFields: 7, Lost: 2}}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if math.MinInt64 != NoTime {
		t.Error("NoTime is older than any time")
	}
}
