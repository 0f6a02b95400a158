package views

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/output"
	"github.com/brotally/brotally/tables"
)

// A look-up that needs no row twice is answered while it reads: rows are written to memory a part at a time with their partition
// locked, and from there to the client with nothing locked, so that neither an answer's size nor a slow client costs more than a part.

const (
	// streamedRows and streamedBytes are what a part has at most, about: reading and writing that takes about a millisecond.
	streamedRows  = 1024
	streamedBytes = 256 << 10

	// stalled is how long a client may take to receive so many bytes before it is let go.
	stalled      = 30 * time.Second
	stalledBytes = 32 << 10
)

// stream is an answer on its way.
type stream struct {
	view    *View
	held    *held
	answer  *Answer
	request *http.Request
	how     form
	to      http.ResponseWriter
	control *http.ResponseController
	rows    int
	buf     bytes.Buffer // what is to be sent
	out     output.Writer
	began   bool // something was sent: it cannot become an error any more

	turn   *turn
	since  time.Time     // when the part was begun
	worked time.Duration // in the parts before
}

// errHead ends an answer to HEAD as soon as its headers are out.
var errHead = errors.New("the request is HEAD")

// stream answers with rows as they are read. What fits one part is an answer like any other. Else an error comes when half of it is
// sent: then the connection is cut, so that it does not look whole.
func (s *server) stream(w http.ResponseWriter, r *http.Request, view *View, req request, how form) error {
	started := time.Now()
	h := view.held.Load()
	if !h.ready && !req.partial {
		return view.notReady(h)
	}
	st := &stream{
		view: view, held: h, request: r, how: how, to: w, control: http.NewResponseController(w),
		answer: &Answer{Table: view.table.Name, Columns: req.sel.Columns, Partial: !h.ready, AsOf: view.AsOf()}, // before the rows are read
	}
	var err error
	if st.turn, err = view.gate.enter(r.Context()); err != nil {
		return err
	}
	defer func() { st.turn.leave() }()
	err = st.run(req)
	st.answer.Took = time.Since(started)
	if err == nil {
		err = st.finish()
	}
	switch {
	case err == nil || errors.Is(err, errHead):
		return nil
	case !st.began:
		return err
	}
	s.log.Debug("answer is cut off", "path", r.URL.Path, "rows", st.rows, "why", err)
	panic(http.ErrAbortHandler)
}

// run reads the rows and sends all parts but the last.
func (st *stream) run(req request) error {
	ctx := st.request.Context()
	st.out = st.answer.writer(&st.buf, st.how)
	if err := st.out.Header(st.answer.outputColumns()); err != nil {
		return err
	}
	var broken, unwritten error
	estimates := map[int]int{} // places in Approximate, by column
	st.since = time.Now()
	rows := st.view.rows(ctx, st.held, &broken, part{
		size: streamedRows, full: func() bool { return st.buf.Len() >= streamedBytes }, between: func() error { return st.between(ctx) },
	})
	err := req.sel.Each(rows, req.params, func(row []feeds.Value, estimated []int) bool {
		for _, column := range estimated {
			at, ok := estimates[column]
			if !ok {
				at = len(st.answer.Approximate)
				estimates[column] = at
				st.answer.Approximate = append(st.answer.Approximate, tables.Estimates{Column: column})
			}
			e := &st.answer.Approximate[at]
			e.Rows = append(e.Rows, st.rows)
		}
		st.rows++
		unwritten = st.out.Row(row)
		return unwritten == nil
	})
	switch {
	case broken != nil:
		return broken
	case err != nil:
		return &ParamError{err}
	}
	return unwritten
}

// between is called after each part: it looks whether the look-up may go on, and sends what there is, if it is worth it. Whoever sends has no
// turn, so that slow clients do not keep others from reading.
func (st *stream) between(ctx context.Context) error {
	now := time.Now()
	st.worked += now.Sub(st.since)
	st.since = now
	if limit := st.view.gate.limits.Stream; limit > 0 && st.worked > limit {
		return tooSlow(limit)
	}
	if st.view.held.Load().store != st.held.store {
		return &NotReady{Table: st.view.table.Name, State: "is being rebuilt"}
	}
	if st.buf.Len() < chunk {
		err := st.turn.pass(ctx)
		st.since = time.Now()
		return err
	}
	st.turn.leave()
	if err := st.send(); err != nil {
		return err
	}
	turn, err := st.view.gate.again(ctx)
	if err != nil {
		return err
	}
	st.turn, st.since = turn, time.Now()
	return nil
}

// send sends what there is. What is known at the end only are trailers then.
func (st *stream) send() error {
	if !st.began {
		header := st.to.Header()
		st.answer.setHeader(header, st.how)
		if st.how.format != formatJSON {
			header.Set("Trailer", headerRows+", "+headerApproximate)
		}
		st.began = true
		if st.request.Method == http.MethodHead {
			return errHead
		}
	}
	return st.write()
}

func (st *stream) write() error {
	for st.buf.Len() > 0 {
		_ = st.control.SetWriteDeadline(time.Now().Add(stalled)) // a writer without deadlines has its own
		if _, err := st.to.Write(st.buf.Next(stalledBytes)); err != nil {
			return fmt.Errorf("send rows: %w", err)
		}
	}
	return nil
}

// finish sends the rest.
func (st *stream) finish() error {
	st.turn.leave()
	if !st.began {
		st.answer.setHeader(st.to.Header(), st.how)
	}
	st.answer.setCounts(st.to.Header(), st.how, st.rows)
	if err := st.out.Close(); err != nil {
		return err
	}
	if st.request.Method == http.MethodHead {
		return nil
	}
	if err := st.write(); err != nil {
		return err
	}
	_ = st.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // as for any other answer
	return nil
}
