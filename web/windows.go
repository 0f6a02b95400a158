package web

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/brotally/brotally/tables/sql"
	"github.com/brotally/brotally/views/client"
)

const (
	windowBars  = 40 // how many windows are drawn
	windowParts = 5  // how many groups are told apart; the rest is one
)

// windowed draws a table that has windows and a count: a bar for each window, of the groups that count most. It asks for them
// now and then.
type windowed struct {
	drawn *chart
	due   time.Time
}

// chart is nil for other tables.
func (w *windowed) chart(ctx context.Context, api *client.Client, t *client.Table) *chart {
	has := func(name string) bool {
		return slices.ContainsFunc(t.Columns, func(c client.TableColumn) bool { return c.Name == name })
	}
	if !has("window_start") || !has("count") {
		return nil
	}
	if time.Now().Before(w.due) {
		return w.drawn
	}
	began := time.Now()
	part := "NULL"
	for _, c := range t.Columns {
		if c.Key && !strings.HasPrefix(c.Name, "window_") {
			part = sql.Identifier(c.Name)
			break
		}
	}
	from := "SELECT window_start, " + part + " AS part, sum(count) AS n FROM " + sql.Identifier(t.Name) + " GROUP BY 1, 2"
	if part == "NULL" {
		from = "SELECT window_start, '' AS part, sum(count) AS n FROM " + sql.Identifier(t.Name) + " GROUP BY window_start"
	}
	if rows, err := api.Query(ctx, from); err == nil {
		w.drawn = windowChart(rows)
	}
	w.due = time.Now().Add(max(2*time.Second, 20*time.Since(began)))
	return w.drawn
}

func windowChart(rows *client.Rows) *chart {
	type place struct{ window, part string }
	counts := map[place]float64{}
	sums := map[string]float64{}
	windows := map[string]bool{}
	for _, v := range rows.Values {
		window, part, n := show(v[0], rows.Columns[0].Type), show(v[1], rows.Columns[1].Type), show(v[2], rows.Columns[2].Type)
		counts[place{window.Text, part.Text}] += n.Number
		windows[window.Text] = true
	}
	places := make([]string, 0, len(windows))
	for w := range windows {
		places = append(places, w)
	}
	slices.Sort(places)
	places = places[max(0, len(places)-windowBars):]
	for at, n := range counts {
		if _, shown := slices.BinarySearch(places, at.window); shown {
			sums[at.part] += n
		}
	}
	names := make([]string, 0, len(sums))
	for name := range sums {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if sums[a] != sums[b] {
			return int(min(max(sums[b]-sums[a], -1), 1))
		}
		return strings.Compare(a, b)
	})
	shown := names[:min(len(names), windowParts)]
	values := make([][]float64, len(shown))
	rest := make([]float64, len(places))
	for i, w := range places {
		for j, name := range names {
			if n := counts[place{w, name}]; j < len(shown) {
				values[j] = append(values[j], n)
			} else {
				rest[i] += n
			}
		}
	}
	shown = slices.Clone(shown)
	if len(names) > windowParts {
		shown, values = append(shown, "others"), append(values, rest)
	}
	return barChart(shown, places, values)
}
