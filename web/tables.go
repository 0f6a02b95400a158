package web

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/brotally/brotally/views/client"
)

// card is a table as the list shows it.
type card struct {
	client.Table
	Link  string
	Rate  string
	Spark spark
	Best  *grid  // its first three rows; nil: they are not known
	Still string // why it stands still; empty: it does not
}

// home makes the list of tables.
func (s *Site) home() maker {
	return func(r *http.Request) (*page, error) {
		p := &page{Title: "Tables", Nav: "tables", State: live}
		list, err := s.api.Tables(r.Context())
		if err != nil {
			return p, err
		}
		cards := make([]card, 0, len(list))
		for _, t := range list {
			rates := s.history.rates(t.Name)
			c := card{Table: t, Link: tableLink(t.Name), Spark: newSpark(rates), Rate: "–"}
			if len(rates) > 0 {
				c.Rate = decimal(rates[len(rates)-1])
			}
			if c.Still = still(&t); c.Still != "" && p.State == live {
				p.State = stalledState
			}
			if t.Ready {
				c.Best = s.best.rows(r.Context(), s.api, t.Name)
			} else if p.State == live {
				p.State = state{"wait", "restoring"}
			}
			// The notebook's table comes first, where there is one.
			if cards = append(cards, c); t.Name == "dns_counts" {
				copy(cards[1:], cards)
				cards[0] = c
			}
		}
		p.Main = cards
		if len(cards) == 0 {
			p.State = state{"wait", "no tables"}
		}
		return p, nil
	}
}

var stalledState = state{"wait", "stalled"}

// still says why a table that has all its rows stands still; nothing if it does not.
func still(t *client.Table) string {
	if !t.Ready || t.Heard == nil || time.Since(*t.Heard) < silence {
		return ""
	}
	return "Stalled: its processors were last heard of " + ago(t.Heard) + ". Do they run, and can they reach the brokers?"
}

func tableLink(name string) string { return "/tables/" + url.PathEscape(name) }

// best has the first rows of tables, for all who look at the list. It asks for them now and then: over a large table that is
// not cheap.
type best struct {
	mu    sync.Mutex // guards known
	known map[string]*bestOf
}

type bestOf struct {
	asking chan struct{} // has what guards due while somebody asks
	grid   atomic.Pointer[grid]
	due    time.Time // when to ask again
}

func (b *best) rows(ctx context.Context, api *client.Client, name string) *grid {
	of := b.of(name)
	select {
	case of.asking <- struct{}{}:
	default: // somebody asks
		if known := of.grid.Load(); known != nil {
			return known
		}
		select {
		case of.asking <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
	}
	defer func() { <-of.asking }()
	if time.Now().Before(of.due) {
		return of.grid.Load()
	}
	began := time.Now()
	if t, err := api.Table(ctx, name); err == nil {
		order := usualOrder(t.Columns)
		if rows, err := api.Rows(ctx, name, client.RowsOptions{Order: order, Limit: 3}); err == nil {
			of.grid.Store(newGrid(rows, t.Columns, order).short(2))
		}
	}
	if ctx.Err() == nil { // else the one who asked has left, and the next one does
		of.due = time.Now().Add(max(time.Second, 20*time.Since(began)))
	}
	return of.grid.Load()
}

func (b *best) of(name string) *bestOf {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known == nil {
		b.known = map[string]*bestOf{}
	}
	of := b.known[name]
	if of == nil {
		of = &bestOf{asking: make(chan struct{}, 1)}
		b.known[name] = of
	}
	return of
}
