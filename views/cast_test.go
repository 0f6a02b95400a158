package views

import (
	"testing"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/tables"
)

// TestWhoTakesAnothersPlaceHoldsAllOfIt: what the other one shows is as far as its furthest partition, not its last.
func TestWhoTakesAnothersPlaceHoldsAllOfIt(t *testing.T) {
	dns, conn := codecs.Source{Topic: "dns"}, codecs.Source{Topic: "conn"}
	type uptos = map[codecs.Source][partitions]int64
	for _, c := range []struct {
		name     string
		old, new uptos
		same     bool // they follow the same changelog
		want     bool
	}{
		{name: "nothing was counted", want: true},
		{name: "as far as all", old: uptos{dns: {5, 5, 5}}, new: uptos{dns: {5, 5, 5}}, want: true},
		{name: "as far as the last, not as the first", old: uptos{dns: {5, 7, 5}}, new: uptos{dns: {5, 5, 5}}},
		{name: "one is not as far as the first", old: uptos{dns: {5, 7, 5}}, new: uptos{dns: {9, 9, 6}}},
		{name: "all are as far as the first", old: uptos{dns: {5, 7, 5}}, new: uptos{dns: {7, 9, 7}}, want: true},
		{name: "another source that only the other one reads", old: uptos{dns: {5, 5, 5}, conn: {9, 9, 9}}, new: uptos{dns: {5, 5, 5}}, want: true},
		{name: "another source that both read", old: uptos{dns: {5, 5, 5}, conn: {9, 9, 9}}, new: uptos{dns: {5, 5, 5}, conn: {9, 9, 8}}},
		{name: "the same rows, each partition as far", same: true, old: uptos{dns: {5, 7, 5}}, new: uptos{dns: {5, 7, 6}}, want: true},
		{name: "the same rows, one partition not as far", same: true, old: uptos{dns: {5, 7, 5}}, new: uptos{dns: {9, 6, 9}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, Limits{}, dnsCounts, dnsTotal)
			old, view := f.view("dns_counts"), f.view("dns_total")
			if c.same {
				view.topics.Changelog = old.topics.Changelog
			}
			put := func(v *View, at uptos) {
				for n := range int32(partitions) {
					p, _ := v.held.Load().partition(n)
					if err := p.Update(func(_ *tables.Groups, progress map[codecs.Source]codecs.Progress) error {
						for source, upto := range at {
							progress[source] = codecs.Progress{Upto: upto[n]}
						}
						return nil
					}); err != nil {
						t.Fatal(err)
					}
				}
			}
			put(old, c.old)
			put(view, c.new)
			if got := view.holdsAllOf(old); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
			view.hold(held{state: "is being restored"})
			if view.holdsAllOf(old) {
				t.Error("it is not ready, and holds nothing")
			}
		})
	}
}
