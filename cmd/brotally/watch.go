package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/output"
	"github.com/brotally/brotally/tables/sql"
	"github.com/brotally/brotally/views/client"
)

func newWatch(p *program) *cobra.Command {
	w := &watching{program: p, where: newPairs("column=value")}
	cmd := &cobra.Command{
		Use:   "watch TABLE",
		Short: "Show a table's top rows live, or its changes line by line",
		Long: `Show the top rows of a table through the server of run or demo, as they change.

On a terminal they are drawn in place, with what has just changed marked; q ends it. Else every change is a line of JSON: first the
rows, then what becomes of them, with a line as_of wherever all before it is the table as of then. A lost connection is made anew, and
no change is missed; where that cannot be a line reset says so, and the rows come again.`,
		Example: "  brotally watch dns_counts\n" +
			"  brotally watch conn_bytes_1h --order -sent --where proto=tcp\n" +
			"  brotally watch dns_counts --no-snapshot | jq -c 'select(.change == \"upsert\") | .row'",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return w.run(cmd.Context(), args[0]) },
	}
	f := cmd.Flags()
	w.reach.register(f, "how long to wait for the server's first answer")
	f.StringVar(&w.order, "order", "", "`COLUMN` to order by, -COLUMN for the highest first (default the first number that is counted, the highest first)")
	f.IntVar(&w.limit, "limit", 0, "how many rows to show (default what fits)")
	f.Var(w.where, "where", "rows in which the column has that value; \\N is NULL")
	f.BoolVar(&w.lines, "lines", false, "write lines on a terminal, too")
	f.BoolVar(&w.noSnapshot, "no-snapshot", false, "as lines: leave out the rows that are there, only what becomes of them from now on")
	return cmd
}

// watching is one table that is watched.
type watching struct {
	*program
	reach
	order      string
	limit      int
	where      *pairs
	lines      bool
	noSnapshot bool

	asked *client.Client
	table string
}

func (w *watching) run(ctx context.Context, table string) error {
	if w.limit < 0 {
		return &usageError{fmt.Errorf("--limit %d: a number of rows", w.limit)}
	}
	c, err := w.client()
	if err != nil {
		return err
	}
	w.asked, w.table = c, table
	defer c.HTTP.CloseIdleConnections()
	// What is wrong with the question is said before anything is drawn. A table that is being restored is waited for.
	t, err := w.asked.Table(ctx, table)
	if err != nil {
		return w.reason(err)
	}
	out, isFile := w.stdout.(*os.File)
	if _, isTerminal := terminal(w.stdout); isTerminal && isFile && !w.lines {
		if w.noSnapshot {
			return &usageError{errors.New("--no-snapshot is for lines; a screen shows the rows that there are")}
		}
		order, desc, err := topOrder(w.order, t.Columns)
		if err != nil {
			return &usageError{err}
		}
		return w.reason((&watchScreen{watching: w, out: out, columns: t.Columns, order: order, desc: desc}).run(ctx))
	}
	return w.reason(w.writeLines(ctx))
}

func (w *watching) options() client.ChangesOptions {
	o := client.ChangesOptions{NoSnapshot: w.noSnapshot, Where: map[string]any{}}
	for name, value := range w.where.values {
		if o.Where[name] = value; value == `\N` {
			o.Where[name] = nil
		}
	}
	return o
}

