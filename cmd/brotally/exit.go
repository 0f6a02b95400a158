package main

import (
	"errors"

	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/tables/sql"
)

// The exit codes, which scripts may rely on.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2 // flags, settings, SQL, definitions that do not fit what runs
	exitNoBroker    = 3
	exitNotAllowed  = 4
	exitInterrupted = 130 // 128 + SIGINT, as shells have it
)

// usageError is a fault in what the user typed.
type usageError struct{ error }

// Unwrap returns what is wrong with it.
func (e *usageError) Unwrap() error { return e.error }

// exitCode returns the code that tells a script what kind of error it was.
func exitCode(err error) int {
	var (
		usage    *usageError
		faulty   *sql.Error
		placed   *placedError
		property *kafka.PropertyError
		refusal  *processors.Refusal
		lossy    *processors.Unapproved
		nobody   *kafka.ErrNoBroker
		denied   *kafka.NotAllowed
		rights   *rightsError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.As(err, &usage), errors.As(err, &faulty), errors.As(err, &placed), errors.As(err, &property), errors.As(err, &refusal), errors.As(err, &lossy):
		return exitUsage
	case errors.As(err, &nobody):
		return exitNoBroker
	case errors.As(err, &denied), errors.As(err, &rights):
		return exitNotAllowed
	}
	return exitFailed
}
