package views

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/brotally/brotally/tables/sql"
)

// apiError is an error as an HTTP answer shows it.
type apiError struct {
	status int
	retry  int // seconds after which it may work; 0: not said

	Code    string `json:"code"`           // one word, for programs: "unknown_table"
	Message string `json:"message"`        // for people, on one line
	Hint    string `json:"hint,omitempty"` // what to do about it

	// Where it is, if it is in an SQL text.
	Line   int    `json:"line,omitempty"`   // from 1
	Column int    `json:"column,omitempty"` // from 1, in characters
	Text   string `json:"text,omitempty"`   // message, source line and caret on three lines

	// How much of a table is there, if that is what is wrong.
	Done  *int64 `json:"done,omitempty"` // changelog offsets read
	Total *int64 `json:"total,omitempty"`
}

func (e *apiError) Error() string { return e.Message }

// bad is an error in what the client asked for.
func bad(code, message, hint string) error {
	return &apiError{status: http.StatusBadRequest, Code: code, Message: message, Hint: hint}
}

// retryAfter is how long clients are told to wait for what passes by itself.
const retryAfter = 1

// asAPIError says how an error is answered.
func asAPIError(err error) *apiError {
	var (
		api      *apiError
		unknown  *UnknownTable
		fault    *sql.Error
		notReady *NotReady
		limit    *LimitError
		param    *ParamError
		body     *http.MaxBytesError
	)
	switch {
	case errors.As(err, &api):
		return api
	case errors.As(err, &unknown):
		e := &apiError{status: http.StatusNotFound, Code: "unknown_table", Message: "no table " + unknown.Name, Hint: unknown.Hint}
		return e.at(unknown.SQL)
	case errors.As(err, &fault):
		e := &apiError{status: http.StatusBadRequest, Code: "sql", Message: fault.Message, Hint: fault.Hint}
		return e.at(fault)
	case errors.As(err, &notReady):
		e := &apiError{status: http.StatusServiceUnavailable, retry: retryAfter, Code: "not_ready", Message: notReady.Error(),
			Hint: "try again in a moment, or add stale=true for what there is"}
		if notReady.Total > 0 {
			e.Done, e.Total = &notReady.Done, &notReady.Total
		}
		return e
	case errors.As(err, &limit):
		e := &apiError{status: http.StatusRequestEntityTooLarge, Code: "too_large", Message: "the look-up is over the limit of " + limit.Limit, Hint: limit.Hint}
		switch limit.What {
		case "queries":
			e.status, e.retry, e.Code = http.StatusTooManyRequests, retryAfter, "too_many_queries"
		case "time":
			e.status, e.Code = http.StatusServiceUnavailable, "too_slow"
		}
		return e
	case errors.As(err, &param):
		return &apiError{status: http.StatusBadRequest, Code: "bad_value", Message: param.Error()}
	case errors.As(err, &body):
		return &apiError{status: http.StatusRequestEntityTooLarge, Code: "too_large", Message: "the request is larger than " + strconv.FormatInt(body.Limit, 10) + " bytes"}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &apiError{status: http.StatusServiceUnavailable, Code: "cancelled", Message: "the request was cancelled"}
	}
	return &apiError{status: http.StatusInternalServerError, Code: "internal", Message: err.Error()}
}

// at adds where in the SQL text it is.
func (e *apiError) at(fault *sql.Error) *apiError {
	if fault != nil {
		e.Line, e.Column, e.Text = fault.Line, fault.Column, fault.Error()
	}
	return e
}

// fail answers with an error.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := asAPIError(err)
	if e.status == http.StatusInternalServerError {
		s.log.Error("request failed", "path", r.URL.Path, "error", err)
	}
	if e.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(e.retry))
	}
	writeJSON(w, e.status, map[string]*apiError{"error": e})
}

// Refuse answers with an error of the API's form, for handlers that stand beside it: code is one word for programs, message is on one
// line, and hint, which may be empty, says what to do about it.
func Refuse(w http.ResponseWriter, status int, code, message, hint string) {
	writeJSON(w, status, map[string]*apiError{"error": {Code: code, Message: message, Hint: hint}})
}

// writeJSON answers with a JSON value.
func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // a programmer's mistake: what we answer with can be written
		b, status = []byte(`{"error":{"code":"internal","message":"the answer cannot be written"}}`), http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // who went away needs no answer
}
