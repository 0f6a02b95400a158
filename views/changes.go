package views

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/brotally/brotally/internal/kafka"
)

// The parameters of a changes request; all others are columns, as in a rows request.
const (
	paramSnapshot = "snapshot"
	paramLastID   = "last_event_id"
)

var changesParams = []string{paramSnapshot, paramLastID, paramStale}

// The events of a stream of changes.
const (
	eventSnapshot = "snapshot" // what was said before no longer holds; the rows follow
	eventRows     = "rows"     // rows of the snapshot
	eventUpsert   = "upsert"   // a row is there, or is another one
	eventDelete   = "delete"   // a row is no longer there
	eventAsOf     = "as_of"    // what was said up to here is the table as of that; its id is where to go on
	eventReset    = "reset"    // the changes do not go on where they were
	eventError    = "error"    // the stream ends
)

const (
	// heartbeat is ServerConfig's default.
	heartbeat = 15 * time.Second

	// asOfEvery is how often is said how far the table is while no row changes.
	asOfEvery = time.Second

	// aheadPatience is how long a view may take to get to where a listener is already, who comes from another server's.
	aheadPatience = 10 * time.Second

	// scannedToSend is how many rows a snapshot reads at a time: fewer than a look-up does, as each is written down meanwhile.
	scannedToSend = 512

	// drained is how many changes of a partition are read at a time. Those of one row among them are sent once.
	drained = 8192
)

// changes answers GET /api/v1/tables/{t}/changes.
func (s *server) changes(w http.ResponseWriter, r *http.Request) error {
	view, err := s.view(r)
	if err != nil {
		return err
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return bad("bad_parameter", "the query string is not one: "+err.Error(), "")
	}
	l := &listener{server: s, name: r.PathValue("table"), query: query, view: view, snapshot: true}
	if s.tokens != nil {
		l.token, l.let = tokenOf(r), s.tokens.all.Load()
	}
	if l.stale, err = parseBool(paramStale, query.Get(paramStale)); err != nil {
		return err
	}
	if query.Has(paramSnapshot) {
		if l.snapshot, err = parseBool(paramSnapshot, query.Get(paramSnapshot)); err != nil {
			return err
		}
	}
	if l.shape, err = newShape(view, query); err != nil {
		return err
	}
	// A browser that comes back names the same URL as before, and says in the header what it has heard since.
	if l.last = or(r.Header.Get("Last-Event-ID"), query.Get(paramLastID)); l.last == noID {
		l.last = ""
	}
	if h := view.held.Load(); !h.ready && !l.stale {
		return view.notReady(h)
	}
	leave, err := view.gate.listen()
	if err != nil {
		return err
	}
	defer leave()
	l.events = events{w: w, control: http.NewResponseController(w), reading: view.gate.limits.Reading}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		return nil
	}
	if stopping, ok := r.Context().Value(stopping{}).(<-chan struct{}); ok {
		l.stopping = stopping
	}
	l.serve(r.Context())
	return nil
}

// lifeOf names the life of a changelog, and what is read in it: of a topic that was made anew, and of another definition, offsets
// say something else. It is the same in all servers.
func lifeOf(topic kafka.Topic, key string) string {
	if topic.ID == "" {
		// Brokers before 2.8 give no ids: then nobody but us knows.
		return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(time.Now().UnixNano(), 36)))
	}
	sum := sha256.Sum256([]byte(topic.ID + " " + key))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

// eventID writes where a listener is: LIFE.OFFSET-OFFSET-.., the changelog's next offsets by partition.
func eventID(life string, at []int64) string {
	b := append([]byte(life), '.')
	for i, offset := range at {
		if i > 0 {
			b = append(b, '-')
		}
		b = strconv.AppendInt(b, offset, 10)
	}
	return string(b)
}

// parseEventID reads what [eventID] has written. what says why that does not lead to the table as it is; empty: it may.
func parseEventID(text, life string, partitions int32) (at []int64, what *restart) {
	of, offsets, ok := strings.Cut(text, ".")
	for part := range strings.SplitSeq(offsets, "-") {
		offset, err := strconv.ParseInt(part, 10, 64)
		if !ok || err != nil || offset < 0 || len(at) > 1<<16 {
			return nil, &restart{"unknown_id", "the last event's id is none of this server's"}
		}
		at = append(at, offset)
	}
	if of != life || len(at) != int(partitions) {
		return nil, &restart{"another_life", "the table was built anew, or is defined in another way, since the last event"}
	}
	return at, nil
}

// noID is the id of events that there is no going on from: who comes back with it begins anew. It is not empty: a browser would send none
// then, and what its address says as last_event_id, which it had heard long before, would be taken for the last event.
const noID = "-"

// restart is why a listener cannot go on where it was: the event reset.
type restart struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

func (r *restart) Error() string { return r.Message }

var (
	restartTooOld   = &restart{"too_old", "the changes since the last event are no longer kept"}
	restartAhead    = &restart{"ahead", "this server has not come to where the last event was"}
	restartRebuilt  = &restart{"rebuilt", "the view of the table is built anew"}
	restartRestored = &restart{"restored", "the table is restored: all rows are there"}
	restartDefined  = &restart{"redefined", "the table is defined in another way"}
)

// errWithdrawn ends the stream of one whose token is none any more.
var errWithdrawn = &apiError{status: http.StatusUnauthorized, Code: "unauthorized", Message: "the token is no longer let in", Hint: "come back with another one"}

// errTooSlow ends the stream of a listener for whom changes are no longer kept.
var errTooSlow = &apiError{Code: "too_slow", Message: "what was sent is read more slowly than the table changes, and the changes are no longer kept",
	Hint: "read faster, or ask for fewer rows with COLUMN=value; who comes back gets the rows anew"}

// say puts in an event whose data is a value's JSON.
func (e *events) say(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("event %s: %w", name, err)
	}
	e.event(name)
	e.buf = append(e.buf, b...)
	// Who loses the connection while it has half a snapshot must not go on where it was before it.
	if name == eventSnapshot || name == eventReset {
		e.endAt(noID)
		return nil
	}
	e.end()
	return nil
}
