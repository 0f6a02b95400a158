package views

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/grouptable"
	"github.com/brotally/brotally/internal/output"
	"github.com/brotally/brotally/tables"
)

// listener is one client that follows the changes of a table.
//
// What it was sent is, at each as_of, the rows as they were at certain offsets of the changelog's partitions: at. Changes behind
// them come from what the partitions remember (grouptable). A row may be newer than at says: the table goes on changing while a
// snapshot is read, and a client may have heard half of a batch before it lost its connection. So a row that is gone is said to be
// gone if it was shown at any time since at, and not only if it was shown then.
type listener struct {
	*server
	events

	name     string // of the table, as it was asked for
	query    url.Values
	snapshot bool // rows first
	stale    bool // those of a table that is being restored will do
	last     string
	stopping <-chan struct{} // nil: nobody says
	token    string          // what the client has shown
	let      *[]token        // the tokens that it was among; nil: none are wanted

	view  *View
	shape *shape

	at []int64 // by partition; -1: nothing of it was sent yet

	told      *AsOf // what was said last
	toldAt    time.Time
	owed      bool      // with rows: the table may be further as soon as its other partitions have said so
	behindFor time.Time // since when the view has not come to at; zero: it has

	changes []grouptable.Change
	fates   map[string]fate
	batch   int // changes sent since the last as_of
}

// errEnd ends a stream with nothing to say: the client is gone or does not read, or the server stops.
var errEnd = errors.New("the stream ends")

// serve sends events until the client is gone, the server stops, or it cannot go on.
func (l *listener) serve(ctx context.Context) {
	err := l.begin()
	for first := true; err == nil; first = false {
		err = l.turn(ctx, first)
		var why *restart
		if errors.As(err, &why) {
			l.last = ""
			err = errors.Join(l.say(eventReset, why), l.flush(), l.again())
		}
	}
	if ctx.Err() != nil || errors.Is(err, errEnd) {
		return
	}
	failed := asAPIError(err)
	if failed.status == http.StatusInternalServerError {
		l.log.Error("changes end", "table", l.name, "error", err)
	}
	_ = l.say(eventError, failed) // it can be written
	_ = l.flush()                 // and who is gone needs none
}

// again looks which view has the table by now.
func (l *listener) again() error {
	view, ok := l.views.Named(l.name)
	if !ok {
		return asAPIError(l.views.shown.Load().unknown(l.name))
	}
	if view == l.view {
		return nil
	}
	shape, err := newShape(view, l.query)
	if err != nil {
		return asAPIError(err)
	}
	l.view, l.shape = view, shape
	return nil
}

// turn follows one state of the view for as long as it holds. The error is *restart when another one has taken its place.
func (l *listener) turn(ctx context.Context, first bool) error {
	shown, h := l.views.shown.Load(), l.view.held.Load()
	l.told, l.toldAt, l.owed, l.batch, l.behindFor = nil, time.Time{}, false, 0, time.Time{}
	if view, ok := shown.named(l.name); !ok || view != l.view {
		return restartDefined
	}
	if !h.ready {
		if first && l.stale {
			if err := l.partial(ctx, h); err != nil {
				return err
			}
		}
		for !h.ready {
			if err := l.wait(ctx, h, shown, nil); err != nil && !errors.Is(err, restartRebuilt) {
				return err
			}
			h = l.view.held.Load()
		}
		if first {
			return restartRestored
		}
	}
	defer h.store.Remember(l.view.keep())()
	l.at = make([]int64, h.partitions)
	resumed, err := l.resume(h)
	switch {
	case err != nil:
		return err
	case resumed:
	case l.snapshot:
		if err := l.sendSnapshot(ctx, h); err != nil {
			return err
		}
	default:
		for n := range l.at {
			l.at[n] = h.mustPartition(int32(n)).Next()
		}
	}
	for {
		if err := l.allowed(); err != nil {
			return err
		}
		changed := h.store.Changed() // before looking, so that no change is missed
		asOf := l.view.AsOf()        // and this, so that it is a floor of what is sent
		more, err := l.drain(h)
		if err != nil {
			return err
		}
		switch {
		case more && l.told == nil:
			// What was sent is the table as of no time that is known: the client has only begun to catch up.
		case l.batch > 0 || l.told == nil || l.owed && !asOf.same(l.told) || asOf != l.told && time.Since(l.toldAt) >= asOfEvery:
			if more {
				asOf = l.told
			}
			l.sayAsOf(h, asOf)
		}
		if err := l.flush(); err != nil {
			return err
		}
		if more {
			changed = ready
		}
		if err := l.wait(ctx, h, shown, changed); err != nil {
			return err
		}
	}
}

