package views

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// events writes server-sent events (html.spec.whatwg.org, 9.2). What is put in is gathered, and sent by flush.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
	reading time.Duration // how long the client may take to read what is sent at a time; negative: any time
	buf     []byte
	wrote   time.Time // when something was sent last
}

// retryMillis is how long a browser waits before it comes back.
const retryMillis = 1000

// begin starts a stream: the connection lives from here on for as long as it is read from.
func (e *events) begin() error {
	header := e.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no") // nginx would else hold events back
	e.w.WriteHeader(http.StatusOK)
	// The server's own deadline for reading a request would take the client for gone.
	if err := e.control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	e.buf = append(e.buf, "retry: "+strconv.Itoa(retryMillis)+"\n\n"...)
	return e.flush()
}

// event opens an event, to whose one line of data the caller appends JSON.
func (e *events) event(name string) {
	e.buf = append(append(append(e.buf, "event: "...), name...), "\ndata: "...)
}

// end closes it.
func (e *events) end() { e.buf = append(e.buf, "\n\n"...) }

// endAt closes it and gives it an id: what a client that lost its connection sends to go on behind this event.
func (e *events) endAt(id string) {
	e.buf = append(append(e.buf, "\nid: "...), id...)
	e.end()
}

// comment puts in what clients skip.
func (e *events) comment(text string) {
	e.buf = append(append(append(e.buf, ": "...), text...), "\n\n"...)
}

// full reports whether there is enough for it to be sent.
func (e *events) full() bool { return len(e.buf) >= chunk }

// flush sends what was put in. It waits for a client that does not read, but not for long: then the error is a timeout, and the
// connection is lost.
func (e *events) flush() error {
	if len(e.buf) == 0 {
		return nil
	}
	deadline := time.Time{}
	if e.reading > 0 {
		deadline = time.Now().Add(e.reading)
	}
	if err := e.control.SetWriteDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	_, err := e.w.Write(e.buf)
	if err == nil {
		err = e.control.Flush()
	}
	if e.buf, e.wrote = e.buf[:0], time.Now(); cap(e.buf) > 4*chunk {
		e.buf = nil // it was of a large row
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errEnd, err)
	}
	return nil
}
