package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Table is one table of the server.
type Table struct {
	Name      string     `json:"name"`
	Feed      string     `json:"feed"`
	Ready     bool       `json:"ready"`
	State     string     `json:"state"` // in words
	Groups    int        `json:"groups"`
	EventTime *time.Time `json:"event_time"`
	Heard     *time.Time `json:"heard"` // when the processors last spoke of it, which they do each second: of the source partition that is silent for longest
	Counts    Counts     `json:"counts"`
	Bytes     int64      `json:"bytes"`    // estimate of the memory that the rows take
	Recovery  *Recovery  `json:"recovery"` // while it is not ready

	// The rest comes from [Client.Table] only.
	SQL     string        `json:"sql"`
	Columns []TableColumn `json:"columns"`
	Topics  Topics        `json:"topics"`
	AsOf    Offsets       `json:"as_of"`
	AddsUp  bool          `json:"adds_up"` // see [Counts], in every source partition

	Progress []Progress `json:"progress"` // by topic and partition
}

// Recovery is how much of a table's changelog was read.
type Recovery struct {
	Done  int64 `json:"done"` // offsets
	Total int64 `json:"total"`
}

// Progress is how far a table reflects one source partition.
type Progress struct {
	Topic     string     `json:"topic"`
	Partition int32      `json:"partition"`
	Offset    int64      `json:"offset"`     // every record below it is in the table
	EventTime *time.Time `json:"event_time"` // newest seen
	Heard     *time.Time `json:"heard"`      // when the processors last spoke of it
	Counts    Counts     `json:"counts"`
}

// TableColumn is one column of a table.
type TableColumn struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	Key       bool   `json:"key"` // a group column
	Aggregate bool   `json:"aggregate"`
}

// Topics are the topics of a table.
type Topics struct {
	Feed      []string `json:"feed"`
	Result    string   `json:"result"`
	Partials  string   `json:"partials"`
	Changelog string   `json:"changelog"`
}

// Tables returns the server's tables by name.
func (c *Client) Tables(ctx context.Context) ([]Table, error) {
	var answer struct{ Tables []Table }
	err := c.send(ctx, http.MethodGet, "/tables", nil, &answer)
	return answer.Tables, err
}

// Table returns one table with its columns and topics.
func (c *Client) Table(ctx context.Context, name string) (*Table, error) {
	var t Table
	if err := c.send(ctx, http.MethodGet, "/tables/"+url.PathEscape(name), nil, &t); err != nil {
		return nil, err
	}
	return &t, nil
}
