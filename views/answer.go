package views

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/output"
	"github.com/brotally/brotally/tables/sql"
)

// format is how rows are written.
type format string

const (
	formatJSON   format = "json"   // {"columns":[..],"rows":[[..]],"meta":{..}}
	formatNDJSON format = "ndjson" // an object a line
	formatCSV    format = "csv"    // RFC 4180 with a header line; NULL is nothing, the empty string is ""
	formatTSV    format = "tsv"    // the same with tabs
	formatZeek   format = "zeek"   // a log as Zeek writes it
	formatArrow  format = "arrow"  // an Arrow IPC stream
)

var formats = []format{formatJSON, formatNDJSON, formatCSV, formatTSV, formatZeek, formatArrow}

// mediaTypes are what Accept may say, and what Content-Type does: each format's first.
var mediaTypes = map[format][]string{
	formatJSON:   {"application/json"},
	formatNDJSON: {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines"},
	formatCSV:    {"text/csv"},
	formatTSV:    {"text/tab-separated-values"},
	formatZeek:   {"text/x-zeek-log"},
	formatArrow:  {"application/vnd.apache.arrow.stream"},
}

// form is a format with what a request says of it.
type form struct {
	format
	null        string // for NULL in csv and tsv
	spreadsheet bool   // csv and tsv are for one
}

// formOf reads the form that a request wants; name is what its body says of the format.
func formOf(r *http.Request, query url.Values, name string) (f form, err error) {
	if f.format, err = formatOf(r, or(query.Get(paramFormat), name)); err != nil {
		return f, err
	}
	text := f.format == formatCSV || f.format == formatTSV
	for _, param := range []string{paramNull, paramSpreadsheet} {
		if query.Has(param) && !text {
			return f, bad("bad_parameter", param+" is for csv and tsv", "say ?format=csv")
		}
	}
	f.null = query.Get(paramNull)
	if strings.ContainsAny(f.null, ",\t\"\r\n") {
		return f, bad("bad_value", "null is a text without separators, quotes and line breaks", "")
	}
	f.spreadsheet, err = parseBool(paramSpreadsheet, query.Get(paramSpreadsheet))
	return f, err
}

// formatOf returns the format that a request wants: by name if it says one, else by Accept, json if that does not say.
func formatOf(r *http.Request, name string) (format, error) {
	if name != "" {
		if f := format(strings.ToLower(name)); slices.Contains(formats, f) {
			return f, nil
		}
		var names []string
		for _, f := range formats {
			names = append(names, string(f))
		}
		return "", bad("bad_value", "no format "+name, or(sql.DidYouMean(name, names), "the formats are "+strings.Join(names, ", ")))
	}
	accept := r.Header.Values("Accept")
	if all := strings.TrimSpace(strings.Join(accept, "")); all == "" || all == "*/*" {
		return formatJSON, nil
	}
	best, bestQuality := format(""), 0.0
	for _, f := range formats {
		if q := quality(accept, mediaTypes[f]); q > bestQuality {
			best, bestQuality = f, q
		}
	}
	if best == "" {
		return "", &apiError{status: http.StatusNotAcceptable, Code: "not_acceptable", Message: "rows come as application/json, application/x-ndjson, text/csv, text/tab-separated-values, text/x-zeek-log or application/vnd.apache.arrow.stream",
			Hint: "or say ?format=json, ndjson, csv, tsv, zeek or arrow"}
	}
	return best, nil
}

// quality returns how much the Accept headers want one of the types, 0 to 1: the most specific range that matches says it.
func quality(accept []string, types []string) float64 {
	best, bestSpecific := 0.0, -1
	for _, header := range accept {
		for part := range strings.SplitSeq(header, ",") {
			kind, params, err := mime.ParseMediaType(part)
			if err != nil {
				continue
			}
			q := 1.0
			if text, ok := params["q"]; ok {
				if q, err = strconv.ParseFloat(text, 64); err != nil {
					continue
				}
			}
			specific := -1
			major, minor, _ := strings.Cut(kind, "/")
			switch {
			case slices.Contains(types, kind):
				specific = 2
			case minor == "*" && slices.ContainsFunc(types, func(t string) bool { return strings.HasPrefix(t, major+"/") }):
				specific = 1
			case kind == "*/*":
				specific = 0
			}
			if specific < 0 {
				continue
			}
			if specific > bestSpecific || specific == bestSpecific && q > best {
				best, bestSpecific = q, specific
			}
		}
	}
	return best
}

// answer runs a look-up and writes what it found.
func (s *server) answer(w http.ResponseWriter, r *http.Request, view *View, req request, how form) error {
	// HTTP/1.0 has no way to say that an answer breaks off.
	if req.sel.Streams() && req.page == nil && r.ProtoAtLeast(1, 1) {
		if req.key, req.keyed = view.pointOf(req); !req.keyed {
			return s.stream(w, r, view, req, how)
		}
	}
	a, err := view.run(r.Context(), req)
	if err != nil {
		return err
	}
	a.send(w, r, how)
	return nil
}

// send writes the answer in the form that the request wants.
func (a *Answer) send(w http.ResponseWriter, r *http.Request, how form) {
	a.setHeader(w.Header(), how)
	if a.next != "" {
		w.Header().Set("Link", nextLink(r.URL, a.next))
	}
	a.setCounts(w.Header(), how, len(a.Rows))
	if r.Method == http.MethodHead {
		return
	}
	if r.ProtoAtLeast(1, 1) {
		_ = a.write(w, how) // who went away needs no answer
		return
	}
	// To such a client the end of the connection is the end of the answer, unless it knows the length.
	var whole bytes.Buffer
	_ = a.write(&whole, how) // memory takes all
	w.Header().Set("Content-Length", strconv.Itoa(whole.Len()))
	_, _ = w.Write(whole.Bytes())
}

// write writes the rows and what belongs around them.
func (a *Answer) write(w io.Writer, how form) error {
	out := a.writer(w, how)
	if err := out.Header(a.outputColumns()); err != nil {
		return err
	}
	for _, row := range a.Rows {
		if err := out.Row(row); err != nil {
			return err
		}
	}
	return out.Close()
}

// setHeader sets the headers that are known before the rows are.
func (a *Answer) setHeader(header http.Header, how form) {
	header["Content-Type"] = mediaTypes[how.format][:1:1]
	if how.format == formatJSON {
		return // meta says it
	}
	a.AsOf.setHeader(header)
	if a.Partial {
		header.Set("Brotally-Partial", "true")
	}
	if a.next != "" {
		header.Set("Brotally-Next", a.next)
	}
	// A table's name has letters, digits, _ and - only.
	switch how.format {
	case formatCSV:
		header.Set("Content-Type", "text/csv; charset=utf-8; header=present")
		header.Set("Content-Disposition", `attachment; filename="`+a.Table+`.csv"`)
	case formatTSV, formatZeek:
		header.Set("Content-Type", mediaTypes[how.format][0]+"; charset=utf-8")
		header.Set("Content-Disposition", `attachment; filename="`+a.Table+map[format]string{formatTSV: ".tsv", formatZeek: ".log"}[how.format]+`"`)
	case formatArrow:
		header.Set("Content-Disposition", `attachment; filename="`+a.Table+`.arrows"`)
	}
}

// setCounts sets the headers that only all rows give.
func (a *Answer) setCounts(header http.Header, how form, rows int) {
	if how.format == formatJSON {
		return
	}
	header.Set(headerRows, strconv.Itoa(rows))
	if len(a.Approximate) > 0 {
		var names []string
		for _, e := range a.Approximate {
			names = append(names, url.QueryEscape(a.Columns[e.Column].Name))
		}
		header.Set(headerApproximate, strings.Join(names, ","))
	}
}

const (
	headerRows        = "Brotally-Rows"
	headerApproximate = "Brotally-Approximate"
)

func (a *Answer) outputColumns() []output.Column {
	columns := make([]output.Column, len(a.Columns))
	for i, c := range a.Columns {
		columns[i] = output.Column{Name: c.Name, Type: c.Type}
	}
	return columns
}

// writer writes the answer's rows, and what belongs around them, to w.
func (a *Answer) writer(w io.Writer, how form) output.Writer {
	if how.format == formatJSON {
		return &jsonAnswer{answer: a, to: w}
	}
	out, err := output.New(w, output.Format(how.format), output.Options{Null: how.null, Guard: how.spreadsheet, Name: a.Table})
	if err != nil {
		panic(err) // a format of ours that package output does not know
	}
	return out
}

// chunk is how much of a large answer is gathered before it is sent.
const chunk = 64 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// jsonAnswer writes columns, rows and meta.
type jsonAnswer struct {
	answer *Answer
	to     io.Writer
	rows   int
	pooled *[]byte
	b      []byte
}

func (j *jsonAnswer) Header([]output.Column) error {
	j.pooled = buffers.Get().(*[]byte)
	b := append((*j.pooled)[:0], `{"columns":[`...)
	for i, c := range j.answer.Columns {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"name":`...)
		b = output.AppendJSON(b, feeds.StringValue(c.Name))
		b = append(b, `,"type":"`...)
		b = append(append(b, c.Type.String()...), `"}`...)
	}
	j.b = append(b, `],"rows":[`...)
	return nil
}

func (j *jsonAnswer) Row(row []feeds.Value) error {
	b := j.b
	if j.rows > 0 {
		b = append(b, ',')
	}
	j.rows++
	b = append(b, '[')
	for i, v := range row {
		if i > 0 {
			b = append(b, ',')
		}
		b = output.AppendJSON(b, v)
	}
	j.b = append(b, ']')
	if len(j.b) < chunk {
		return nil
	}
	return j.flush()
}

func (j *jsonAnswer) flush() error {
	_, err := j.to.Write(j.b)
	j.b = j.b[:0]
	return err
}

func (j *jsonAnswer) Close() error {
	j.b = append(j.b, `],"meta":`...)
	j.b = append(j.answer.appendMeta(j.b, j.rows), "}\n"...)
	err := j.flush()
	if cap(j.b) <= 2*chunk {
		*j.pooled = j.b
		buffers.Put(j.pooled)
	}
	return err
}

func (a *Answer) appendMeta(b []byte, rows int) []byte {
	b = append(b, `{"table":"`...)
	b = append(append(b, a.Table...), `","as_of":`...)
	b = a.AsOf.AppendJSON(b)
	b = append(b, `,"event_time":`...)
	b = append(b, a.AsOf.eventTime...)
	b = append(b, `,"rows":`...)
	b = strconv.AppendInt(b, int64(rows), 10)
	b = append(b, `,"counts":`...)
	b = append(b, a.AsOf.counts...)
	if a.Partial {
		b = append(b, `,"partial":true`...)
	}
	if a.AsOf.Full {
		b = append(b, `,"max_groups_reached":true`...)
	}
	b = a.appendApproximate(b)
	if a.next != "" {
		b = append(append(append(b, `,"next":"`...), a.next...), '"')
	}
	b = append(b, `,"took_ms":`...)
	b = strconv.AppendFloat(b, float64(a.Took.Microseconds())/1000, 'f', -1, 64)
	return append(b, '}')
}

// appendApproximate says which values are estimates: of each column that has any the numbers of the rows, from 0.
func (a *Answer) appendApproximate(b []byte) []byte {
	if len(a.Approximate) == 0 {
		return b
	}
	for i, e := range a.Approximate {
		b = append(b, []string{`,"approximate":[`, `,`}[min(i, 1)]...)
		b = append(b, `{"column":`...)
		b = output.AppendJSON(b, feeds.StringValue(a.Columns[e.Column].Name))
		b = append(b, `,"rows":[`...)
		for j, row := range e.Rows {
			if j > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, int64(row), 10)
		}
		b = append(b, `]}`...)
	}
	return append(b, ']')
}