// ready is a channel that is closed.
var ready = func() <-chan struct{} { c := make(chan struct{}); close(c); return c }()

// mustPartition returns one of a view that is ready, which has them all.
func (h *held) mustPartition(number int32) *grouptable.Partition {
	p, ok := h.partition(number)
	if !ok {
		panic(fmt.Sprintf("a view that is ready has no partition %d", number))
	}
	return p
}

// keep says which changes of the table are kept.
func (v *View) keep() grouptable.Keep {
	limits := v.gate.limits
	k := grouptable.Keep{Changes: limits.Changes, Bytes: limits.ChangesBytes, Linger: limits.Linger, Shows: func(key string, s tables.State) bool {
		shown, err := v.table.Shows(key, s)
		return shown || err != nil // a delete too many does no harm
	}}
	if v.single() {
		row, err := v.empty()
		k.Absent = row != nil || err != nil
	}
	return k
}

// resume goes on where the client says that it is; resumed is false when it says nothing.
func (l *listener) resume(h *held) (resumed bool, err error) {
	if l.last == "" {
		return false, nil
	}
	at, why := parseEventID(l.last, h.life, h.partitions)
	if why != nil {
		return false, why
	}
	for n, offset := range at {
		if _, _, kept := h.mustPartition(int32(n)).Changes(offset, 0, nil); !kept {
			return false, restartTooOld
		}
	}
	l.at = at
	return true, nil
}

// wait waits until the channel is closed, or it is time to say how far the table is. Meanwhile it sends heartbeats. The error is
// *restart, errEnd, or the connection's.
func (l *listener) wait(ctx context.Context, h *held, shown *roll, changed <-chan struct{}) error {
	for {
		now := time.Now()
		left := l.wrote.Add(l.heartbeat).Sub(now)
		due := left
		if l.told != nil && l.told != l.view.AsOf() {
			due = min(due, l.toldAt.Add(asOfEvery).Sub(now))
		}
		if !l.behindFor.IsZero() {
			due = min(due, l.behindFor.Add(aheadPatience).Sub(now))
		}
		timer := time.NewTimer(max(due, 0))
		select {
		case <-changed:
			timer.Stop()
			// What has come to an end goes first.
			select {
			case <-l.stopping:
				return errEnd
			case <-ctx.Done():
				return errEnd
			case <-h.replaced:
				return restartRebuilt
			default:
			}
			return nil
		case <-h.replaced:
			timer.Stop()
			return restartRebuilt
		case <-shown.replaced:
			timer.Stop()
			if view, ok := l.views.Named(l.name); !ok || view != l.view {
				return restartDefined
			}
			shown = l.views.shown.Load()
		case <-l.stopping:
			timer.Stop()
			return errEnd
		case <-ctx.Done():
			timer.Stop()
			return errEnd
		case <-timer.C:
			if due < left {
				return nil
			}
			if err := l.allowed(); err != nil {
				return err
			}
			l.comment("still here")
			if err := l.flush(); err != nil {
				return err
			}
		}
	}
}

// snapshotJSON is the data of the event snapshot.
type snapshotJSON struct {
	Table   string       `json:"table"`
	Columns []columnJSON `json:"columns"`
	Partial bool         `json:"partial,omitempty"` // the table is being restored: rows are missing
}

func (l *listener) saySnapshot(partial bool) error {
	said := snapshotJSON{Table: l.view.table.Name, Partial: partial}
	for _, c := range l.view.table.Columns {
		said.Columns = append(said.Columns, columnJSON{Name: c.Name, Type: c.Type.String(), Key: c.Key, Aggregate: c.Aggregate})
	}
	return l.say(eventSnapshot, said)
}

