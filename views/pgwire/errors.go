package pgwire

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/brotally/brotally/tables/sql"
	"github.com/brotally/brotally/views"
	"github.com/brotally/brotally/views/pgwire/pgcatalog"
)

// wireError is an error as clients are told of it.
type wireError struct {
	code     string // SQLSTATE, see PostgreSQL's appendix A
	message  string
	detail   string
	hint     string
	position int  // in the message's text, in characters from 1; 0: no place
	fatal    bool // the session ends
}

func (e *wireError) Error() string { return e.message }

// refused is an error of what is not there, with the way out.
func refused(code, message, hint string) *wireError {
	return &wireError{code: code, message: message, hint: hint}
}

// errCancelled is why a statement ends that CancelRequest stopped; errTimeout, that statement_timeout did.
var (
	errCancelled    = &wireError{code: "57014", message: "canceling statement due to user request"}
	errTimeout      = &wireError{code: "57014", message: "canceling statement due to statement timeout", hint: "SET statement_timeout gives more, up to the server's own limit"}
	errStopping     = &wireError{code: "57P01", message: "terminating connection: the server is shutting down", fatal: true}
	errIdle         = &wireError{code: "57P05", message: "terminating connection: the session was idle for too long", fatal: true}
	errQuestionTime = &wireError{code: "57014", message: "canceling statement: a question about the catalog may take " + questionTime.String(), hint: "ask for less"}
	errAborted      = &wireError{code: "25P02", message: "current transaction is aborted, commands ignored until end of transaction block"}
)

// asWireError says how an error is told. text is the whole text of the statement's message, in which the statement that
// failed begins at byte from.
func asWireError(err error, text string, from int) *wireError {
	var (
		wire     *wireError
		unknown  *views.UnknownTable
		fault    *sql.Error
		catalog  *pgcatalog.Error
		notReady *views.NotReady
		limit    *views.LimitError
		param    *views.ParamError
	)
	switch {
	case errors.As(err, &wire):
		return wire
	case errors.As(err, &unknown):
		e := &wireError{code: "42P01", message: "no table " + unknown.Name, hint: unknown.Hint}
		if unknown.SQL != nil {
			e.position = positionOf(unknown.SQL, text, from)
		}
		return e
	case errors.As(err, &fault):
		return &wireError{code: "42601", message: fault.Message, hint: fault.Hint, position: positionOf(fault, text, from)}
	case errors.As(err, &catalog):
		e := &wireError{code: catalog.Code, message: catalog.Message, hint: catalog.Hint}
		if catalog.At >= 0 {
			e.position = characters(text, from+catalog.At)
		}
		return e
	case errors.As(err, &notReady):
		e := &wireError{code: "57P03", message: notReady.Error(), hint: "try again in a moment"}
		if notReady.Total > 0 {
			e.detail = fmt.Sprintf("%d changelog records are missing.", notReady.Total-notReady.Done)
		}
		return e
	case errors.As(err, &limit):
		e := &wireError{code: "54000", message: "the look-up is over the limit of " + limit.Limit, hint: limit.Hint}
		switch limit.What {
		case "queries":
			e.code = "53000"
		case "time":
			e.code = "57014"
		}
		return e
	case errors.As(err, &param):
		return &wireError{code: "22P02", message: param.Error()}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return errCancelled
	}
	return &wireError{code: "XX000", message: err.Error()}
}

// positionOf is where a fault is in a message's text.
func positionOf(e *sql.Error, text string, from int) int {
	at := from
	for line := 1; line < e.Line && at < len(text); at++ {
		if text[at] == '\n' {
			line++
		}
	}
	for column := 1; column < e.Column && at < len(text); column++ {
		_, size := utf8.DecodeRuneInString(text[at:])
		at += size
	}
	return characters(text, at)
}

// characters turns a byte of a text into a position as PostgreSQL counts them.
func characters(text string, at int) int {
	return utf8.RuneCountInString(text[:min(at, len(text))]) + 1
}

// response is the message that tells of an error.
func (e *wireError) response() *pgproto3.ErrorResponse {
	severity := "ERROR"
	if e.fatal {
		severity = "FATAL"
	}
	return &pgproto3.ErrorResponse{
		Severity: severity, SeverityUnlocalized: severity, Code: e.code, Message: harmless(e.message), Detail: harmless(e.detail), Hint: harmless(e.hint), Position: int32(e.position),
	}
}
