package tables

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// Window says how a table divides its groups by event time. Tumbling and hopping windows are aligned to the Unix epoch,
// each holds the times in [start, start+Size). A session holds records that are at most Gap apart, and goes from its first
// to its last. All lengths are whole microseconds.
type Window struct {
	Kind    WindowKind
	Size    time.Duration // of a tumbling or hopping window, > 0
	Advance time.Duration // from one window's start to the next one's: Size where they tumble, a whole part of it where they hop
	Gap     time.Duration // of sessions, > 0

	// Grace is for how long after a window's end records may still come for it where EMIT FINAL closes it. Retention is for how long
	// after it the window is kept; 0: it stays.
	Grace, Retention time.Duration
}

// WindowKind is the word that WINDOW is followed by.
type WindowKind string

const (
	Tumbling WindowKind = "TUMBLING" // windows that neither overlap nor leave gaps
	Hopping  WindowKind = "HOPPING"  // windows that overlap: a record is in Size/Advance of them
	Session  WindowKind = "SESSION"  // windows that end when nothing has come for Gap
)

// The columns that a window gives its table. window_start is part of a row's key; of sessions window_end is, too.
const (
	windowStart = "window_start"
	windowEnd   = "window_end"
)

// maxWindows is how many windows one record may be in.
const maxWindows = 1000

// maxWindowTime bounds event times that windows are made of, in microseconds either side of the Unix epoch: beyond it, some
// 146,000 years away, starts and ends could overflow.
const maxWindowTime = 1 << 62

// start returns the start of the last window that holds a time, both in microseconds since the Unix epoch. A time before
// 1970 belongs to the window below it: with an Advance of one minute, start(-1) is -60,000,000.
func (w *Window) start(micros int64) int64 {
	advance := w.Advance.Microseconds()
	if rest := micros % advance; rest < 0 {
		return micros - rest - advance
	} else {
		return micros - rest
	}
}

// RowsAPartial returns how many rows a partial changes: the hopping windows that a pane is part of, else 1.
func (t *Table) RowsAPartial() int {
	if t.Window == nil || t.Window.Kind != Hopping {
		return 1
	}
	return int(t.Window.Size / t.Window.Advance)
}

// window is a plan's WINDOW.
type window struct {
	Window
	at   sql.Pos
	time *expr // event time, over the inputs
}

// keys returns the names of the columns that the window adds to the key.
func (w *window) keys() []string {
	switch {
	case w == nil:
		return nil
	case w.Kind == Session:
		return []string{windowStart, windowEnd}
	}
	return []string{windowStart}
}

// isWindowColumn reports whether the name is one of those that a window gives.
func isWindowColumn(n sql.Name) bool {
	return n.Text == windowStart || n.Text == windowEnd || !n.Quoted && (strings.EqualFold(n.Text, windowStart) || strings.EqualFold(n.Text, windowEnd))
}

// compileWindow compiles the WINDOW clause.
func (p *plan) compileWindow(w *sql.Window) error {
	out := &window{Window: Window{Kind: WindowKind(w.Kind)}, at: w.At}
	lengths := map[string]time.Duration{}
	for _, param := range w.Params {
		if _, twice := lengths[param.Name]; twice {
			return p.src.Error(param.At, param.Name+" is given twice", "")
		}
		length, err := p.windowLength(param)
		if err != nil {
			return err
		}
		lengths[param.Name] = length
	}
	needs := map[WindowKind][]string{Tumbling: {"SIZE"}, Hopping: {"SIZE", "ADVANCE"}, Session: {"GAP"}}[out.Kind]
	for _, name := range needs {
		if _, ok := lengths[name]; !ok {
			return p.src.Error(w.KindAt, fmt.Sprintf("a %s window needs %s", out.Kind, windowUsage[name]), "write "+windowUsage[string(out.Kind)])
		}
	}
	for _, param := range w.Params {
		if param.Name != "GRACE" && param.Name != "RETENTION" && !slices.Contains(needs, param.Name) {
			return p.src.Error(param.At, fmt.Sprintf("a %s window has no %s", out.Kind, param.Name), "write "+windowUsage[string(out.Kind)])
		}
	}
	out.Size, out.Advance, out.Gap = lengths["SIZE"], lengths["ADVANCE"], lengths["GAP"]
	out.Grace, out.Retention = lengths["GRACE"], lengths["RETENTION"]
	if out.Kind == Tumbling {
		out.Advance = out.Size
	}
	if err := p.checkWindow(w, out.Window); err != nil {
		return err
	}
	var err error
	if out.time, err = p.eventTime(w); err != nil {
		return err
	}
	p.window = out
	return nil
}

// windowUsage says how windows and their parameters are written.
var windowUsage = map[string]string{
	"SIZE": "a SIZE", "ADVANCE": "an ADVANCE BY", "GAP": "a GAP",
	"TUMBLING": "WINDOW TUMBLING (SIZE 1 HOUR)", "HOPPING": "WINDOW HOPPING (SIZE 1 HOUR, ADVANCE BY 15 MINUTES)", "SESSION": "WINDOW SESSION (GAP 5 MINUTES)",
}

