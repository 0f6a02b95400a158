package traffic_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/internal/traffic"
)

func newNetwork(t testing.TB, cfg traffic.Config) *traffic.Network {
	t.Helper()
	n, err := traffic.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// during returns what a network writes in its first span of virtual time.
func during(t testing.TB, cfg traffic.Config, span time.Duration) []traffic.Message {
	t.Helper()
	n := newNetwork(t, cfg)
	var all []traffic.Message
	for {
		m := n.Next()
		if len(all) > 0 && m.Time.Sub(cfg.Start) > span {
			return all
		}
		if cfg.Start.IsZero() {
			cfg.Start = m.Time
		}
		all = append(all, m)
	}
}

func TestSameConfigSameBytes(t *testing.T) {
	const count = 30_000
	a, b := newNetwork(t, traffic.Config{Seed: 7}), newNetwork(t, traffic.Config{Seed: 7})
	other := newNetwork(t, traffic.Config{Seed: 8})
	same := 0
	for i := range count {
		x, y := a.Next(), b.Next()
		if x.Feed != y.Feed || !x.Time.Equal(y.Time) || !bytes.Equal(x.Value, y.Value) {
			t.Fatalf("message %d:\n%s %s\n%s %s", i, x.Feed, x.Value, y.Feed, y.Value)
		}
		if bytes.Equal(x.Value, other.Next().Value) {
			same++
		}
	}
	if same > 0 {
		t.Errorf("%d of %d messages are the same with another seed", same, count)
	}
	if diff := cmp.Diff(a.Scenes(), b.Scenes()); diff != "" {
		t.Errorf("scenes differ: %s", diff)
	}
}

func TestNextIsInOrder(t *testing.T) {
	start := time.Date(2024, 2, 29, 23, 59, 0, 0, time.UTC)
	for seed := range uint64(5) {
		n := newNetwork(t, traffic.Config{Seed: seed, Start: start, Hosts: 10 + 300*int(seed), Rate: 20 * math.Pow(6, float64(seed))})
		last := start
		for i := range 20_000 {
			m := n.Next()
			if m.Time.Before(last) {
				t.Fatalf("seed %d, message %d: %v after %v", seed, i, m.Time, last)
			}
			last = m.Time
			var r struct{ TS float64 }
			if err := json.Unmarshal(m.Value, &r); err != nil {
				t.Fatal(err)
			}
			if ts := time.UnixMicro(int64(r.TS * 1e6)); ts.After(m.Time) {
				t.Fatalf("seed %d: written at %v: %s", seed, m.Time, m.Value)
			}
		}
	}
}

func TestRateIsKept(t *testing.T) {
	start := time.Unix(1.8e9, 0)
	for _, rate := range []float64{30, 500, 2000} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			n := newNetwork(t, traffic.Config{Rate: rate, Start: start})
			from, to := start.Add(70*time.Second), start.Add(70*time.Second+time.Duration(60_000/rate)*time.Second)
			count := 0
			for m := n.Next(); m.Time.Before(to); m = n.Next() {
				if m.Time.After(from) { // by now, as many UDP conns end as begin
					count++
				}
			}
			if got := float64(count) / to.Sub(from).Seconds(); math.Abs(got/rate-1) > 0.1 {
				t.Errorf("%.0f messages/s, want about %.0f", got, rate)
			}
		})
	}
}

func TestFirstSecondIsAsAnyOther(t *testing.T) {
	var tally traffic.Tally
	for _, m := range during(t, traffic.Config{Start: time.Unix(1.8e9, 0), Rate: 1000}, time.Second) {
		tally.Add(m)
	}
	for _, feed := range []string{"dns", "conn"} {
		if tally.Sent(feed) < 150 {
			t.Errorf("%d %s messages in the first second, want some hundred", tally.Sent(feed), feed)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		cfg  traffic.Config
		want string
	}{
		"too few hosts":  {traffic.Config{Hosts: 9}, "traffic of 9 hosts: want 10 to 50000"},
		"too many hosts": {traffic.Config{Hosts: 50_001}, "traffic of 50001 hosts: want 10 to 50000"},
		"negative rate":  {traffic.Config{Rate: -1}, "traffic at -1 messages/s: want more than 0, at most 1,000,000"},
		"no rate":        {traffic.Config{Rate: math.NaN()}, "traffic at NaN messages/s: want more than 0, at most 1,000,000"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := traffic.New(tc.cfg); err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestAddressesAreUnique(t *testing.T) {
	for _, hosts := range []int{10, 48, 1000, 50_000} {
		n := newNetwork(t, traffic.Config{Hosts: hosts})
		if len(n.Scenes()) != 5 {
			t.Errorf("%d hosts: %d scenes", hosts, len(n.Scenes()))
		}
		for _, s := range n.Scenes() {
			if !strings.HasPrefix(s.Host, "10.") || s.Doc == "" {
				t.Errorf("%d hosts: %+v", hosts, s)
			}
		}
		if dup := traffic.SharedAddress(n); dup != "" {
			t.Errorf("%d hosts: %s is the address of two", hosts, dup)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	n := newNetwork(b, traffic.Config{})
	b.ReportAllocs()
	for b.Loop() {
		n.Next()
	}
}

// What a sensor would have logged of one DNS lookup: the query when its reply came, the connection when it was over.
func ExampleNetwork() {
	n, err := traffic.New(traffic.Config{Seed: 1, Rate: 200})
	if err != nil {
		panic(err)
	}
	var tally traffic.Tally
	for range 1000 {
		tally.Add(n.Next())
	}
	fmt.Println(tally.Total(), "messages")
	for _, s := range n.Scenes() {
		if s.On {
			fmt.Println("hidden in them: a", s.Name)
		}
	}
	// Output:
	// 1000 messages
	// hidden in them: a beacon
	// hidden in them: a tunnel
	// hidden in them: a scan
}
