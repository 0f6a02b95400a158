package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// probes is how many look-ups at a time wait for a record of their own to show over HTTP.
const probes = 4

// pollEvery is how often such a look-up is repeated: the latencies over HTTP are that coarse.
const pollEvery = 2 * time.Millisecond

// latency sends records at a steady rate and notes when the result shows each of them.
func (b *bench) latency(ctx context.Context) error {
	peers, err := b.peers(ctx)
	if err != nil {
		return err
	}
	for _, rate := range b.Rates {
		for r := range b.Runs {
			for _, s := range append([]*system{b.brotally()}, peers...) {
				if err := b.steadyRate(ctx, s, rate, r); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// sent is when records were due to be produced, by group, and what became of them.
type sent struct {
	mu        sync.Mutex // guards all below
	due       map[string][]time.Time
	from      time.Time // records due before it warm up and are not measured
	latencies []latency
}

// latency is how long a record took that was due at a time.
type latency struct {
	due  time.Time
	took time.Duration
}

// measure says which records are measured: those that are due from a time on.
func (s *sent) measure(from time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from = from
}

// since returns how long the measured records took that were due from a time on.
func (s *sent) since(from time.Time) (took []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.latencies {
		if !l.due.Before(from) {
			took = append(took, l.took)
		}
	}
	return took
}

func (s *sent) add(group string, due time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.due[group] = append(s.due[group], due)
}

// shown notes that the result has come to count further records of a group. Which of the group's records they are cannot be
// told, so they are taken to be the next ones: that may change one's latency for another's, not their sum.
func (s *sent) shown(group string, from, to int64, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := s.due[group]
	for n := from; n < to && n < int64(len(due)); n++ {
		if due[n].After(s.from) {
			s.latencies = append(s.latencies, latency{due[n], at.Sub(due[n])})
		}
	}
}

// total returns how many records were sent.
func (s *sent) total() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, due := range s.due {
		n += int64(len(due))
	}
	return n
}

func (s *sent) counts() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]int64{}
	for group, due := range s.due {
		all[group] = int64(len(due))
	}
	return all
}

// feeding is a system that counts records as they come.
type feeding struct {
	*process
	job    job
	result *watcher
	all    *sent
	out    *pacer
}

// feed starts a system over a topic of its own and calls do when it has counted the first records. do's context ends when the system
// does.
func (b *bench) feed(ctx context.Context, s *system, do func(ctx context.Context, f *feeding) error) (failed error) {
	j := b.job(s.name, "", endless)
	j.topic = j.app + "-in"
	defer b.done(ctx, j, &failed)
	if err := b.create(ctx, j.topic, partitions, nil); err != nil {
		return err
	}
	if s.prepare != nil {
		if err := s.prepare(ctx, j); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, mostMinutes*time.Minute)
	defer cancel()
	cmd, err := s.command(j)
	if err != nil {
		return err
	}
	f := &feeding{job: j, all: &sent{due: map[string][]time.Time{}, from: time.Now().Add(time.Hour)}}
	f.result = b.watch(ctx, s, s.resultOf(j), f.all.shown)
	defer func() { cancel(); <-f.result.done }()
	if f.process, err = start(s.name+"-"+j.app, b.dir, cmd); err != nil {
		return err
	}
	defer f.end()
	ctx, alive := f.watch(ctx)
	defer alive()
	client, err := b.producer(time.Millisecond)
	if err != nil {
		return err
	}
	defer client.Close()

	// It has begun to count when it has counted something.
	l := law{hosts: 2000, seed: 5, records: endless}
	next, stop := iter.Pull(l.choices())
	defer stop()
	f.out = &pacer{topic: j.topic, client: client, all: f.all, failed: &firstError{}, next: next, fill: l.filler()}
	if err := f.out.send(ctx, 100, 1000); err != nil {
		return err
	}
	if _, err := f.result.wait(ctx, 100); err != nil {
		return err
	}
	return do(ctx, f)
}

// exact waits until the result topic shows all that was sent, and compares. It returns what there is, and how much.
func (f *feeding) exact(ctx context.Context, name string) (want map[string]int64, total int64, err error) {
	want, total = f.all.counts(), f.all.total()
	if _, err := f.result.wait(ctx, total); err != nil {
		return nil, 0, err
	}
	return want, total, difference(name+"'s result topic", want, f.result.groups())
}

// steadyRate runs one system at one rate.
func (b *bench) steadyRate(ctx context.Context, s *system, rate, r int) error {
	return b.feed(ctx, s, func(ctx context.Context, f *feeding) error { return b.steady(ctx, s, f, rate, r) })
}

func (b *bench) steady(ctx context.Context, s *system, f *feeding, rate, r int) (err error) {
	warm := b.Sustain / 3
	f.all.measure(time.Now().Add(warm))
	cpu, _ := f.used()
	began := time.Now()

	var found *prober
	i := &instance{process: f.process}
	if s.name == "brotally" {
		// The result topic may show counts before HTTP has found the table's changelog.
		if _, err = i.reached(ctx, "dns_counts", f.job.topic, 1); err != nil {
			return err
		}
		if found, err = i.probe(ctx, f.out, warm, b.Sustain); err != nil {
			return err
		}
	}
	err = f.out.send(ctx, int(float64(rate)*(warm+b.Sustain).Seconds()), rate)
	if found != nil {
		found.running.Wait()
		if err == nil {
			err = found.err
		}
	}
	if err != nil {
		return err
	}
	used, peak := f.used()
	cores := (used - cpu) / time.Since(began).Seconds()
	want, total, err := f.exact(ctx, s.name)
	if err != nil {
		return err
	}
	title := fmt.Sprintf("%s records/s for %v, produced until seen", thousands(float64(rate)), b.Sustain)
	v := quantiles(f.all.since(time.Time{}))
	v[usedCores], v[peakRSS] = cores, peak
	b.note("latency", title, s.name+": result topic", r, v)
	if found != nil {
		if _, err := i.reached(ctx, "dns_counts", f.job.topic, total); err != nil {
			return err
		}
		got, err := i.counts(ctx)
		if err == nil {
			err = difference("HTTP", want, got)
		}
		if err != nil {
			return err
		}
		b.note("latency", title, "brotally: HTTP look-up", r, quantiles(found.latencies))
	}
	return nil
}

// pacer sends records of a law at the pace it is told to.
type pacer struct {
	topic  string
	client *kgo.Client
	all    *sent
	failed *firstError
	next   func() (choice, bool)
	fill   *filler
	n      int // records sent
}

// send sends n records, the i-th of them i/rate seconds from now: a latency counts from when its record was due, so a
// producer that is held up hides nothing.
func (p *pacer) send(ctx context.Context, n, rate int) error {
	began := time.Now()
	for i := range n {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(rate))
		if wait := time.Until(due); wait > 0 {
			if err := pause(ctx, wait); err != nil {
				return err
			}
		}
		if err := p.failed.get(); err != nil {
			return err
		}
		c, _ := p.next()
		p.put(ctx, hostName(c.host), qtypes[c.qtype], due)
	}
	if err := p.client.Flush(ctx); err != nil {
		return err
	}
	return p.failed.get()
}