// writeLines writes each change as a line of JSON.
func (w *watching) writeLines(ctx context.Context) error {
	out := bufio.NewWriterSize(w.stdout, 64<<10)
	for change, err := range w.asked.Changes(ctx, w.table, w.options()) {
		if err != nil {
			return errors.Join(out.Flush(), err)
		}
		line, err := appendChange(nil, change)
		if err == nil {
			_, err = out.Write(output.VisibleJSON(nil, line))
		}
		if err == nil {
			err = out.WriteByte('\n')
		}
		if err == nil && change.Kind != client.Upsert && change.Kind != client.Delete {
			err = out.Flush()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// appendChange writes a change as JSON, without what its kind does not have.
func appendChange(b []byte, c client.Change) ([]byte, error) {
	line := struct {
		Change      client.ChangeKind `json:"change"`
		Key         *string           `json:"key,omitempty"`
		Row         *client.Row       `json:"row,omitempty"`
		Approximate []string          `json:"approximate,omitempty"`
		AsOf        client.Offsets    `json:"as_of,omitempty"`
		EventTime   *time.Time        `json:"event_time,omitempty"`
		Groups      *int              `json:"groups,omitempty"`
		Reason      string            `json:"reason,omitempty"`
		Message     string            `json:"message,omitempty"`
	}{Change: c.Kind, Approximate: c.Approximate, AsOf: c.AsOf, EventTime: c.EventTime, Reason: c.Reason, Message: c.Message}
	switch c.Kind {
	case client.Upsert, client.Delete:
		line.Key, line.Row = &c.Key, &c.Row
	case client.AsOf:
		line.Groups = &c.Groups
	}
	text, err := json.Marshal(line)
	return append(b, text...), err
}

// topOrder returns the column that rows are ordered by: as it is said, else the first number that is counted, the highest first.
func topOrder(said string, columns []client.TableColumn) (order int, desc bool, err error) {
	if said == "" {
		order = slices.IndexFunc(columns, func(c client.TableColumn) bool {
			t, ok := feeds.ParseType(c.Type)
			return ok && c.Aggregate && (t.Kind.IsNumber() || t.Kind == feeds.Interval)
		})
		return max(order, 0), order >= 0, nil
	}
	name, desc := strings.CutPrefix(said, "-")
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	if order = slices.Index(names, name); order < 0 {
		order = slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
	}
	if order < 0 {
		hint := sql.DidYouMean(name, names)
		if hint == "" {
			hint = "the columns are " + strings.Join(names, ", ")
		}
		return 0, false, fmt.Errorf("--order: no column %s; %s", name, hint)
	}
	return order, desc, nil
}

const (
	// redrawEvery is how often the screen is drawn anew while rows change.
	redrawEvery = 250 * time.Millisecond

	// markedFor is how long a cell that has changed is marked.
	markedFor = time.Second

	// keptRows is how many rows are kept at least, so that some are there to take the place of those that go.
	keptRows = 2000

	// rereadEvery is how often at most the table is read anew, because more rows have gone than were kept.
	rereadEvery = 5 * time.Second
)

// watchScreen draws a table on a terminal.
type watchScreen struct {
	*watching
	out     *os.File
	columns []client.TableColumn
	order   int
	desc    bool

	mu        sync.Mutex // guards all below
	types     []feeds.Type
	top       *top
	whole     bool // no snapshot is under way
	groups    int
	changes   int64 // since it began, those of snapshots left out
	asOf      time.Time
	eventTime *time.Time
	note      string
	reread    bool // the table is to be read anew
	readAt    time.Time

	// For drawing alone.
	painted map[string]*painted
	rates   []rateAt
}

// painted is a row as it was drawn last.
type painted struct {
	cells   []string
	changed []time.Time
}

// rateAt is how many changes there were until a time.
type rateAt struct {
	at      time.Time
	changes int64
}

// run draws until q, Ctrl-C, ctx's end, or an error. It leaves the terminal as it was.
func (s *watchScreen) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.begin(s.columns)
	ended := make(chan error, 1)
	go func() { // awaited below, or it has ended
		defer func() {
			if fault := recover(); fault != nil { // the terminal has to be given back first
				ended <- fmt.Errorf("watch has a fault: %v", fault)
			}
		}()
		ended <- s.follow(ctx)
	}()
	keys, restore, err := takeTerminal(s.stdin, s.out)
	if err == nil {
		err = s.paint(ctx, keys, ended)
	}
	restore()
	cancel()
	if !errors.Is(err, errFollowed) {
		<-ended
		return err
	}
	return errors.Unwrap(err)
}

// errFollowed wraps the error that following the changes ended with.
var errFollowed = errors.New("follow")

type followed struct{ error }

func (f followed) Unwrap() error      { return f.error }
func (followed) Is(target error) bool { return target == errFollowed }

// paint draws until it is to end.
func (s *watchScreen) paint(ctx context.Context, keys <-chan byte, ended <-chan error) error {
	resized := make(chan os.Signal, 1)
	notifyResized(resized)
	defer signal.Stop(resized)
	ticker := time.NewTicker(redrawEvery)
	defer ticker.Stop()
	last := ""
	for {
		width, height, err := term.GetSize(int(s.out.Fd()))
		if err != nil || width <= 0 || height <= 0 {
			width, height = 80, 24
		}
		if text := onTerminal(s.screen(time.Now(), height).draw(width, height)); text != last {
			if _, err := io.WriteString(s.out, text); err != nil {
				return err
			}
			last = text
		}
		select {
		case key := <-keys:
			switch key {
			case 'q', 'Q':
				return nil
			case 3: // Ctrl-C, which is no signal while the terminal is ours
				return errInterrupted
			}
		case <-resized:
			last = "" // what is there may be anything
		case <-ticker.C:
		case err := <-ended:
			return followed{err}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// onTerminal writes lines over what is there.
func onTerminal(lines []string) string {
	var b strings.Builder
	b.WriteString("\x1b[H")
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(line)
		b.WriteString("\x1b[K")
	}
	b.WriteString("\x1b[J")
	return b.String()
}

// takeTerminal has the terminal show another page than the shell's, and give keys as they are hit. restore undoes that, once; it is
// never nil. Without keys, because standard input is no terminal, it goes all the same.
func takeTerminal(in io.Reader, out *os.File) (keys <-chan byte, restore func(), err error) {
	var undo []func()
	var once sync.Once
	restore = func() {
		once.Do(func() {
			for _, u := range slices.Backward(undo) {
				u()
			}
		})
	}
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		before, err := term.MakeRaw(int(f.Fd()))
		if err != nil {
			return nil, restore, fmt.Errorf("take the terminal: %w", err)
		}
		undo = append(undo, func() { _ = term.Restore(int(f.Fd()), before) }) // there is nobody else to do it
		hit := make(chan byte)
		go func() { // ends with the process: no read of a terminal can be broken off
			b := make([]byte, 1)
			for {
				if n, err := f.Read(b); err != nil || n == 0 {
					return
				}
				hit <- b[0]
			}
		}()
		keys = hit
	}
	// The other page, without the cursor and without lines that go on in the next.
	undo = append(undo, func() { _, _ = io.WriteString(out, "\x1b[?7h\x1b[?25h\x1b[?1049l") })
	_, err = io.WriteString(out, "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J")
	return keys, restore, err
}

// begin forgets all rows, those of other columns included. The lock is held, or nobody else is there yet.
func (s *watchScreen) begin(columns []client.TableColumn) {
	s.columns, s.types = columns, nil
	for _, c := range columns {
		t, ok := feeds.ParseType(c.Type)
		if !ok {
			t = feeds.T(feeds.String)
		}
		s.types = append(s.types, t)
	}
	s.order = min(s.order, max(len(columns)-1, 0))
	s.top, s.whole = newTop(s.order, s.desc, max(keptRows, 2*s.limit)), false
	s.readAt, s.reread = time.Now(), false
}

// follow takes in changes.
func (s *watchScreen) follow(ctx context.Context) error {
	for {
		for change, err := range s.asked.Changes(ctx, s.table, s.options()) {
			if err != nil {
				return err
			}
			if s.take(change) {
				break
			}
		}
	}
}

// take takes in one change. again says that the table has to be read anew.
func (s *watchScreen) take(c client.Change) (again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch c.Kind {
	case client.Snapshot:
		if s.note = ""; c.Partial {
			s.note = "the table is being restored, rows are missing"
		}
		if !slices.Equal(c.Columns, s.columns) {
			if order, desc, err := topOrder(s.orderText(), c.Columns); err == nil {
				s.order, s.desc = order, desc
			}
		}
		s.begin(c.Columns)
	case client.Upsert:
		if s.whole {
			s.changes++
		}
		s.top.put(c.Key, s.values(c.Row))
	case client.Delete:
		if s.whole {
			s.changes++
		}
		s.top.remove(c.Key)
	case client.AsOf:
		s.whole, s.asOf, s.groups, s.eventTime = true, time.Now(), c.Groups, c.EventTime
	case client.Reset:
		s.note = c.Message
	}
	if !s.reread || !s.whole || time.Since(s.readAt) < rereadEvery {
		return false
	}
	s.readAt = time.Now()
	return true
}

// orderText is what the rows are ordered by, as --order has it.
func (s *watchScreen) orderText() string {
	if s.watching.order != "" || len(s.columns) == 0 {
		return s.watching.order
	}
	name := s.columns[s.order].Name
	if s.desc {
		name = "-" + name
	}
	return name
}

// values reads a row. What cannot be read, from a server of another kind, is shown as it is.
func (s *watchScreen) values(r client.Row) []feeds.Value {
	values := make([]feeds.Value, len(s.columns))
	for i, c := range s.columns {
		cell := r.Value(c.Name)
		if cell == nil {
			continue
		}
		v, err := typedValue(cell, s.types[i])
		if err != nil {
			v = feeds.StringValue(string(cell))
		}
		values[i] = v
	}
	return values
}

// screen is what is to be drawn at a time, on a terminal of so many lines.
func (s *watchScreen) screen(now time.Time, height int) *screen {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := rowsOn(height)
	if s.limit > 0 {
		n = min(n, s.limit)
	}
	rows, sure := s.top.head(n)
	if s.reread = !sure; !sure && s.note == "" && s.whole {
		s.note = "rows have gone: the table is read anew"
	}
	drawn := &screen{head: s.head(now), note: output.Printable(s.note), order: s.order}
	for i, c := range s.columns {
		drawn.columns = append(drawn.columns, output.Column{Name: c.Name, Type: s.types[i]})
	}
	before := s.painted
	s.painted = make(map[string]*painted, len(rows))
	for _, r := range rows {
		p, marks := &painted{changed: make([]time.Time, len(r.values))}, make([]bool, len(r.values))
		old := before[r.key]
		for i, v := range r.values {
			text := output.CellText(v)
			p.cells = append(p.cells, text)
			switch {
			case old == nil && before != nil && len(before) > 0 && s.whole:
				p.changed[i] = now // it was not among them
			case old != nil && i < len(old.cells) && old.cells[i] != text:
				p.changed[i] = now
			case old != nil && i < len(old.changed):
				p.changed[i] = old.changed[i]
			}
			marks[i] = !p.changed[i].IsZero() && now.Sub(p.changed[i]) < markedFor
		}
		s.painted[r.key] = p
		drawn.cells, drawn.changed = append(drawn.cells, p.cells), append(drawn.changed, marks)
	}
	return drawn
}

// head says how the table is. The lock is held.
func (s *watchScreen) head(now time.Time) string {
	parts := []string{output.Printable(s.table)}
	if len(s.where.values) > 0 {
		var where []string
		for _, name := range slices.Sorted(maps.Keys(s.where.values)) {
			where = append(where, output.Printable(name+"="+s.where.values[name]))
		}
		parts = append(parts, strings.Join(where, " "))
	}
	if s.asOf.IsZero() {
		return strings.Join(append(parts, "is being read"), "  ")
	}
	parts = append(parts, count(int64(s.groups), "group"), s.rate(now)+" changes/s")
	if t := s.eventTime; t != nil {
		parts = append(parts, "newest record "+t.UTC().Format("2006-01-02T15:04:05Z"))
	}
	if age := now.Sub(s.asOf); age >= 2*time.Second {
		parts = append(parts, "heard "+age.Truncate(time.Second).String()+" ago")
	}
	return strings.Join(append(parts, "q quits"), "  ")
}

// rate is how many changes a second there were in the last few. The lock is held.
func (s *watchScreen) rate(now time.Time) string {
	s.rates = append(s.rates, rateAt{now, s.changes})
	for len(s.rates) > 2 && now.Sub(s.rates[1].at) >= 3*time.Second {
		s.rates = s.rates[1:]
	}
	first := s.rates[0]
	took := now.Sub(first.at).Seconds()
	if took <= 0 {
		return "0"
	}
	return strconv.FormatFloat(float64(s.changes-first.changes)/took, 'f', 0, 64)
}
