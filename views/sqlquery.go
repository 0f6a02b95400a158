package views

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// queryBody is what POST /api/v1/query takes.
type queryBody struct {
	SQL       string            `json:"sql"`
	Params    []json.RawMessage `json:"params"`
	Format    string            `json:"format"`
	Stale     bool              `json:"stale"`
	MinOffset json.RawMessage   `json:"min_offset"` // "dns/0:41", 41, or as as_of has it
}

// queryParams are the parameters that it takes beside its body.
var queryParams = []string{paramFormat, paramNull, paramSpreadsheet, paramMinOffset, paramStale}

// query answers POST /api/v1/query.
func (s *server) query(w http.ResponseWriter, r *http.Request) error {
	body, err := readQuery(r)
	if err != nil {
		return err
	}
	for name := range r.URL.Query() {
		if !slices.Contains(queryParams, name) {
			return bad("unknown_parameter", "no parameter "+name, or(sql.DidYouMean(name, queryParams), "the SQL text says the rest"))
		}
	}
	lookup, err := s.views.Compile(body.SQL)
	if err != nil {
		return err
	}
	req := request{sel: lookup.Select}
	if n := lookup.Select.Params(); n != len(body.Params) && !(lookup.Explain && len(body.Params) == 0) {
		return bad("bad_parameter", fmt.Sprintf("the statement takes %d parameter(s), %d given", n, len(body.Params)), `write them as "params": [..], in the order of $1, $2`)
	}
	for i, raw := range body.Params {
		v, err := paramOf(raw)
		if err != nil {
			return bad("bad_value", fmt.Sprintf("parameter $%d: %v", i+1, err), "")
		}
		req.params = append(req.params, v)
	}
	form, err := formOf(r, r.URL.Query(), body.Format)
	if err != nil {
		return err
	}
	f, err := body.freshness(r)
	if err != nil {
		return err
	}
	w.Header()["Vary"] = varies
	if lookup.Explain {
		lookup.View.Explain(lookup.Select).send(w, r, form)
		return nil
	}
	if err := lookup.View.await(r.Context(), f); err != nil {
		return err
	}
	req.partial = f.stale
	return s.answer(w, r, lookup.View, req, form)
}

func readQuery(r *http.Request) (body queryBody, err error) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return body, &apiError{status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type",
			Message: "the body has to be application/json", Hint: `with curl: curl --json '{"sql": "SELECT .."}' URL`}
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err = d.Decode(&body)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the object")
		}
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return body, err
	case err != nil:
		return body, bad("bad_body", "the body is not what is expected: "+strings.TrimPrefix(err.Error(), "json: "), `write {"sql": "SELECT ..", "params": [..]}`)
	case strings.TrimSpace(body.SQL) == "":
		return body, bad("bad_body", "the body has no sql", `write {"sql": "SELECT ..", "params": [..]}`)
	}
	return body, nil
}

// paramOf reads a JSON value as a parameter. Integers stay exact; what type a parameter has to be, its place says.
func paramOf(raw json.RawMessage) (feeds.Value, error) {
	raw = bytes.TrimSpace(raw)
	switch raw[0] {
	case 'n':
		return feeds.NullValue, nil
	case 't', 'f':
		return feeds.BoolValue(raw[0] == 't'), nil
	case '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return feeds.StringValue(s), err
	case '[', '{':
		return feeds.Value{}, errors.New("arrays and objects are not possible")
	}
	if i, ok := feeds.ParseInt128(string(raw)); ok {
		return feeds.NumericValue(i), nil
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.IsInf(f, 0) {
		return feeds.Value{}, fmt.Errorf("%s is not a number that can be held", raw)
	}
	return feeds.DoubleValue(f), nil
}

// freshness reads stale and min_offset from the body, else from the query string.
func (b queryBody) freshness(r *http.Request) (freshness, error) {
	stale, text := r.URL.Query().Get(paramStale), r.URL.Query().Get(paramMinOffset)
	if b.Stale {
		stale = "true"
	}
	raw := bytes.TrimSpace(b.MinOffset)
	if len(raw) == 0 || string(raw) == "null" {
		return parseFreshness(stale, text)
	}
	if raw[0] != '{' {
		return parseFreshness(stale, strings.Trim(string(raw), `"`))
	}
	var offsets map[string]map[int32]int64
	if err := json.Unmarshal(raw, &offsets); err != nil {
		return freshness{}, badOffset(string(raw))
	}
	f, err := parseFreshness(stale, "")
	for topic, partitions := range offsets {
		for partition, offset := range partitions {
			f.want(codecs.Source{Topic: topic, Partition: partition}, offset)
		}
	}
	if err == nil && f.stale && f.offsets != nil {
		err = errContradiction
	}
	return f, err
}

// or returns s unless it is empty.
func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
