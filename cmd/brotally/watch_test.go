package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/output"
	"github.com/brotally/brotally/views/client"
)

// sgr is what marks texts: it takes no room.
var sgr = regexp.MustCompile(`\x1b\[(1|22|7|27)m`)

func TestScreen(t *testing.T) {
	s := &screen{
		head: "dns_counts  4 groups  12 changes/s", order: 2,
		columns: []output.Column{{Name: "id.orig_h", Type: feeds.T(feeds.Inet)}, {Name: "query", Type: feeds.T(feeds.String)}, {Name: "count", Type: feeds.T(feeds.Bigint)}, {Name: "newest", Type: feeds.T(feeds.Timestamp)}},
		cells: [][]string{
			{"10.0.0.1", "www.a-rather-long-name.example.com", "1234", "2023-11-14T22:13:20.000001Z"},
			{"2001:db8::7", "日本語.example", "7", "NULL"},
		},
		changed: [][]bool{{false, false, true, false}},
	}
	for _, test := range []struct {
		width, height int
		want          string
	}{
		{360, 24, `
<b>dns_counts  4 groups  12 changes/s</b>

<b>id.orig_h    query                               count  newest</b>
10.0.0.1     www.a-rather-long-name.example.com   <r>1234</r>  2023-11-14T22:13:20.000001Z
2001:db8::7  日本語.example                          7  NULL
`},
		{80, 24, `
<b>dns_counts  4 groups  12 changes/s</b>

<b>id.orig_h    query                            count  newest</b>
10.0.0.1     www.a-rather-long-name.example…   <r>1234</r>  2023-11-14T22:13:20.000001Z
2001:db8::7  日本語.example                       7  NULL
`},
		{40, 24, `
<b>dns_counts  4 groups  12 changes/s</b>
1 column more on a wider terminal
<b>id.orig_h    query         count</b>
10.0.0.1     www.a-rathe…   <r>1234</r>
2001:db8::7  日本語.exam…      7
`},
		{22, 4, `
<b>dns_counts  4 groups …</b>
2 columns more on a w…
<b>id.orig_h    count</b>
10.0.0.1      <r>1234</r>
`},
		{9, 3, `
<b>dns_coun…</b>
2 column…
<b>id…  cou…</b>
`},
		{1, 1, `
<b>…</b>
`},
	} {
		t.Run(fmt.Sprintf("%d by %d", test.width, test.height), func(t *testing.T) {
			lines := s.draw(test.width, test.height)
			got := "\n" + strings.Join(lines, "\n") + "\n"
			got = strings.NewReplacer(boldOn, "<b>", boldOff, "</b>", reverseOn, "<r>", reverseOff, "</r>").Replace(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// FuzzScreen: whatever a table holds and however large the terminal is, nothing but marks commands it, and no line is too long.
func FuzzScreen(f *testing.F) {
	f.Add("\x1b[2J\x1b]0;title\a", "\u202etxt.exe", 40, 10)
	f.Add("ｆｕｌｌ", "a\r\nb", 7, 5)
	f.Add("", "\x9b31m\xff", 1, 1)
	f.Add("e\u0301\u0301", "\t", 12, 3)
	f.Fuzz(func(t *testing.T, name, value string, width, height int) {
		if width < 1 || height < 1 || width > 1000 || height > 100 {
			t.Skip("no terminal has that size")
		}
		s := &watchScreen{watching: &watching{program: &program{}, where: newPairs("column=value"), table: name}}
		s.begin([]client.TableColumn{{Name: name, Type: "string", Key: true}, {Name: "n", Type: "bigint"}, {Name: value, Type: "string[]"}})
		s.top.put(value, []feeds.Value{feeds.StringValue(value), feeds.BigintValue(7), feeds.ArrayValue([]feeds.Value{feeds.StringValue(value)})})
		s.note = value
		for range 2 {
			lines := s.screen(time.Unix(1_700_000_000, 0), height).draw(width, height)
			if len(lines) > height {
				t.Errorf("%d lines of %d", len(lines), height)
			}
			for _, line := range lines {
				plain := sgr.ReplaceAllString(line, "")
				if plain != output.Printable(plain) {
					t.Errorf("line %q commands the terminal", line)
				}
				if w := output.ScreenWidth(plain); w > max(width, 3+2*screenGap) {
					t.Errorf("line %q is %d wide, of %d", plain, w, width)
				}
			}
			s.whole = true
			s.top.put(value, []feeds.Value{feeds.StringValue(value), feeds.BigintValue(8), feeds.NullValue})
		}
	})
}

// TestTop: from changes alone it has the rows that a sort of all has, or says that it is not sure.
func TestTop(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 1))
	for _, desc := range []bool{true, false} {
		top := newTop(0, desc, 20)
		all := map[string]*topRow{}
		unsure := 0
		for range 5000 {
			key := fmt.Sprintf("k%d", random.IntN(300))
			if old := all[key]; old != nil && random.IntN(12) == 0 {
				delete(all, key)
				top.remove(key)
			} else {
				v := feeds.BigintValue(int64(random.IntN(40)))
				if old != nil && !old.values[0].IsNull() && random.IntN(3) > 0 {
					v = feeds.BigintValue(old.values[0].Int() + 1) // as counts do
				}
				if random.IntN(50) == 0 {
					v = feeds.NullValue
				}
				all[key] = &topRow{key, []feeds.Value{v}}
				top.put(key, all[key].values)
			}
			if len(top.rows) > 2*top.most {
				t.Fatalf("%d rows are kept", len(top.rows))
			}
			got, sure := top.head(5)
			if !sure {
				unsure++
				if random.IntN(20) == 0 { // it is read anew
					top.clear()
					for key, r := range all {
						top.put(key, r.values)
					}
				}
				continue
			}
			var want []*topRow
			for _, r := range all {
				want = append(want, r)
			}
			slices.SortFunc(want, top.compare)
			for i, r := range want[:min(5, len(want))] {
				if got[i].key != r.key || !feeds.Equal(got[i].values[0], r.values[0]) {
					t.Fatalf("row %d is %v, want %v", i, got[i], r)
				}
			}
		}
		if unsure == 5000 {
			t.Error("it was never sure")
		}
	}
}

func TestTopOrder(t *testing.T) {
	columns := []client.TableColumn{{Name: "host", Type: "inet", Key: true}, {Name: "port", Type: "bigint", Key: true}, {Name: "newest", Type: "timestamp", Aggregate: true}, {Name: "n", Type: "numeric", Aggregate: true}}
	for _, test := range []struct {
		said  string
		order int
		desc  bool
		err   string
	}{
		{"", 3, true, ""},
		{"port", 1, false, ""},
		{"-Newest", 2, true, ""},
		{"-prot", 0, false, "--order: no column prot; did you mean port?"},
		{"xyz", 0, false, "--order: no column xyz; the columns are host, port, newest, n"},
	} {
		order, desc, err := topOrder(test.said, columns)
		if order != test.order || desc != test.desc || (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
			t.Errorf("%q: %d, %v, %v", test.said, order, desc, err)
		}
	}
	if order, desc, err := topOrder("", columns[:1]); order != 0 || desc || err != nil {
		t.Errorf("nothing is counted: %d, %v, %v", order, desc, err)
	}
}

// TestMarks: what has changed is marked for a second, and what is drawn first is not.
func TestMarks(t *testing.T) {
	s := &watchScreen{desc: true, order: 1, watching: &watching{program: &program{}, where: newPairs("column=value"), table: "t"}}
	s.begin([]client.TableColumn{{Name: "host", Type: "string", Key: true}, {Name: "n", Type: "bigint", Aggregate: true}})
	put := func(key string, n int64) { s.top.put(key, []feeds.Value{feeds.StringValue(key), feeds.BigintValue(n)}) }
	put("a", 1)
	put("b", 2)
	s.whole = true
	now := time.Unix(1_700_000_000, 0)
	expect := func(want string) {
		t.Helper()
		got := ""
		drawn := s.screen(now, 24)
		for i, cells := range drawn.cells {
			got += fmt.Sprint(cells) + fmt.Sprint(drawn.changed[i])
		}
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	expect("[b 2][false false][a 1][false false]")
	put("a", 3)
	put("c", 0)
	expect("[a 3][false true][b 2][false false][c 0][true true]")
	now = now.Add(markedFor / 2)
	s.top.remove("c")
	expect("[a 3][false true][b 2][false false]")
	now = now.Add(markedFor)
	expect("[a 3][false false][b 2][false false]")
}

// watchServer answers with one table and a stream of these events, and keeps the connection until the client is gone.
func watchServer(t *testing.T, events string) string {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/tables/t", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"name":"t","columns":[{"name":"host","type":"string","key":true},{"name":"n","type":"bigint","aggregate":true}]}`)
	})
	mux.HandleFunc("/api/v1/tables/t/changes", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, events)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error":{"code":"unknown_table","message":"no table x","hint":"did you mean t?"}}`)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

const watchEvents = "event: snapshot\ndata: {\"columns\":[{\"name\":\"host\",\"type\":\"string\"},{\"name\":\"n\",\"type\":\"bigint\"}]}\nid:\n\n" +
	"event: rows\ndata: [{\"key\":\"a\",\"row\":{\"host\":\"a\",\"n\":12345678901234567890}}]\n\n" +
	"event: as_of\ndata: {\"as_of\":{\"dns\":{\"0\":1}},\"event_time\":\"2023-11-14T22:13:20.000001Z\",\"groups\":1}\nid: x.1\n\n" +
	"event: upsert\ndata: {\"key\":\"\u202ea\u009b\",\"row\":{\"host\":\"\u202ea\u009b\x7f\",\"n\":2},\"approximate\":[\"n\"]}\n\n" +
	"event: delete\ndata: {\"key\":\"a\",\"row\":{\"host\":\"a\"}}\n\n" +
	"event: as_of\ndata: {\"as_of\":{\"dns\":{\"0\":2}},\"event_time\":null,\"groups\":1}\nid: x.2\n\n" +
	"event: reset\ndata: {\"reason\":\"rebuilt\",\"message\":\"the view is built anew\"}\nid:\n\n"

// TestWatchWritesLines, of which none commands a terminal.
func TestWatchWritesLines(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	out, in := io.Pipe()
	p := &program{stdin: strings.NewReader(""), stdout: in, stderr: io.Discard}
	code := make(chan int, 1)
	go func() { code <- p.main(ctx, []string{"watch", "t", "--server", watchServer(t, watchEvents)}) }() // awaited below
	const want = `{"change":"snapshot"}
{"change":"upsert","key":"a","row":{"host":"a","n":12345678901234567890}}
{"change":"as_of","as_of":{"dns":{"0":1}},"event_time":"2023-11-14T22:13:20.000001Z","groups":1}
{"change":"upsert","key":"\u202ea\u009b","row":{"host":"\u202ea\u009b\u007f","n":2},"approximate":["n"]}
{"change":"delete","key":"a","row":{"host":"a"}}
{"change":"as_of","as_of":{"dns":{"0":2}},"groups":1}
{"change":"reset","reason":"rebuilt","message":"the view is built anew"}
`
	got := make([]byte, len(want))
	if _, err := io.ReadFull(out, got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	cancel(errInterrupted)
	if c := <-code; c != exitInterrupted {
		t.Errorf("exit code %d", c)
	}
}

// TestWatchEndsWithItsReader, as head does.
func TestWatchEndsWithItsReader(t *testing.T) {
	out, in := io.Pipe()
	if err := out.CloseWithError(syscall.EPIPE); err != nil {
		t.Fatal(err)
	}
	p := &program{stdin: strings.NewReader(""), stdout: in, stderr: io.Discard}
	if code := p.main(t.Context(), []string{"watch", "t", "--server", watchServer(t, watchEvents)}); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestWatchSaysWhatIsWrong(t *testing.T) {
	url := watchServer(t, "")
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"watch", "x", "--server", url}, exitUsage, "brotally: no table x; did you mean t?"},
		{[]string{"watch", "t", "--server", "127.0.0.1:1"}, exitFailed, "brotally: no server at 127.0.0.1:1; start one with brotally run or demo"},
		{[]string{"watch", "t", "--limit", "-1"}, exitUsage, "brotally: --limit -1: a number of rows"},
		{[]string{"watch", "t", "--where", "n"}, exitUsage, "want column=value"},
		{[]string{"watch"}, exitUsage, "accepts 1 arg(s), received 0"},
	} {
		code, _, stderr := invoke(t.Context(), nil, test.args...)
		if code != test.code || !strings.Contains(stderr, test.want) {
			t.Errorf("%v: %d %s", test.args, code, stderr)
		}
	}
}

func TestFollowedKeepsItsError(t *testing.T) {
	if err := error(followed{io.EOF}); !errors.Is(err, errFollowed) || !errors.Is(err, io.EOF) || errors.Unwrap(err) != io.EOF {
		t.Error(err)
	}
}