// put sends one record.
func (p *pacer) put(ctx context.Context, host string, qtype weighted, due time.Time) {
	p.all.add(groupOf(host, qtype.name), due)
	p.n++
	r := &kgo.Record{Topic: p.topic, Partition: int32(p.n % partitions), Value: p.fill.append(make([]byte, 0, 512), due.UnixMicro(), host, qtype)}
	p.client.Produce(ctx, r, p.failed.promise)
}

// prober measures how long a record takes to show over HTTP.
type prober struct {
	running sync.WaitGroup

	mu        sync.Mutex // guards all below
	latencies []time.Duration
	err       error
}

// probe starts look-ups that run for warm and then for seconds, of which the latter are measured.
func (i *instance) probe(ctx context.Context, out *pacer, warm, seconds time.Duration) (*prober, error) {
	base, err := i.address(ctx)
	if err != nil {
		return nil, err
	}
	p := &prober{}
	from := time.Now().Add(warm)
	for number := range probes {
		// A producer and a random source of their own: these hosts ask for nothing else.
		own := &pacer{topic: out.topic, client: out.client, all: out.all, failed: out.failed, n: number, fill: law{seed: uint64(1000 + number)}.filler()}
		p.running.Add(1)
		go func() { // steadyRate waits for it
			defer p.running.Done()
			measured := false // at least one
			for n := 0; time.Now().Before(from.Add(seconds)) || !measured; n++ {
				host := fmt.Sprintf("172.%d.%d.%d", 16+number, n>>8&255, n&255)
				due := time.Now()
				own.put(ctx, host, qtypes[0], due)
				err := showsRow(ctx, base+rowPath(host, qtypes[0].name))
				p.mu.Lock()
				if err != nil {
					p.err = err
				} else if due.After(from) {
					measured = true
					p.latencies = append(p.latencies, time.Since(due))
				}
				p.mu.Unlock()
				if err != nil {
					return
				}
			}
		}()
	}
	return p, nil
}

// showsRow repeats a look-up until it finds a row.
func showsRow(ctx context.Context, address string) error {
	for {
		res, err := get(ctx, address)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			return err
		}
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("look-up: %s: %s", res.Status, text)
		}
		if !strings.Contains(string(text), `"rows":[]`) {
			return nil
		}
		if err := pause(ctx, pollEvery); err != nil {
			return err
		}
	}
}

// quantiles returns p50, p99 and max in milliseconds; nothing of nothing.
func quantiles(all []time.Duration) values {
	if len(all) == 0 {
		return values{}
	}
	slices.Sort(all)
	at := func(q float64) float64 {
		return float64(all[min(len(all)-1, int(q*float64(len(all))))].Microseconds()) / 1000
	}
	return values{p50: at(.5), p99: at(.99), most: at(1), samples: float64(len(all))}
}
