package codecs_test

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
)

// A decoder takes the columns it is asked for out of messages in any wrapping.
func ExampleJSON() {
	dns, _ := feeds.Lookup("dns")
	layout := &feeds.Layout{Feed: "dns"}
	for _, name := range []string{"id.orig_h", "qtype_name"} {
		i, _ := dns.Column(name)
		layout.Slot(dns.Columns[i])
	}
	decoder := codecs.NewJSON(layout)
	var rec feeds.Record
	for _, msg := range []string{
		`{"ts":1575413122.764317,"id.orig_h":"10.0.0.1","qtype_name":"A"}`,
		`{"dns": {"ts":1575413122.764317,"id.orig_h":"10.0.0.2"},"sensor": "s1"}`,
		`{"_path":"conn","id.orig_h":"10.0.0.3"}`,
		`{"id.orig_h":`,
	} {
		if err := decoder.Decode([]byte(msg), &rec); err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(rec.Values)
	}
	// Output:
	// [10.0.0.1 A]
	// [10.0.0.2 NULL]
	// record of another feed
	// not a JSON object: unexpected end of JSON input at byte 13
}

// A log file becomes the messages that Bro's Kafka plugin would have written. A bad line is reported, and reading goes on.
func ExampleLogReader() {
	log := codecs.NewLogReader(strings.NewReader(
		"#separator \\x09\n#path\tdns\n#fields\tts\tquery\tanswers\n#types\ttime\tstring\tvector[string]\n" +
			"1575413122.764317\twww.example.com\t10.0.0.1,10.0.0.2\n1575413123\n1575413124.000000\t-\t(empty)\n"))
	for {
		msg, err := log.Next()
		var bad *codecs.LineError
		switch {
		case err == io.EOF:
			return
		case errors.As(err, &bad):
			fmt.Println(bad)
		case err != nil:
			fmt.Println("cannot go on:", err)
			return
		default:
			fmt.Println(log.Path(), string(msg))
		}
	}
	// Output:
	// dns {"ts":1575413122.764317,"query":"www.example.com","answers":["10.0.0.1","10.0.0.2"]}
	// line 6: 1 columns, the header has 3
	// dns {"ts":1575413124.0,"answers":[]}
}
