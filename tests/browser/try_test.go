package browser

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/brotally/brotally/internal/testbrowser"
	"github.com/brotally/brotally/web/tryit"
)

// trial stands in for what the demo lets people try: its traffic, its processors.
type trial struct {
	mu    sync.Mutex // guards what follows
	state tryit.State
	cut   context.CancelFunc // ends the events of those who look
	ended <-chan struct{}
}

func newTrial() *trial {
	x := &trial{state: tryit.State{
		Scenes: []tryit.Scene{{Name: "scan", Doc: "One host asks for every port of another."}, {Name: "flood", Doc: "Names that nobody asked for before."}},
		Tables: []tryit.Table{{Name: "dns_counts", Feed: "dns", Sent: 1234, Read: 1234, Counted: 1234, Rows: 1234}},
		Exact:  true, Kills: []tryit.Kill{},
	}}
	x.hang()
	return x
}

// hang ends the events of those who look now, as a server does that is started again.
func (x *trial) hang() {
	ctx, cut := context.WithCancel(context.Background())
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.cut != nil {
		x.cut()
	}
	x.ended, x.cut = ctx.Done(), cut
}

// change changes what the page is to show.
func (x *trial) change(f func(s *tryit.State)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f(&x.state)
}

// ServeHTTP answers for the page at /try.
func (x *trial) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x.mu.Lock()
	done := x.ended
	x.mu.Unlock()
	tryit.Handler(tryit.Config{
		State: func(context.Context) (*tryit.State, error) {
			x.mu.Lock()
			defer x.mu.Unlock()
			s := x.state
			s.Scenes, s.Tables, s.Kills = slices.Clone(s.Scenes), slices.Clone(s.Tables), slices.Clone(s.Kills)
			return &s, nil
		},
		Switch: func(_ context.Context, name string, on bool) (err error) {
			err = fmt.Errorf("%w: %s", tryit.ErrUnknown, name)
			x.change(func(s *tryit.State) {
				for i := range s.Scenes {
					if s.Scenes[i].Name == name {
						s.Scenes[i].On, err = on, nil
					}
				}
			})
			return err
		},
		Kill: func(context.Context) error {
			x.change(func(s *tryit.State) {
				s.Away, s.Kills = true, append([]tryit.Kill{{At: time.Date(2026, 11, 28, 8, 9, 10, 0, time.UTC)}}, s.Kills...)
			})
			return nil
		},
		Done: done,
	}).ServeHTTP(w, r)
}

// TestTryPage switches a scene, kills the processors and has the page's events end, and sees what the page makes of it.
func TestTryPage(t *testing.T) {
	x := newTrial()
	w := start(t, dnsCounts, x)
	b := testbrowser.Start(t, 1280, 900)
	b.Open(w.url + "/")
	b.Open(w.url + b.Eval(`document.querySelector("nav a[href='/try']").pathname`))
	field := func(of, name string) string {
		return `document.querySelector('` + of + ` [data-field="` + name + `"]')?.textContent`
	}
	const table = `[data-table="dns_counts"]`
	b.Wait(field(table, "sent") + ` === "1,234" && ` + field("", "exact") + ` === "yes"`)
	b.Eval(`window.same = true`) // gone if the page were loaded again
	x.change(func(s *tryit.State) { s.Tables[0].Sent, s.Tables[0].Way, s.Exact = 5678, 4444, false })
	b.Wait(field(table, "sent") + ` === "5,678" && ` + field(table, "on_the_way") + ` === "4,444" && ` + field("", "exact") + ` === "no"`)

	const scan = `[data-scene="scan"]`
	press := `document.querySelector('` + scan + ` button').click()`
	b.Eval(press)
	b.Wait(field(scan, "on") + ` === "on" && document.querySelector('` + scan + ` button').textContent === "Stop"`)
	b.Eval(press)
	b.Wait(field(scan, "on") + ` === "off" && document.querySelector('` + scan + ` button').textContent === "Start"`)

	b.Eval(`document.querySelector('form[action="/try/kill"] button').click()`)
	b.Wait(field("", "away") + ` === "being started" && document.querySelector("#killed").hidden === false && document.querySelector("#kills tbody").innerText === "08:09:10 UTC\t–\t–"`)
	x.change(func(s *tryit.State) { s.Away, s.Kills[0].BackMS, s.Kills[0].ExactMS = false, 431, 1432 })
	b.Wait(field("", "away") + ` === "running" && document.querySelector("#kills tbody").innerText === "08:09:10 UTC\t431\t1,432"`)

	x.hang()
	b.Wait(`document.querySelector("#state").textContent === "no answer"`)
	x.change(func(s *tryit.State) { s.Tables[0].Sent = 6789 })
	b.Wait(field(table, "sent") + ` === "6,789" && document.querySelector("#state").textContent === "live" && window.same`)
	b.Complaints()
}
