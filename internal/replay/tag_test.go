package replay

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
)

// FuzzTagged: whatever record is tagged, the result is one JSON object, which the decoder takes for a record of the feed.
func FuzzTagged(f *testing.F) {
	for _, msg := range []string{
		`{"ts":1.5,"uid":"C1"}`, `{"dns": {"ts":1}}`, `{ "dns" :{}, "site":"a"}`, `{"id":{"orig_h":"::1"}}`, `{}`,
		`{"dns":1,"dns":{}}`, `{"dns-2":{"ts":1}}`, `{"conn":{"ts":1}}`, `{"_path":"dns","dns":{}}`,
	} {
		f.Add(msg)
	}
	f.Fuzz(func(t *testing.T, msg string) {
		var rec feeds.Record
		if codecs.NewJSON(&feeds.Layout{}).Decode([]byte(msg), &rec) != nil {
			return // the log's reader does not let it through
		}
		tagged := appendTagged(nil, "dns", []byte(msg))
		var object map[string]json.RawMessage
		if err := json.Unmarshal(tagged, &object); err != nil {
			t.Fatalf("%v: %s", err, tagged)
		}
		if isTagged("dns", []byte(msg)) {
			if string(tagged) != msg {
				t.Fatalf("tagged twice: %s", tagged)
			}
			return
		}
		if len(object) != 1 || string(object["dns"]) != strings.TrimSpace(msg) {
			t.Fatalf("%s is not %s under its tag", tagged, msg)
		}
		if err := codecs.NewJSON(&feeds.Layout{Feed: "dns"}).Decode(tagged, &rec); err != nil {
			t.Fatalf("%v: %s", err, tagged)
		}
	})
}
