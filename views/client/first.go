package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// firstBytes is how much of the rows QueryFirst returns, and one row more.
const firstBytes = 4 << 20

// QueryFirst returns the first rows of a query's answer, at most most and 4 MiB of their JSON, and whether there are more. The others are not read, and the server
// stops when it notices. Of an answer that has more, Meta is empty: it comes behind the rows.
func (c *Client) QueryFirst(ctx context.Context, most int, sql string, params ...any) (*Rows, bool, error) {
	body, err := queryBody(sql, params)
	if err != nil {
		return nil, false, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first := firstRows{most: most}
	if err := c.send(ctx, http.MethodPost, "/query", body, &first); err != nil {
		return nil, false, err
	}
	return &first.rows, first.more, nil
}

// streamed is an answer that is read as it comes.
type streamed interface{ read(*json.Decoder) error }

// firstRows are the first rows of an answer.
type firstRows struct {
	most int
	rows Rows
	more bool
	size int
}

func (f *firstRows) read(d *json.Decoder) error {
	f.rows, f.more, f.size = Rows{}, false, 0
	if err := open(d, '{'); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		switch name {
		case "columns":
			err = d.Decode(&f.rows.Columns)
		case "rows":
			if err = f.readRows(d); f.more {
				return nil
			}
		case "meta":
			err = d.Decode(&f.rows.Meta)
		default:
			err = d.Decode(new(json.RawMessage))
		}
		if err != nil {
			return err
		}
	}
	_, err := d.Token() // its end: an answer that broke off has none
	return err
}

func (f *firstRows) readRows(d *json.Decoder) error {
	if err := open(d, '['); err != nil {
		return err
	}
	for d.More() {
		if len(f.rows.Values) == f.most || f.size > firstBytes {
			f.more = true
			return nil
		}
		var row []json.RawMessage
		if err := d.Decode(&row); err != nil {
			return err
		}
		f.rows.Values = append(f.rows.Values, row)
		for _, value := range row {
			f.size += len(value)
		}
	}
	_, err := d.Token()
	return err
}

// open reads where an object or an array begins.
func open(d *json.Decoder, delim json.Delim) error {
	token, err := d.Token()
	switch {
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	case token != delim:
		return fmt.Errorf("%v where %v is expected", token, delim)
	}
	return nil
}

// queryBody is what asks a query.
func queryBody(sql string, params []any) ([]byte, error) {
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"sql": sql, "params": params})
	if err != nil {
		return nil, fmt.Errorf("parameters of the query: %w", err)
	}
	return body, nil
}
