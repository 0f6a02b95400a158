package web

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/brotally/brotally/views/client"
)

// heights are how high a line goes at each of its points, from 0 at the bottom to 1 at the top.
func heights(t *testing.T, line string) []float64 {
	t.Helper()
	var all []float64
	for _, m := range regexp.MustCompile(`[ML][\d.]+ ([\d.]+)`).FindAllStringSubmatch(line, -1) {
		y, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, (27-y)/25)
	}
	return all
}

// TestSpark: a burst leaves height to what comes after it, and is seen to be cut; what is even is not cut.
func TestSpark(t *testing.T) {
	values := []float64{400_000, 400_000, 300_000}
	for range 20 {
		values = append(values, 500)
	}
	s := newSpark(values)
	h := heights(t, s.Line)
	if len(h) != len(values) || h[0] != 1 || h[22] < .3 || h[22] > .35 {
		t.Errorf("after the burst the line is %v high", h)
	}
	if n := strings.Count(s.Cut, "M"); n != 3 || s.Title != "Records a second over the last 23 s, up to 400,000. The line is cut at 1,500." {
		t.Errorf("%d points are cut: %s", n, s.Title)
	}

	for name, values := range map[string][]float64{"even": {10, 12, 9, 11}, "now and then": {0, 0, 0, 50, 0, 0, 48, 0}, "nothing": {0, 0, 0}, "less than one": {0, .1, .2}} {
		if s := newSpark(values); s.Cut != "" || strings.Contains(s.Title, "cut") || len(heights(t, s.Line)) != len(values) {
			t.Errorf("%s: cut at %s: %s", name, s.Cut, s.Title)
		}
	}
	if s := newSpark([]float64{1}); s.Line != "" {
		t.Errorf("one point is a line: %s", s.Line)
	}
}

// rowsOf are rows of texts and a number.
func rowsOf(names []string, values ...[]any) *client.Rows {
	rows := &client.Rows{}
	for i, name := range names {
		kind := "string"
		if _, number := values[0][i].(int); number {
			kind = "ubigint"
		}
		rows.Columns = append(rows.Columns, client.Column{Name: name, Type: kind})
	}
	for _, row := range values {
		var cells []json.RawMessage
		for _, v := range row {
			b, _ := json.Marshal(v) // of text and numbers
			cells = append(cells, b)
		}
		rows.Values = append(rows.Values, cells)
	}
	return rows
}

// TestColumnsOfACard: short texts take what they need, long ones share what is left.
func TestColumnsOfACard(t *testing.T) {
	long := strings.Repeat("a", 60)
	for want, row := range map[string][]any{
		"last ":           {"A", 1},
		" last ":          {"10.20.128.250", "AAAA", 1_000_000},
		"rest  ":          {"dl.softwareupdates.example", "GET", 394},
		" rest ":          {"TLSv13", "TLS_CHACHA20_POLY1305_SHA256", 998},
		"rest rest ":      {long, "b" + long, 5},
		"rest rest rest ": {long, long, long, 5},
	} {
		names := make([]string, len(row))
		for i := range names {
			names[i] = fmt.Sprint("c", i)
		}
		g := newGrid(rowsOf(names, row), nil, "")
		g.fit(cardColumns)
		var got []string
		for _, c := range g.Columns {
			got = append(got, c.Width)
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%v: %q, want %q", row, got, want)
		}
	}
}

// TestBarsHaveNames: each bar has its name and value, NULL is not the text NULL, and what is left out is said.
func TestBarsHaveNames(t *testing.T) {
	var many [][]any
	for i := range 1234 {
		many = append(many, []any{fmt.Sprint("n", i), i * 7 % 11, 2000 - i})
	}
	for _, tc := range []struct {
		rows  *client.Rows
		more  bool
		said  string
		bars  int
		first string
		as    string
	}{
		{rowsOf([]string{"qtype_name", "n"}, []any{nil, 40}, []any{"NULL", 20}), false, "n by qtype_name", 2, "NULL 40 1", "null"},
		{rowsOf([]string{"id.resp_p", "n"}, []any{443, 30}), false, "n by id.resp_p", 1, "443 30 1", ""},
		{rowsOf([]string{"n"}, []any{30}), false, "n", 1, " 30 1", ""},
		{rowsOf([]string{"host", "x", "n"}, many...), false, "n by host: first 30 of 1,234", 30, "n0 2,000 1", ""},
		{rowsOf([]string{"host", "x", "n"}, many...), true, "n by host: first 30 of more than 1,234", 30, "n0 2,000 1", ""},
	} {
		m := &sqlPage{Chart: true}
		m.show(tc.rows, tc.more)
		b := m.Drawn.Rows[0]
		if got := fmt.Sprintf("%s %s %g", b.Title(), b.Value.Text, b.Value.Share); m.Drawn.Said != tc.said || len(m.Drawn.Rows) != tc.bars || got != tc.first {
			t.Errorf("%q, %d bars, the first %q; want %q, %d, %q", m.Drawn.Said, len(m.Drawn.Rows), got, tc.said, tc.bars, tc.first)
		}
		if len(b.Names) > 0 && b.Names[0].As != tc.as {
			t.Errorf("%s: the name is %q, want %q", tc.said, b.Names[0].As, tc.as)
		}
	}
}