// partial sends the rows that there are of a table that is being restored.
func (l *listener) partial(ctx context.Context, h *held) error {
	asOf := l.view.AsOf()
	if err := l.saySnapshot(true); err != nil {
		return err
	}
	for n := range h.partitions {
		if p, ok := h.partition(n); ok {
			if err := l.scan(ctx, n, p, func() error { return nil }); err != nil {
				return err
			}
		}
	}
	l.event(eventAsOf)
	l.appendAsOf(asOf)
	l.end() // there is nothing to go on from
	return l.flush()
}

// sendSnapshot sends all rows, and what changed in them meanwhile: in the end the client has them as they are at offsets.
func (l *listener) sendSnapshot(ctx context.Context, h *held) error {
	if err := l.saySnapshot(false); err != nil {
		return err
	}
	for n := range l.at {
		l.at[n] = -1
	}
	if l.view.single() && l.view.noRow(h) {
		if err := l.sendEmpty(eventRows); err != nil {
			return err
		}
	}
	read := make([]int64, len(l.at)) // where the partitions were when their last row was read
	for n := range h.partitions {
		p := h.mustPartition(n)
		l.at[n] = p.Next()
		// Between two parts of it is sent what changed: a large table that is read slowly would else be read in vain.
		err := l.scan(ctx, n, p, func() error {
			_, err := l.drain(h)
			return err
		})
		if err != nil {
			return err
		}
		read[n] = p.Next()
	}
	for n := range read {
		for l.at[n] < read[n] {
			if _, err := l.drain(h); err != nil {
				return err
			}
			if err := l.alive(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// allowed reports whether the client's token is still let in: it may listen for days, and tokens are withdrawn meanwhile.
func (l *listener) allowed() error {
	if l.let == nil {
		return nil
	}
	now := l.tokens.all.Load()
	if now == l.let {
		return nil
	}
	if l.tokens.Role(l.token) < ReadRole {
		return errWithdrawn
	}
	l.let = now
	return nil
}

// alive reports whether anybody still waits for what is sent.
func (l *listener) alive(ctx context.Context) error {
	select {
	case <-l.stopping:
		return errEnd
	case <-ctx.Done():
		return errEnd
	default:
		return nil
	}
}

// part writes the rows of a part of a partition, from a place on, and returns the place where the next one begins, if there is one.
func (l *listener) part(turn *turn, number int32, p *grouptable.Partition, from int) (at int, rest bool, err error) {
	defer turn.leave()
	n := 0
	p.Read(func(groups *tables.Groups) {
		at, rest = groups.Scan(from, scannedToSend, func(key string, state tables.State) bool {
			var row []feeds.Value
			if row, err = l.shape.row(key, state); err != nil || row == nil {
				return err == nil
			}
			if n > 0 && l.full() {
				l.buf = append(l.buf, ']')
				l.end()
				n = 0
			}
			if n++; n == 1 {
				l.event(eventRows)
				l.buf = append(l.buf, '[')
			} else {
				l.buf = append(l.buf, ',')
			}
			l.buf = l.shape.appendRow(l.buf, key, number, row)
			return true
		})
	})
	if err == nil && n > 0 {
		l.buf = append(l.buf, ']')
		l.end()
	}
	return at, rest, err
}

// scan sends the rows of a partition, a part at a time, with the lock held for one part only and never while it is sent.
func (l *listener) scan(ctx context.Context, number int32, p *grouptable.Partition, between func() error) error {
	for at, rest := 0, true; rest; {
		if err := errors.Join(l.alive(ctx), l.allowed()); err != nil {
			return err
		}
		turn, err := l.view.gate.enter(ctx)
		var busy *LimitError
		switch {
		case errors.As(err, &busy):
			continue // a snapshot may take long: it waits
		case err != nil:
			return errEnd
		}
		if at, rest, err = l.part(turn, number, p, at); err != nil {
			return fmt.Errorf("row of %s: %w", l.view.table.Name, err)
		}
		if err := between(); err != nil {
			return err
		}
		if l.full() {
			if err := l.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// noRow reports whether a table without GROUP BY has counted nothing yet.
func (v *View) noRow(h *held) bool {
	return !slices.ContainsFunc(h.all(), func(p *grouptable.Partition) bool { return p.Len() > 0 })
}

// sendEmpty sends the row that a table without GROUP BY has over no records, if it is shown.
func (l *listener) sendEmpty(event string) error {
	row, err := l.view.empty()
	if err != nil || row == nil || !l.shape.matches(row) {
		return err
	}
	l.event(event)
	if event == eventRows {
		l.buf = append(l.buf, '[')
	}
	l.buf = l.shape.appendRow(l.buf, "", 0, row)
	if event == eventRows {
		l.buf = append(l.buf, ']')
	}
	l.end()
	return nil
}

// fate is what became of a row in several changes.
type fate struct {
	last int  // the change that holds
	was  bool // the row was shown before one of them
}

// drain sends the changes behind at. There may be more.
func (l *listener) drain(h *held) (more bool, err error) {
	ahead := false
	for n, at := range l.at {
		if at < 0 {
			continue
		}
		p := h.mustPartition(int32(n))
		changes, next, kept := p.Changes(at, drained, l.changes[:0])
		l.changes = changes
		if !kept {
			return false, errTooSlow
		}
		more = more || len(changes) == drained
		ahead = ahead || at > p.Next()
		if err := l.send(int32(n), changes); err != nil {
			return false, err
		}
		clear(changes)
		l.at[n] = next
	}
	switch {
	case !ahead:
		l.behindFor = time.Time{}
	case l.behindFor.IsZero():
		l.behindFor = time.Now()
	case time.Since(l.behindFor) >= aheadPatience:
		return false, restartAhead
	}
	return more, nil
}

// send sends what became of the rows in some changes of a partition.
func (l *listener) send(number int32, changes []grouptable.Change) error {
	if l.fates == nil {
		l.fates = map[string]fate{}
	}
	clear(l.fates)
	for i, c := range changes {
		l.fates[c.Key] = fate{last: i, was: l.fates[c.Key].was || c.Was}
	}
	for i, c := range changes {
		f := l.fates[c.Key]
		if f.last != i {
			continue
		}
		if err := l.sendChange(number, c, f.was); err != nil {
			return fmt.Errorf("changelog record %d of %s/%d: %w", c.Offset, l.view.table.Name, number, err)
		}
		if l.full() {
			if err := l.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *listener) sendChange(number int32, c grouptable.Change, was bool) error {
	row, err := l.shape.read(c)
	if err != nil {
		return err
	}
	switch {
	case row != nil:
		l.event(eventUpsert)
		l.buf = l.shape.appendRow(l.buf, c.Key, number, row)
	case was:
		var matches bool
		if matches, err = l.shape.keyMatches(c.Key); err != nil || !matches {
			return err
		}
		l.event(eventDelete)
		l.buf = l.shape.appendKey(l.buf, c.Key, number)
	default:
		return nil
	}
	l.end()
	l.batch++
	return nil
}

// sayAsOf says that what was sent is the table as of then.
func (l *listener) sayAsOf(h *held, asOf *AsOf) {
	l.event(eventAsOf)
	l.appendAsOf(asOf)
	l.endAt(eventID(h.life, l.at))
	l.told, l.toldAt, l.owed, l.batch = asOf, time.Now(), l.batch > 0, 0
}

func (l *listener) appendAsOf(asOf *AsOf) {
	b := append(l.buf, `{"as_of":`...)
	b = asOf.AppendJSON(b)
	b = append(b, `,"event_time":`...)
	b = eventTime(asOf).AppendJSON(b)
	b = append(b, `,"groups":`...)
	b = strconv.AppendInt(b, int64(l.view.Len()), 10)
	if asOf.Full {
		b = append(b, `,"max_groups_reached":true`...)
	}
	l.buf = append(b, '}')
}

// shape is which rows of a view a listener wants, and how they are written. It is for one goroutine.
type shape struct {
	view    *View
	filters []filter
	names   [][]byte // of the columns, quoted, with the colon
	keys    [][]byte // of the group columns
	state   tables.State
	vals    []feeds.Value
	keyVals []feeds.Value
}

func newShape(v *View, query url.Values) (*shape, error) {
	s := &shape{view: v, state: v.table.NewState()}
	var err error
	if s.filters, err = v.filters(query, changesParams); err != nil {
		return nil, err
	}
	quoted := func(name string) []byte { return append(output.AppendJSON(nil, feeds.StringValue(name)), ':') }
	for _, c := range v.table.Columns {
		s.names = append(s.names, quoted(c.Name))
	}
	for _, c := range v.table.Keys() {
		s.keys = append(s.keys, quoted(c.Name))
	}
	return s, nil
}

// row returns a group's row with its marks, nil when it is not shown or not wanted. It is valid until the next one.
func (s *shape) row(key string, state tables.State) ([]feeds.Value, error) {
	shown, err := s.view.table.Shows(key, state)
	if err != nil || !shown {
		return nil, err
	}
	if s.vals, err = s.view.table.MarkedRow(key, state, s.vals); err != nil || !s.matches(s.vals) {
		return nil, err
	}
	return s.vals, nil
}

// read returns the row that a change leaves, as row does.
func (s *shape) read(c grouptable.Change) ([]feeds.Value, error) {
	if c.Value == nil {
		if !s.view.single() {
			return nil, nil
		}
		row, err := s.view.empty()
		if err != nil || row == nil || !s.matches(row) {
			return nil, err
		}
		return row, nil
	}
	if err := codecs.ReadRow(c.Value, s.view.table, s.state); err != nil {
		return nil, err
	}
	return s.row(c.Key, s.state)
}

// matches reports whether a row is wanted.
func (s *shape) matches(row []feeds.Value) bool {
	for _, f := range s.filters {
		if !f.holds(row[f.column]) {
			return false
		}
	}
	return true
}

// keyMatches reports whether a row with that key may be wanted.
func (s *shape) keyMatches(key string) (bool, error) {
	if err := s.readKey(key); err != nil {
		return false, err
	}
	for _, f := range s.filters {
		name := s.view.table.Columns[f.column].Name
		for i, c := range s.view.table.Keys() {
			if c.Name == name && !f.holds(s.keyVals[i]) {
				return false, nil
			}
		}
	}
	return true, nil
}

// readKey sets keyVals.
func (s *shape) readKey(key string) (err error) {
	if tables.IsOther(key) {
		s.keyVals = s.keyVals[:0]
		for range s.keys {
			s.keyVals = append(s.keyVals, feeds.NullValue)
		}
		return nil
	}
	s.keyVals, err = s.view.table.KeyValues(key, s.keyVals)
	return err
}

// appendKeyText appends the key of a row as JSON: the text under which it lies on the result topic, which is its alone.
func (s *shape) appendKeyText(b []byte, key string, number int32) []byte {
	if tables.IsOther(key) {
		return output.AppendJSON(b, feeds.StringValue(string(codecs.AppendOtherKey(nil, number))))
	}
	return output.AppendJSON(b, feeds.StringValue(string(codecs.AppendResultKey(nil, s.view.table, s.keyVals))))
}

// appendRow appends {"key":..,"row":{..}}, and which values are estimates.
func (s *shape) appendRow(b []byte, key string, number int32, row []feeds.Value) []byte {
	if s.readKey(key) != nil {
		s.keyVals = s.keyVals[:0] // a row was made of it, so that it can be read
	}
	b = append(b, `{"key":`...)
	b = s.appendKeyText(b, key, number)
	b = append(b, `,"row":{`...)
	for i, name := range s.names {
		b = appendMember(b, i, name, row[i])
	}
	b = append(b, '}')
	estimates := 0
	for i, column := range s.view.table.Marks() {
		if !row[len(s.names)+i].IsTrue() {
			continue
		}
		b = append(b, []string{`,"approximate":[`, `,`}[min(estimates, 1)]...)
		b = output.AppendJSON(b, feeds.StringValue(s.view.table.Columns[column].Name))
		estimates++
	}
	if estimates > 0 {
		b = append(b, ']')
	}
	return append(b, '}')
}

// appendKey appends {"key":..,"row":{..}} with the group columns alone, of the key that was read last.
func (s *shape) appendKey(b []byte, key string, number int32) []byte {
	b = append(b, `{"key":`...)
	b = s.appendKeyText(b, key, number)
	b = append(b, `,"row":{`...)
	for i, name := range s.keys {
		b = appendMember(b, i, name, s.keyVals[i])
	}
	return append(b, "}}"...)
}

func appendMember(b []byte, i int, name []byte, v feeds.Value) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	return output.AppendJSON(append(b, name...), v)
}