// windowLength reads a parameter's length of time.
func (p *plan) windowLength(param sql.WindowParam) (time.Duration, error) {
	seconds, why := parseInterval(param.Text)
	length := time.Duration(0)
	switch {
	case why != "":
	case seconds < 0 || seconds == 0 && param.Name != "GRACE":
		why = "it must be more than nothing"
	case seconds > mostInterval.Seconds():
		why = "100 years are the most"
	default:
		length = time.Duration(seconds * 1e9).Round(time.Nanosecond)
		if length%time.Microsecond != 0 || length == 0 && seconds > 0 {
			why = "it must be whole microseconds"
		}
	}
	if why != "" {
		return 0, p.src.Error(param.At, fmt.Sprintf("%s %s: %s", param.Name, param.Text, why), "lengths of time are written 1 HOUR or '90 seconds'")
	}
	return length, nil
}

// checkWindow checks how the lengths of a window go together.
func (p *plan) checkWindow(w *sql.Window, x Window) error {
	at := func(name string) sql.Pos {
		for _, param := range w.Params {
			if param.Name == name {
				return param.At
			}
		}
		return w.At
	}
	switch {
	case x.Kind == Hopping && x.Advance > x.Size:
		return p.src.Error(at("ADVANCE"), "windows that advance by more than their SIZE would leave records out", "")
	case x.Kind == Hopping && x.Size%x.Advance != 0:
		return p.src.Error(at("ADVANCE"), fmt.Sprintf("SIZE %v is no multiple of ADVANCE BY %v", x.Size, x.Advance), "panes of ADVANCE BY are added up to windows of SIZE")
	case x.Kind == Hopping && x.Size/x.Advance > maxWindows:
		return p.src.Error(at("ADVANCE"), fmt.Sprintf("each record would be in %d windows, the most is %d", x.Size/x.Advance, maxWindows), "advance by more")
	case x.Retention > 0 && x.Retention < x.Grace:
		return p.src.Error(at("RETENTION"), "RETENTION is shorter than GRACE: windows would go before they have closed", "both count from a window's end")
	}
	return nil
}

// eventTime compiles what a record's time is: what ON says, else ts.
func (p *plan) eventTime(w *sql.Window) (*expr, error) {
	on := w.On
	if on == nil {
		ts, ok := p.resolve(sql.Name{Text: "ts"})
		if !ok || ts.Type.Kind != feeds.Timestamp {
			return nil, p.src.Error(w.At, "feed "+p.feed.Name+" has no ts to tell a record's window by", "say which time it is: WINDOW .. (..) ON expression")
		}
		on = &sql.Column{Name: sql.Name{At: w.At, Text: ts.Name}}
	}
	in := p.scope("in WINDOW")
	x, err := in.compile(on)
	if err != nil {
		return nil, err
	}
	typ := feeds.T(feeds.Timestamp)
	t, ok, err := in.coerce(on, x, typ)
	if err != nil {
		return nil, err
	}
	if !ok {
		hint := in.castHint(x, typ)
		if x.typ.Kind.IsNumber() {
			hint = "write to_timestamp(" + x.text + ")"
		}
		return nil, in.errorf(on, hint, "a window's time must be a timestamp, %s is %s", x.text, typeName(x))
	}
	if t.konst {
		return nil, in.errorf(on, "name a column", "all records would have the same time %s", x.text)
	}
	return t, nil
}

// windowGroups returns the groups that the window adds, which stand behind the others.
func (w *window) windowGroups() (out []*group) {
	for _, name := range w.keys() {
		out = append(out, &group{
			ast: &sql.Column{Name: sql.Name{At: w.at, Text: name}}, text: name, window: true,
			expr: &expr{typ: feeds.T(feeds.Timestamp), text: name, column: -1},
		})
	}
	return out
}

// windowColumn gives window_end its meaning where it is no part of the key: the start and the SIZE.
func (p *plan) windowColumn(e sql.Expr) (*expr, bool) {
	c, ok := e.(*sql.Column)
	if !ok || p.window == nil || p.window.Kind == Session || c.Text != windowEnd {
		return nil, false
	}
	start, size := len(p.groups)-1, p.window.Size.Microseconds()
	return &expr{typ: feeds.T(feeds.Timestamp), text: windowEnd, column: -1, eval: func(slots []int) eval {
		slot := slotOf(slots, start)
		return func(e *env) feeds.Value { return feeds.TimestampValue(e.vals[slot].Micros() + size) }
	}}, true
}

// cutWindow splits a key into the group columns' part and the window's: its start, and of a session its end.
func (p *plan) cutWindow(key string) (group string, start, end int64, err error) {
	rest, ok := key, true
	next := func() (v feeds.Value) {
		if ok {
			v, rest, ok = feeds.ReadKey(rest)
		}
		return v
	}
	for range len(p.groups) - len(p.window.keys()) {
		next()
	}
	group = key[:len(key)-len(rest)]
	first := next()
	last := first
	if p.window.Kind == Session {
		last = next()
	}
	if !ok || rest != "" || first.Kind() != feeds.Timestamp || last.Kind() != feeds.Timestamp {
		return "", 0, 0, fmt.Errorf("group key %q is cut or of another table", key)
	}
	return group, first.Micros(), last.Micros(), nil
}

// appendWindow is the inverse of cutWindow.
func (w *window) appendWindow(key []byte, start, end int64) []byte {
	key = feeds.TimestampValue(start).AppendKey(key)
	if w.Kind == Session {
		key = feeds.TimestampValue(end).AppendKey(key)
	}
	return key
}
