// Package client asks a Brotally server for the rows of its tables. It needs the standard library only.
//
//	c := client.New("http://127.0.0.1:8080")
//	row, err := c.Get(ctx, "dns_counts", "10.0.0.1", "A") // ErrNoRow if there is none
//	n, err := row.Int64("count")
//
//	top, err := c.Rows(ctx, "dns_counts", client.RowsOptions{Order: "-count", Limit: 20})
//	var rows []struct {
//		Host  string  `json:"id.orig_h"`
//		Type  *string `json:"qtype_name"` // NULL is nil
//		Count int64   `json:"count"`
//	}
//	err = top.Decode(&rows)
//
//	for row, err := range c.All(ctx, "dns_counts", client.RowsOptions{Where: map[string]any{"count.gte": 10}}) { .. }
//
//	answer, err := c.Query(ctx, "SELECT sum(count) FROM dns_counts WHERE id.orig_h = $1", "10.0.0.1")
//
//	for change, err := range c.Changes(ctx, "dns_counts", client.ChangesOptions{}) {
//		// the rows, and then whatever becomes of them
//	}
//
// # What passes by itself
//
// A table that is being restored, or a server of which too much is asked, says when to ask again. Requests then wait and do so,
// for as long as their context lasts; see [Client.NoRetry].
//
// # Values
//
// Cells are JSON as the server wrote it: integers of any size are exact. Times are RFC 3339 in UTC, addresses and subnets
// text, intervals seconds, arrays arrays, NULL null.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Client asks one server. Make it with [New]; set the fields before the first use. It is safe for concurrent use.
type Client struct {
	// HTTP sends the requests. Defaults to a client of its own with a time limit of 30 seconds.
	HTTP *http.Client

	// Token is the server's, if it wants one.
	Token string

	// NoRetry has errors that pass by themselves come back at once. Without it a request that the server cannot answer yet, because the
	// table is being restored or too many ask, is sent again when the server says so, for as long as its context lasts.
	NoRetry bool

	base string
	err  error // of base

	mu   sync.Mutex // guards keys
	keys map[string][]string
}

// New returns a client of the server at baseURL, such as "http://127.0.0.1:8080"; without a scheme it is http. That it is
// no URL shows at the first use.
func New(baseURL string) *Client {
	c := &Client{HTTP: &http.Client{Timeout: 30 * time.Second}, keys: map[string][]string{}}
	if !strings.Contains(baseURL, "://") {
		baseURL = "http://" + baseURL
	}
	u, err := url.Parse(baseURL)
	switch {
	case err != nil:
		c.err = fmt.Errorf("address of the server: %w", err)
	case u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		c.err = fmt.Errorf("address of the server: %q is not http://host:port", baseURL)
	default:
		c.base = strings.TrimRight(u.JoinPath("/api/v1").String(), "/")
	}
	return c
}

// Error is an error that the server answered with.
type Error struct {
	Status  int    `json:"-"`       // HTTP's
	Code    string `json:"code"`    // one word: "unknown_table", "not_ready", "sql"
	Message string `json:"message"` // on one line
	Hint    string `json:"hint"`    // what to do about it; may be empty
	Text    string `json:"text"`    // of an error in SQL: message, source line and a caret under the place, on three lines

	// RetryAfter is when it may work, if it passes by itself; 0: it does not.
	RetryAfter time.Duration `json:"-"`
}

func (e *Error) Error() string {
	switch {
	case e.Text != "":
		return e.Text
	case e.Hint != "":
		return e.Message + "; " + e.Hint
	}
	return e.Message
}

// Temporary reports whether the same request may work in a moment: the table is being restored, or the server is busy.
func (e *Error) Temporary() bool { return e.RetryAfter > 0 }

// ErrNoRow says that no row has the key.
var ErrNoRow = errors.New("no row has that key")

