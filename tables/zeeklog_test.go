package tables_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/codecs/codectest"
	"github.com/brotally/brotally/feeds"
)

// inTSV has the records of all scripts' tables, and whether a Zeek log in TSV can say them.
var inTSV = map[string]bool{}

// fromTSV returns the feed's records as the messages that come of them when a Zeek log says them and is read as try and replay
// read it; nil for those that no such log can say (saysTSV). The log has all columns of the feed.
func (s *script) fromTSV(name string) [][]byte {
	feed, ok := s.resolve(name)
	if !ok {
		s.t.Fatalf("no feed %s", name)
	}
	var said []int
	var values [][]feeds.Value
	decoder := codecs.NewJSON(&feeds.Layout{Feed: name, Columns: feed.Columns})
	var rec feeds.Record
	for number, line := range s.records[name] {
		if err := decoder.Decode([]byte(line), &rec); err != nil {
			s.t.Fatalf("%s: %v", line, err)
		}
		inTSV[line] = saysTSV(feed, line, &rec)
		if inTSV[line] {
			said = append(said, number)
			values = append(values, cloneValues(rec.Values))
		}
	}

	messages := make([][]byte, len(s.records[name]))
	log := codecs.NewLogReader(bytes.NewReader(codectest.ZeekLog(name, feed.Columns, values)))
	for i, number := range said {
		msg, err := log.Next()
		if err != nil {
			s.t.Fatalf("%s as TSV: %v", s.records[name][number], err)
		}
		messages[number] = bytes.Clone(msg)
		if err := decoder.Decode(msg, &rec); err != nil || rec.BadFields > 0 {
			s.t.Fatalf("%s as TSV is %s: %d bad fields, %v", s.records[name][number], msg, rec.BadFields, err)
		}
		if got := show([][]feeds.Value{rec.Values}); got != show(values[i:i+1]) {
			s.t.Errorf("%s as TSV is\n%swant\n%s", s.records[name][number], got, show(values[i:i+1]))
		}
	}
	if msg, err := log.Next(); !errors.Is(err, io.EOF) || log.Path() != name {
		s.t.Fatalf("behind the last record of %s: %s, %v", log.Path(), msg, err)
	}
	return messages
}

// saysTSV reports whether a Zeek log can say the record: each member of its line bears the name of one of the feed's columns,
// its value is of that column's type, and it is no array of one empty string, which TSV takes for the empty array.
func saysTSV(feed *feeds.Feed, line string, rec *feeds.Record) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(line), &members) != nil || rec.BadFields > 0 {
		return false
	}
	for name := range members {
		if _, ok := feed.Column(name); !ok {
			return false
		}
	}
	return !slices.ContainsFunc(rec.Values, func(v feeds.Value) bool {
		return v.Kind() == feeds.Array && len(v.List()) == 1 && v.List()[0].Kind() == feeds.String && v.List()[0].Str() == ""
	})
}

func cloneValues(values []feeds.Value) []feeds.Value {
	out := make([]feeds.Value, len(values))
	for i, v := range values {
		out[i] = v.Clone()
	}
	return out
}

// checkMostAreTSV looks that the rule above has not left out much.
func checkMostAreTSV(t *testing.T) {
	said, left := 0, ""
	for line, says := range inTSV {
		if says {
			said++
		} else {
			left += "\n" + line
		}
	}
	t.Logf("%d of %d records of tables came as TSV too, not these:%s", said, len(inTSV), left)
	if said*10 < len(inTSV)*8 {
		t.Errorf("of %d records only %d can be said in TSV: the scripts should have more that can", len(inTSV), said)
	}
}
