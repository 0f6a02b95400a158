package catalog

import (
	"encoding/json"
	"fmt"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// entryColumn is a column of a feed as the catalog holds it.
type entryColumn struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Columns returns the columns that an entry's table reads and that are not built in, with the types that they had when
// the table was made. Who compiles the table again must take them, not what a topic's records look like today.
func Columns(e kafka.Entry) ([]feeds.Column, error) {
	if len(e.Columns) == 0 {
		return nil, nil
	}
	var stored []entryColumn
	if err := json.Unmarshal(e.Columns, &stored); err != nil {
		return nil, fmt.Errorf("columns of table %s in the catalog: %w", e.Table, err)
	}
	var all []feeds.Column
	for _, c := range stored {
		t, ok := feeds.ParseType(c.Type)
		if !ok {
			return nil, fmt.Errorf("column %s of table %s in the catalog has type %s, which this program does not know: update it", c.Name, e.Table, c.Type)
		}
		all = append(all, feeds.Column{Name: c.Name, Type: t})
	}
	return all, nil
}

// Discovered returns the columns that t reads and that are not built in, as the catalog holds them.
func Discovered(t *tables.Definition) (json.RawMessage, error) {
	var all []entryColumn
	builtIn, known := feeds.Lookup(t.Feed.Name)
	for _, c := range t.Inputs {
		if known {
			if i, ok := builtIn.Column(c.Name); ok && builtIn.Columns[i].Type == c.Type {
				continue
			}
		}
		all = append(all, entryColumn{c.Name, c.Type.String()})
	}
	if all == nil {
		return nil, nil
	}
	return json.Marshal(all)
}