// eventTime is the newest event time, NULL if there is none.
func eventTime(a *AsOf) feeds.Value {
	if a.EventTime == codecs.NoTime {
		return feeds.NullValue
	}
	return feeds.TimestampValue(a.EventTime)
}

// countsJSON are a table's counts as answers show them: read = counted + filtered + other_feed + no_time + dead_lettered.
type countsJSON struct {
	Read         int64 `json:"read"`
	Counted      int64 `json:"counted"`
	Filtered     int64 `json:"filtered"`
	OtherFeed    int64 `json:"other_feed"`
	NoTime       int64 `json:"no_time"`
	DeadLettered int64 `json:"dead_lettered"`
	BadFields    int64 `json:"bad_fields"`
	Overflows    int64 `json:"overflows"`
	CutKeys      int64 `json:"cut_keys"`
	Lost         int64 `json:"lost"`
	Skewed       int64 `json:"skewed"`
	Late         int64 `json:"late"`
}

func appendCounts(c codecs.Counts) []byte {
	b, err := json.Marshal(countsJSON(c))
	if err != nil {
		panic(err) // numbers can be written
	}
	return b
}

// milliTime is a wall time of milliseconds as text, nil for none.
func milliTime(ms int64) *string {
	if ms <= 0 {
		return nil
	}
	t := time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
	return &t
}
