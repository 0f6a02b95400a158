package codecs

import (
	"errors"
	"fmt"
)

// ErrOtherFeed says that a message is a good record of another feed than the layout's: by its tag, its _path or the log
// file it was read from, or because a mixed topic's record does not tell that it is of this one.
var ErrOtherFeed = errors.New("record of another feed")

// DecodeError says why a message is no record: it is not one JSON object, or not the Avro record that its schema says. It names no topic, partition and offset; who
// read the message knows them.
type DecodeError struct {
	Pos    int    // the byte of the message, from 0, at which it went wrong
	Reason string // in words, without the position: "unexpected end of JSON input"
	Avro   bool   // it begins as Avro does
	Code   string // for counting: one of DecodeCodes
}

// DecodeCodes returns the codes that a [DecodeError] may have.
func DecodeCodes() []string {
	return []string{"empty", "byte_order_mark", "cut_short", "syntax", "too_deep", "no_object"}
}

func (e *DecodeError) Error() string {
	if e.Avro {
		return fmt.Sprintf("not an Avro record: %s at byte %d", e.Reason, e.Pos)
	}
	return fmt.Sprintf("not a JSON object: %s at byte %d", e.Reason, e.Pos)
}

// LineError says why a line of a log file is no record. The lines behind it can still be read.
type LineError struct {
	Line   int    // in the file, from 1; of the unpacked text when the file is compressed
	Reason string // in words, without the line number: "9 columns, the header has 21"
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }
