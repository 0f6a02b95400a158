package web

import (
	"bytes"
	"fmt"
	"net/http"
	"time"
)

const (
	// maxLooking is how many pages are kept up to date at a time. Those above are shown, but stand still.
	maxLooking = 256

	// share is how many times as long as it takes to make a page the server rests before it makes it again: one page over a large table
	// keeps a tenth of a core busy at most.
	share = 9

	// lasting is how long one connection lasts. Who still looks then comes back at once, and shows the token anew.
	lasting = 5 * time.Minute

	heartbeat = 15 * time.Second // without anything to say a comment is sent, so that nobody between takes the connection for dead
	stalled   = 10 * time.Second // who takes longer to read an event is cut off, and comes back
)

// live sends the main part of a page, whenever it is another one, as server-sent events:
//
//	event: main     its HTML, whole
//	event: state    live, wait or lost, and after a space a word or two for it
func (s *Site) live(w http.ResponseWriter, r *http.Request, name string, m maker) {
	if s.looking.Add(1) > maxLooking {
		s.looking.Add(-1)
		w.Header().Set("Retry-After", "5")
		http.Error(w, "too many pages are kept up to date", http.StatusServiceUnavailable)
		return
	}
	defer s.looking.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no")
	e := &events{w: w, control: http.NewResponseController(w)}
	_ = e.control.SetReadDeadline(time.Time{}) // a server without deadlines needs none
	var main, next bytes.Buffer
	e.buf.WriteString("retry: 300\n\n")
	said, sent := state{}, time.Now()
	for end := time.Now().Add(lasting); time.Now().Before(end); {
		began := time.Now()
		p, _ := made(m, r)
		if r.Context().Err() != nil {
			return
		}
		next.Reset()
		err := templates[name].ExecuteTemplate(&next, "main", p)
		if err == nil && !bytes.Equal(next.Bytes(), main.Bytes()) {
			main, next = next, main
			e.event("main", main.Bytes())
		}
		if p.State != said {
			said = p.State
			e.event("state", []byte(said.Kind+" "+said.Text))
		}
		if e.pending || time.Since(sent) > heartbeat {
			sent = time.Now()
			err = e.flush()
		}
		if err != nil {
			return
		}
		for rest := max(s.config.Every, share*time.Since(began)); rest > 0; rest -= heartbeat {
			if !pause(r, min(rest, heartbeat)) || rest > heartbeat && e.flush() != nil {
				return
			}
		}
	}
}

// pause waits; false says that who looks has gone.
func pause(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// events writes server-sent events.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
	buf     bytes.Buffer
	pending bool // something is to be sent
}

// event adds one. Data may have line feeds; of carriage returns, which would end a line too, it is rid.
func (e *events) event(name string, data []byte) {
	fmt.Fprintf(&e.buf, "event: %s\n", name)
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		e.buf.WriteString("data: ")
		e.buf.Write(bytes.ReplaceAll(line, []byte("\r"), nil))
		e.buf.WriteByte('\n')
	}
	e.buf.WriteByte('\n')
	e.pending = true
}

// flush sends them, or a heartbeat.
func (e *events) flush() error {
	if !e.pending {
		e.buf.WriteString(":\n\n")
	}
	e.pending = false
	_ = e.control.SetWriteDeadline(time.Now().Add(stalled)) // a writer without deadlines has its own
	_, err := e.w.Write(e.buf.Bytes())
	e.buf.Reset()
	if err == nil {
		err = e.control.Flush()
	}
	return err
}