// Get returns the row with these values of the group columns, in the order of the table's columns; nil is NULL. The server
// reads that row alone. Without one the error is [ErrNoRow].
func (c *Client) Get(ctx context.Context, table string, key ...any) (Row, error) {
	columns, err := c.keyColumns(ctx, table)
	if err != nil {
		return Row{}, err
	}
	if len(key) != len(columns) {
		return Row{}, fmt.Errorf("get a row of %s: its key has %d columns (%s), %d values are given", table, len(columns), strings.Join(columns, ", "), len(key))
	}
	where := make(map[string]any, len(key))
	for i, name := range columns {
		where[name] = key[i]
	}
	rows, err := c.Rows(ctx, table, RowsOptions{Where: where})
	if err != nil {
		var e *Error
		if errors.As(err, &e) && e.Code == "unknown_parameter" {
			c.forget(table) // the table is another one by now
		}
		return Row{}, err
	}
	if rows.Len() == 0 {
		return Row{}, fmt.Errorf("get a row of %s: %w", table, ErrNoRow)
	}
	return rows.Row(0), nil
}

// keyColumns returns the names of the table's group columns, which it asks for once.
func (c *Client) keyColumns(ctx context.Context, table string) ([]string, error) {
	c.mu.Lock()
	columns, ok := c.keys[table]
	c.mu.Unlock()
	if ok {
		return columns, nil
	}
	t, err := c.Table(ctx, table)
	if err != nil {
		return nil, err
	}
	columns = []string{}
	for _, col := range t.Columns {
		if col.Key {
			columns = append(columns, col.Name)
		}
	}
	c.mu.Lock()
	c.keys[table] = columns
	c.mu.Unlock()
	return columns, nil
}

func (c *Client) forget(table string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.keys, table)
}

// RowsOptions say which rows [Client.Rows] returns. The zero value is all of them, in no order.
type RowsOptions struct {
	// Where is what holds for each of them: column and value, nil is NULL. A column may be followed by an operator: "count.gte" is
	// count >= value; there are ne, lt, lte, gt, gte and, of addresses, subnet.
	Where map[string]any

	Order     string  // such as "-count,qtype_name": by count, the highest first, then by qtype_name. NULL comes last
	Limit     int     // how many rows; 0: all
	Offset    int     // how many rows to leave out before
	After     string  // Meta.Next of an answer with the same Where and Order: go on behind it
	MinOffset Offsets // wait until the table has every record below
	Stale     bool    // what there is will do, also while the table is being restored
}

// Offsets are offsets of source partitions, by topic and partition.
type Offsets map[string]map[int32]int64

// reserved are the server's own parameters: columns with these names are asked for in another way.
var reserved = map[string]bool{"order": true, "limit": true, "offset": true, "after": true, "format": true, "null": true, "spreadsheet": true, "min_offset": true, "stale": true, "snapshot": true, "last_event_id": true}

// Rows returns rows of a table.
func (c *Client) Rows(ctx context.Context, table string, o RowsOptions) (*Rows, error) {
	q, err := where(o.Where)
	if err != nil {
		return nil, fmt.Errorf("rows of %s: %w", table, err)
	}
	if o.Order != "" {
		q.Set("order", o.Order)
	}
	if o.Limit > 0 {
		q.Set("limit", strconv.Itoa(o.Limit))
	}
	if o.Offset > 0 {
		q.Set("offset", strconv.Itoa(o.Offset))
	}
	if o.After != "" {
		q.Set("after", o.After)
	}
	if o.Stale {
		q.Set("stale", "true")
	}
	if len(o.MinOffset) > 0 {
		q.Set("min_offset", o.MinOffset.String())
	}
	return c.rows(ctx, http.MethodGet, "/tables/"+url.PathEscape(table)+"/rows?"+q.Encode(), nil)
}

// pageRows is how many rows [Client.All] asks for at a time unless told otherwise.
const pageRows = 1000

