package views

import (
	"fmt"
	"slices"
	"testing"
)

func TestScatteredMeetsEachOnce(t *testing.T) {
	for n := range 70 {
		met := slices.Collect(scattered(n))
		slices.Sort(met)
		for i, at := range met {
			if i != at {
				t.Fatalf("of %d: %v", n, met)
			}
		}
		if len(met) != n {
			t.Fatalf("of %d: %v", n, met)
		}
	}
}

// TestTheTopOfManyRows: however rows lie, and whatever is passed over, the top is that of all rows.
func TestTheTopOfManyRows(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	f.fill(5*scanned*partitions + 100)
	ask := func(text string) []string {
		l, err := f.Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		a, err := l.View.Query(t.Context(), l.Select, nil)
		if err != nil {
			t.Fatal(err)
		}
		rows := make([]string, len(a.Rows))
		for i, row := range a.Rows {
			rows[i] = fmt.Sprint(row)
		}
		return rows
	}
	for _, order := range []string{"id.orig_h", "id.orig_h DESC", "count DESC, id.orig_h", "count, qtype_name DESC, id.orig_h DESC", "id.orig_h || 'x' DESC"} {
		all := ask("SELECT * FROM dns_counts ORDER BY " + order)
		for _, c := range []struct{ limit, offset int }{{1, 0}, {7, 0}, {7, 100}, {3000, 2500}, {10, len(all) - 5}} {
			got := ask(fmt.Sprintf("SELECT * FROM dns_counts ORDER BY %s LIMIT %d OFFSET %d", order, c.limit, c.offset))
			if want := all[c.offset:min(len(all), c.offset+c.limit)]; !slices.Equal(got, want) {
				t.Errorf("%s, %d from %d on: %d rows, %.200v, want %.200v", order, c.limit, c.offset, len(got), got, want)
			}
		}
	}
}
