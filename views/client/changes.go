package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"time"
)

// ChangeKind says what a [Change] is.
type ChangeKind string

// The kinds of changes.
const (
	// Snapshot says that all rows follow, as upserts: what was known of the table before no longer holds.
	Snapshot ChangeKind = "snapshot"
	// Upsert says that there is such a row, in the place of one with its key if there was one.
	Upsert ChangeKind = "upsert"
	// Delete says that there is no longer a row with that key. There need not have been one.
	Delete ChangeKind = "delete"
	// AsOf says that all of the above is the table, as it was at a time: its id is where to go on.
	AsOf ChangeKind = "as_of"
	// Reset says that some changes are missed, and why. A snapshot follows, unless none is wanted.
	Reset ChangeKind = "reset"
)

// Change is one thing that is to be known of a table's rows.
type Change struct {
	Kind ChangeKind

	// Key is the row's, of an Upsert and a Delete: the text of its key on the result topic.
	Key string
	// Row is the whole row of an Upsert, and the group columns alone of a Delete. Its Meta has nothing.
	Row Row
	// Approximate are the columns of an Upsert whose values are estimates where they would be exact.
	Approximate []string

	// Columns are the table's, of a Snapshot.
	Columns []TableColumn

	// ID of an AsOf is where to go on, at any server of the same tables: see [ChangesOptions.From]. It is empty as long as
	// Partial is true.
	ID string
	// AsOf are the next offsets of the source partitions, of an AsOf: every record below is in the rows.
	AsOf Offsets
	// EventTime is the newest time of a record, of an AsOf; nil when there is none.
	EventTime *time.Time
	// Groups is how many groups the table has, of an AsOf; HAVING may show fewer rows.
	Groups int
	// Partial of a Snapshot says that the table is being restored, and that rows are missing.
	Partial bool

	// Reason of a Reset is one word, Message is for people.
	Reason, Message string
}

// ChangesOptions say which changes [Client.Changes] returns. The zero value is all rows, and then all changes.
type ChangesOptions struct {
	Where      map[string]any // column: value; nil is NULL. All have to be equal
	NoSnapshot bool           // only changes, from now on
	From       string         // go on behind the AsOf with this ID
	Stale      bool           // what there is will do, also while the table is being restored

	// Silence is after how long without a word from the server it is taken for gone, and asked anew. The server says something every
	// 15 seconds. Defaults to 45 seconds.
	Silence time.Duration
}

const (
	// backoffLeast and backoffMost are how long a lost connection waits before it is tried again: twice as long each time.
	backoffLeast = 100 * time.Millisecond
	backoffMost  = 10 * time.Second

	// silence is ChangesOptions.Silence's default: three of the server's heartbeats.
	silence = 45 * time.Second

	// maxEvent is how large an event may be. The server sends 64 KiB and a row at most.
	maxEvent = 64 << 20
)

// Changes returns the rows of a table and then their changes, for as long as ctx lasts.
//
// A lost connection is made anew, as often as need be, and goes on where it was: no change is missed, and between two AsOf all or
// nothing of a batch comes. What a snapshot was about is given up with it, and another one comes. Where changes are no longer kept there is a
// Reset.
//
// An error is the last that comes: ctx's, *[Error] for what the server will not answer, or that the server is not there to begin with.
// While the table is being restored it waits, unless [Client.NoRetry] is set.
func (c *Client) Changes(ctx context.Context, table string, o ChangesOptions) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		q, err := where(o.Where)
		if err != nil {
			yield(Change{}, fmt.Errorf("changes of %s: %w", table, err))
			return
		}
		if o.NoSnapshot {
			q.Set("snapshot", "false")
		}
		if o.Stale {
			q.Set("stale", "true")
		}
		f := &following{client: c, path: "/tables/" + url.PathEscape(table) + "/changes?" + q.Encode(), silence: o.Silence, id: o.From, yield: yield}
		if f.silence <= 0 {
			f.silence = silence
		}
		if err := f.run(ctx); !errors.Is(err, errEnough) {
			yield(Change{}, err)
		}
	}
}

// following is one call of Changes.
type following struct {
	client  *Client
	path    string
	silence time.Duration
	yield   func(Change, error) bool

	id      string // of the last AsOf
	columns map[string]string
	held    []Change // of a batch that is not whole yet
	whole   bool     // no snapshot is under way
	heard   bool     // an AsOf, since the server was last asked
	ever    bool     // at all
}

// errEnough says that the caller has enough.
var errEnough = errors.New("the caller has enough")

// errForeign says that the server sends what is none of our events.
var errForeign = errors.New("this is no stream of changes")