// All returns rows one after the other and asks for them a page at a time: as many as o.Limit says, or 1,000. A row whose values in
// the columns of o.Order stay as they are comes once, whatever becomes of others meanwhile; without an order each row that stays
// does. An error ends it.
func (c *Client) All(ctx context.Context, table string, o RowsOptions) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		if o.Limit <= 0 {
			o.Limit = pageRows
		}
		for {
			rows, err := c.Rows(ctx, table, o)
			if err != nil {
				yield(Row{}, err)
				return
			}
			for i := range rows.Len() {
				if !yield(rows.Row(i), nil) {
					return
				}
			}
			if rows.Meta.Next == "" {
				return
			}
			o.After, o.MinOffset = rows.Meta.Next, nil // it is that fresh by now
		}
	}
}

// where are the parameters that say what columns have to equal.
func where(columns map[string]any) (url.Values, error) {
	q := url.Values{}
	for name, v := range columns {
		text, err := valueText(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if reserved[name] {
			name = "col." + name
		}
		q.Set(name, text)
	}
	return q, nil
}

// String writes offsets as the server reads them: "dns/0:41,dns/1:17".
func (o Offsets) String() string {
	var parts []string
	for topic, partitions := range o {
		for p, offset := range partitions {
			parts = append(parts, fmt.Sprintf("%s/%d:%d", topic, p, offset))
		}
	}
	return strings.Join(parts, ",")
}

// valueText writes a value as the server reads it: NULL is \N, and a text that begins with a backslash gets one more.
func valueText(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return `\N`, nil
	case string:
		if strings.HasPrefix(v, `\`) {
			v = `\` + v
		}
		return v, nil
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano), nil
	case fmt.Stringer: // netip.Addr, net.IP, netip.Prefix, json.Number, big.Int
		return v.String(), nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	text := string(b)
	if b[0] == '"' {
		err = json.Unmarshal(b, &text)
	}
	return text, err
}

// Query runs a SELECT over a table. params are what $1, $2 .. stand for: nil, bool, numbers, strings, and what encodes as
// one of them in JSON, such as time.Time and netip.Addr.
func (c *Client) Query(ctx context.Context, sql string, params ...any) (*Rows, error) {
	body, err := queryBody(sql, params)
	if err != nil {
		return nil, err
	}
	return c.rows(ctx, http.MethodPost, "/query", body)
}

// rows sends a request that rows answer.
func (c *Client) rows(ctx context.Context, method, path string, body []byte) (*Rows, error) {
	var r Rows
	if err := c.send(ctx, method, path, body, &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// send sends a request and decodes its answer.
func (c *Client) send(ctx context.Context, method, path string, body []byte, answer any) error {
	for {
		err := c.sendOnce(ctx, method, path, body, answer)
		var e *Error
		if c.NoRetry || !errors.As(err, &e) || !e.Temporary() {
			return err
		}
		if sleep(ctx, e.RetryAfter) != nil {
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

// sleep waits; the error is ctx's.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// request makes a request, which carries the token.
func (c *Client) request(ctx context.Context, method, path string, body io.Reader, accept string) (*http.Request, error) {
	if c.err != nil {
		return nil, c.err
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	return req, nil
}

func (c *Client) http() *http.Client {
	if c.HTTP == nil {
		return http.DefaultClient
	}
	return c.HTTP
}

func (c *Client) sendOnce(ctx context.Context, method, path string, body []byte, answer any) error {
	req, err := c.request(ctx, method, path, bytes.NewReader(body), "application/json")
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http().Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return readError(res)
	}
	d := json.NewDecoder(res.Body)
	d.UseNumber()
	if s, ok := answer.(streamed); ok {
		err = s.read(d)
	} else {
		err = d.Decode(answer)
	}
	if err != nil {
		return fmt.Errorf("answer of %s: %w", c.base, err)
	}
	return nil
}

// maxError is how much of an answer that is no answer is read.
const maxError = 64 << 10

func readError(res *http.Response) error {
	e := &Error{}
	b, _ := io.ReadAll(io.LimitReader(res.Body, maxError)) // what came will have to do
	if json.Unmarshal(b, &struct{ Error *Error }{e}) != nil || e.Code == "" {
		return fmt.Errorf("%s answers %s", res.Request.URL.Host, res.Status) // not one of our servers
	}
	e.Status = res.StatusCode
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	return e
}
