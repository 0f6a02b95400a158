package traffic_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/traffic"
)

// evidence says whether a message is of a scene.
var evidence = map[string]func(host, feed string, r map[string]any) bool{
	"beacon": func(host, feed string, r map[string]any) bool {
		return feed == "ssl" && r["id.resp_h"] == "203.0.113.254" && r["id.orig_h"] == host
	},
	"tunnel": func(host, feed string, r map[string]any) bool {
		q, _ := r["query"].(string)
		return feed == "dns" && strings.HasSuffix(q, ".t.driftwood-cdn.example") && r["id.orig_h"] == host
	},
	"scan": func(host, feed string, r map[string]any) bool {
		return feed == "conn" && r["id.orig_h"] == host && (r["conn_state"] == "REJ" || r["conn_state"] == "S0" && r["proto"] == "tcp")
	},
	"flood": func(host, feed string, r map[string]any) bool {
		q, _ := r["query"].(string)
		return feed == "dns" && r["id.orig_h"] == host && r["rcode_name"] == "NXDOMAIN" && strings.Count(q, ".") == 2
	},
}

// span returns the messages of the next stretch of virtual time, and how many are evidence of a scene.
func span(t *testing.T, n *traffic.Network, length time.Duration, host string, is func(host, feed string, r map[string]any) bool) (all []traffic.Message, seen int) {
	t.Helper()
	for end := (time.Time{}); ; {
		m := n.Next()
		if end.IsZero() {
			end = m.Time.Add(length)
		}
		if m.Time.After(end) {
			return all, seen
		}
		all = append(all, m)
		var r map[string]any
		if err := json.Unmarshal(m.Value, &r); err != nil {
			t.Fatalf("%s: %v", m.Value, err)
		}
		if is(host, m.Feed, r) {
			seen++
		}
	}
}

func TestScenesAreSwitched(t *testing.T) {
	for name, is := range evidence {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t, traffic.Config{Seed: 3, Rate: 100})
			var host string
			for _, s := range n.Scenes() {
				if s.Name == name {
					host = s.Host
				}
			}
			set := func(on bool) {
				t.Helper()
				if err := n.Switch(name, on); err != nil {
					t.Fatal(err)
				}
				for _, s := range n.Scenes() {
					if s.Name == name && s.On != on {
						t.Errorf("switched to %v, it is %v", on, s.On)
					}
				}
			}
			set(false)
			span(t, n, 30*time.Second, host, is) // what was begun ends
			_, before := span(t, n, 2*time.Minute, host, is)
			set(true)
			set(true) // is no second one
			_, on := span(t, n, 2*time.Minute, host, is)
			set(false)
			span(t, n, 30*time.Second, host, is)
			_, after := span(t, n, 2*time.Minute, host, is)
			set(true)
			_, again := span(t, n, 2*time.Minute, host, is)
			least, most := 20, 1<<30
			if name == "beacon" {
				least, most = 2, 3
			}
			if before > on/20 || after > on/20 || on < least || on > most || again < least || again > most {
				t.Errorf("seen %d times while off, %d while on, %d off, %d on", before, on, after, again)
			}
		})
	}
	if err := newNetwork(t, traffic.Config{}).Switch("party", true); err == nil {
		t.Error("there is no scene party")
	}
}

func TestFloodComesOnTop(t *testing.T) {
	const rate = 200
	n := newNetwork(t, traffic.Config{Rate: rate})
	none := func(string, string, map[string]any) bool { return false }
	span(t, n, 70*time.Second, "", none)
	if err := n.Switch("flood", true); err != nil {
		t.Fatal(err)
	}
	span(t, n, 20*time.Second, "", none)
	all, _ := span(t, n, time.Minute, "", none)
	if got := float64(len(all)) / 60; got < 1.8*rate || got > 2.2*rate {
		t.Errorf("%.0f messages/s, want about %d", got, 2*rate)
	}
}

// TestPoisonIsDeadLetters decodes a burst: none of it is a record, and all of it is told apart from records.
func TestPoisonIsDeadLetters(t *testing.T) {
	n := newNetwork(t, traffic.Config{Rate: 100})
	if err := n.Switch("poison", true); err != nil {
		t.Fatal(err)
	}
	decoder, rec := codecs.NewJSON(&feeds.Layout{Feed: "dns", Columns: []feeds.Column{{Name: "uid", Type: feeds.T(feeds.String)}}}), feeds.Record{}
	var tally traffic.Tally
	reasons, byFeed, longest, begun := map[string]int{}, map[string]int64{}, 0, time.Time{}
	for {
		m := n.Next()
		tally.Add(m)
		if begun.IsZero() {
			begun = m.Time
		}
		if m.Time.Sub(begun) > 5*time.Second {
			break
		}
		err := decoder.Decode(m.Value, &rec)
		if (err != nil) != m.Poison {
			t.Fatalf("poison %v, decoded with %v: %.200s", m.Poison, err, m.Value)
		}
		if m.Poison {
			var why *codecs.DecodeError
			if !errors.As(err, &why) {
				t.Fatalf("refused with %v", err)
			}
			reasons[why.Code]++
			byFeed[m.Feed]++
			longest = max(longest, len(m.Value))
		}
	}
	total := int64(0)
	for feed, c := range byFeed {
		total += c
		if tally.Poisoned(feed) != c {
			t.Errorf("%s: %d, tally says %d", feed, c, tally.Poisoned(feed))
		}
	}
	if total != 400 || len(byFeed) != 4 || len(reasons) < 5 || longest < 100_000 {
		t.Errorf("%d records to %v, longest %d, because of %v", total, byFeed, longest, reasons)
	}
	for _, s := range n.Scenes() {
		if s.Name == "poison" && s.On {
			t.Error("it does not end")
		}
	}
}

// TestSwitchedAlikeSameBytes switches two networks at the same messages.
func TestSwitchedAlikeSameBytes(t *testing.T) {
	a, b := newNetwork(t, traffic.Config{Seed: 7}), newNetwork(t, traffic.Config{Seed: 7})
	names := []string{"flood", "poison", "tunnel", "scan", "beacon"}
	for i := range 20_000 {
		if i%500 == 0 {
			name, on := names[i/500%len(names)], i/500%2 == 0
			if err := a.Switch(name, on); err != nil {
				t.Fatal(err)
			}
			if err := b.Switch(name, on); err != nil {
				t.Fatal(err)
			}
		}
		x, y := a.Next(), b.Next()
		if x.Feed != y.Feed || !x.Time.Equal(y.Time) || !bytes.Equal(x.Value, y.Value) {
			t.Fatalf("message %d:\n%s %s\n%s %s", i, x.Feed, x.Value, y.Feed, y.Value)
		}
	}
}
