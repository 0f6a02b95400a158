package codectest

import (
	"bytes"
	"fmt"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/output"
)

// ZeekLog is a log of records, as [output.Zeek] writes it. It cannot tell an array of one empty string from the empty array, nor can
// Zeek.
func ZeekLog(path string, columns []feeds.Column, records [][]feeds.Value) []byte {
	var b bytes.Buffer
	w, err := output.New(&b, output.Zeek, output.Options{Name: path})
	if err != nil {
		panic(err) // there is that format
	}
	var header []output.Column
	for _, c := range columns {
		header = append(header, output.Column{Name: c.Name, Type: c.Type})
	}
	err = w.Header(header)
	for _, record := range records {
		if err == nil {
			err = w.Row(record)
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err) // a bytes.Buffer takes everything
	}
	return b.Bytes()
}

// AppendSeconds appends a time, in microseconds since the Unix epoch, as Zeek writes it.
func AppendSeconds(b []byte, micros int64) []byte {
	if micros < 0 {
		b, micros = append(b, '-'), -micros
	}
	return fmt.Appendf(b, "%d.%06d", micros/1e6, micros%1e6)
}