// run connects as often as need be. It returns why it cannot go on.
func (f *following) run(ctx context.Context) error {
	backoff := backoffLeast
	for {
		f.heard = false
		err := f.connect(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var answered *Error
		pause := backoff/2 + rand.N(backoff/2) // many that lose one server do not come back at once
		switch {
		case errors.Is(err, errEnough), errors.Is(err, errForeign):
			return err
		case errors.As(err, &answered) && answered.Temporary():
			if f.client.NoRetry && !f.ever {
				return err
			}
			pause = answered.RetryAfter
		case errors.As(err, &answered) && answered.Status < http.StatusInternalServerError && answered.Status > 0, !f.ever:
			return err
		}
		if f.heard {
			backoff = backoffLeast
			pause = rand.N(backoff)
		} else {
			backoff = min(2*backoff, backoffMost)
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// connect asks once, and passes on what comes until the connection ends.
func (f *following) connect(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	quiet := time.AfterFunc(f.silence, cancel)
	defer quiet.Stop()
	req, err := f.client.request(ctx, http.MethodGet, f.path, http.NoBody, "text/event-stream")
	if err != nil {
		return err
	}
	if f.id != "" {
		req.Header.Set("Last-Event-ID", f.id)
	}
	endless := *f.client.http()
	endless.Timeout = 0
	res, err := endless.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return readError(res)
	}
	if kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); kind != "text/event-stream" {
		return fmt.Errorf("%s answers with %q: %w", res.Request.URL.Host, kind, errForeign)
	}
	f.ever, f.held, f.whole = true, nil, f.id != "" || f.whole
	r := bufio.NewReaderSize(res.Body, 64<<10)
	var e event
	for {
		quiet.Reset(f.silence)
		line, err := readLine(r, e.data)
		if err != nil {
			return err
		}
		quiet.Stop() // the caller may take its time
		if len(line) > 0 {
			e.take(line)
			continue
		}
		if e.name != "" {
			if err := f.pass(&e); err != nil {
				return err
			}
		}
		e = event{data: e.data[:0]}
	}
}

// event is a server-sent event.
type event struct {
	name  string
	data  []byte
	id    string
	hasID bool
}

// take takes in a line of an event.
func (e *event) take(line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "event":
		e.name = string(value)
	case "data":
		e.data = append(e.data, value...) // the server writes one line
	case "id":
		e.id, e.hasID = string(value), true
	}
}

// readLine reads a line without its end, which is valid until the next one.
func readLine(r *bufio.Reader, have []byte) (line []byte, err error) {
	var long []byte
	for {
		part, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if len(have)+len(long)+len(part) > maxEvent {
			return nil, fmt.Errorf("an event of the server is larger than %d MiB: %w", maxEvent>>20, errForeign)
		}
		if err == nil && long == nil {
			return bytes.TrimRight(part, "\r\n"), nil
		}
		long = append(long, part...)
		if err == nil {
			return bytes.TrimRight(long, "\r\n"), nil
		}
	}
}

// keyed is a row in an event.
type keyed struct {
	Key         string          `json:"key"`
	Row         json.RawMessage `json:"row"`
	Approximate []string        `json:"approximate"`
}

// pass gives the caller what an event says: of a batch when it is whole.
func (f *following) pass(e *event) error {
	switch e.name {
	case "snapshot":
		c := Change{Kind: Snapshot}
		said := struct {
			Columns []TableColumn `json:"columns"`
			Partial *bool         `json:"partial"`
		}{Partial: &c.Partial}
		if err := json.Unmarshal(e.data, &said); err != nil {
			return badEvent(e, err)
		}
		c.Columns = said.Columns
		f.columns = make(map[string]string, len(c.Columns))
		for _, column := range c.Columns {
			f.columns[column.Name] = column.Type
		}
		f.id, f.held, f.whole = "", nil, false
		return f.give(c)
	case "rows":
		var rows []keyed
		if err := json.Unmarshal(e.data, &rows); err != nil {
			return badEvent(e, err)
		}
		for _, k := range rows {
			if err := f.giveRow(Upsert, k); err != nil {
				return badEvent(e, err)
			}
		}
		return nil
	case "upsert", "delete":
		var k keyed
		err := json.Unmarshal(e.data, &k)
		if err == nil {
			err = f.giveRow(ChangeKind(e.name), k)
		}
		return badEvent(e, err)
	case "as_of":
		c := Change{Kind: AsOf, ID: e.id}
		said := struct {
			AsOf      *Offsets    `json:"as_of"`
			EventTime **time.Time `json:"event_time"`
			Groups    *int        `json:"groups"`
		}{&c.AsOf, &c.EventTime, &c.Groups}
		if err := json.Unmarshal(e.data, &said); err != nil {
			return badEvent(e, err)
		}
		held := f.held
		f.held, f.whole, f.heard = nil, true, true
		for _, h := range held {
			if err := f.give(h); err != nil {
				return err
			}
		}
		if e.hasID {
			f.id = e.id
		}
		return f.give(c)
	case "reset":
		c := Change{Kind: Reset}
		said := struct {
			Reason  *string `json:"reason"`
			Message *string `json:"message"`
		}{&c.Reason, &c.Message}
		if err := json.Unmarshal(e.data, &said); err != nil {
			return badEvent(e, err)
		}
		f.id, f.held = "", nil
		return f.give(c)
	case "error":
		said := &Error{}
		if err := json.Unmarshal(e.data, said); err != nil {
			return badEvent(e, err)
		}
		return said // asked anew the server says whether it is the end
	}
	return nil // of a newer server
}

func badEvent(e *event, err error) error {
	if err == nil || errors.Is(err, errEnough) {
		return err
	}
	return fmt.Errorf("event %s of the server: %w: %w", e.name, errForeign, err)
}

func (f *following) give(c Change) error {
	if !f.yield(c, nil) {
		return errEnough
	}
	return nil
}

// giveRow gives the caller a row at once while a snapshot is under way, else when its batch is whole.
func (f *following) giveRow(kind ChangeKind, k keyed) error {
	c := Change{Kind: kind, Key: k.Key, Approximate: k.Approximate}
	d := json.NewDecoder(bytes.NewReader(k.Row))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		text, _ := name.(string)
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		c.Row.columns = append(c.Row.columns, Column{Name: text, Type: f.columns[text]})
		c.Row.values = append(c.Row.values, value)
	}
	if f.whole {
		f.held = append(f.held, c)
		return nil
	}
	return f.give(c)
}
