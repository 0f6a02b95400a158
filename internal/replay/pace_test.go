package replay

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPace(t *testing.T) {
	for name, tc := range map[string]struct {
		pace pace
		ts   []float64       // seconds
		want []time.Duration // when each goes, after the first
	}{
		"as fast as it goes": {pace{}, []float64{5, 100, 0}, []time.Duration{0, 0, 0}},
		"rate":               {pace{rate: 2}, []float64{0, 0, 9, 0}, []time.Duration{0, 500 * time.Millisecond, time.Second, 1500 * time.Millisecond}},
		"real time":          {pace{speed: 1}, []float64{1e9, 1e9 + 0.25, 1e9 - 7, 1e9 + 60}, []time.Duration{0, 250 * time.Millisecond, 250 * time.Millisecond, time.Minute}},
		"ten times as fast":  {pace{speed: 10}, []float64{0, 1, 20}, []time.Duration{0, 100 * time.Millisecond, 2 * time.Second}},
		"the slower of both": {pace{rate: 1, speed: 1}, []float64{0, 5, 5.1}, []time.Duration{0, 5 * time.Second, 5100 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				p := tc.pace
				var got []time.Duration
				for _, ts := range tc.ts {
					if err := p.wait(t.Context(), int64(ts*1e6)); err != nil {
						t.Fatal(err)
					}
					got = append(got, time.Since(began))
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("differs (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestPaceAfterAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pace{rate: 10}
		began := time.Now()
		for range 10 {
			if err := p.wait(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute) // virtual: Kafka was slow
		stalled := time.Since(began)
		count := 0
		for time.Since(began) == stalled {
			if err := p.wait(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			count++
		}
		if count < 10 || count > 13 {
			t.Errorf("%d records at once after a stall, want the ten of one second", count)
		}
	})
}

func TestPaceStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		p := pace{speed: 1}
		began := time.Now()
		if err := p.wait(ctx, 0); err != nil {
			t.Fatal(err)
		}
		if err := p.wait(ctx, 3600e6); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("took %v", took)
		}
	})
}
