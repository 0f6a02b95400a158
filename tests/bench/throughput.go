package main

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// mostMinutes is how long one run of one system may take.
const mostMinutes = 15

// throughput counts a backlog with every system in turn, as often as RUNS says.
func (b *bench) throughput(ctx context.Context) error {
	peers, err := b.peers(ctx)
	if err != nil {
		return err
	}
	for _, name := range b.Topics {
		l := dnsLaw(b.Records)
		if name == "dns_hc" {
			l = wideLaw(b.Records)
		}
		want, err := b.load(ctx, l)
		if err != nil {
			return err
		}
		title := fmt.Sprintf("%s: %s records, %s groups", name, thousands(float64(l.records)), thousands(float64(len(want))))
		for r := range b.Runs {
			if err := b.backlog(ctx, b.brotally(), l, want, title, r); err != nil {
				return err
			}
			for _, peer := range peers {
				if err := b.backlog(ctx, peer, l, want, title, r); err != nil {
					return err
				}
			}
			if name == "dns" {
				if err := b.bareConsumer(ctx, l, title, r); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// backlog lets a system count a loaded topic from its beginning. It ends when the committed result topic and, of Brotally,
// HTTP show all records, and fails unless every count is exact.
func (b *bench) backlog(ctx context.Context, s *system, l law, want map[string]int64, title string, r int) (failed error) {
	j := b.job(s.name, l.topic(), int64(l.records))
	defer b.done(ctx, j, &failed)
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
	w := b.watch(ctx, s, s.resultOf(j), nil)
	defer func() { cancel(); <-w.done }()
	broker := b.brokerCPU()
	p, err := start(s.name+"-"+j.app, b.dir, cmd)
	if err != nil {
		return err
	}
	defer p.end()
	ctx, alive := p.watch(ctx)
	defer alive()

	at, err := w.wait(ctx, j.records)
	if err != nil {
		return err
	}
	i := &instance{process: p}
	if s.name == "brotally" {
		served, err := i.reached(ctx, "dns_counts", j.topic, j.records)
		if err != nil {
			return err
		}
		if served.After(at) {
			at = served
		}
	}
	cpu, peak := p.used()
	broker = b.brokerCPU() - broker
	if err := difference(s.name+"'s result topic", want, w.groups()); err != nil {
		return err
	}
	if s.name == "brotally" {
		got, err := i.counts(ctx)
		if err == nil {
			err = difference("HTTP", want, got)
		}
		if err != nil {
			return err
		}
	}
	v := values{perSecond: float64(j.records) / at.Sub(p.started).Seconds(), cpuPerMillion: cpu / float64(j.records) * 1e6, peakRSS: peak}
	if broker > 0 {
		v[brokerPerMillion] = broker / float64(j.records) * 1e6
	}
	if rate, ok := w.steady(j.records); ok {
		v[steadyPerSecond] = rate
	}
	b.note("throughput", title, s.name, r, v)
	return nil
}

// bareConsumer is Kafka's own consumer that does nothing with what it reads: what no Java program over the topic can exceed.
func (b *bench) bareConsumer(ctx context.Context, l law, title string, r int) error {
	cmd := exec.Command(filepath.Join(kafkaDir(), "bin", "kafka-consumer-perf-test"), "--bootstrap-server", b.brokers, "--topic", l.topic(),
		"--num-records", strconv.Itoa(l.records), "--timeout", "30000", "--show-detailed-stats", "--reporting-interval", "500", "--hide-header")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	p, err := start("consumer-perf-"+strconv.Itoa(r), b.dir, cmd)
	if err != nil {
		return err
	}
	defer p.end()
	var past []point
	for lines := bufio.NewScanner(out); lines.Scan(); {
		// time, id, MB, MB/s, records, records/s, ..
		fields := strings.Split(lines.Text(), ",")
		if len(fields) < 9 {
			continue
		}
		stamp, wrong := time.ParseInLocation("2006-01-02 15:04:05.000", stampOf(fields[0]), time.Local)
		n, notNumber := strconv.ParseInt(strings.TrimSpace(fields[4]), 10, 64)
		if wrong == nil && notNumber == nil {
			past = append(past, point{stamp, n})
		}
	}
	cpu, peak := p.used()
	select {
	case <-p.gone:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("kafka-consumer-perf-test exits with %d:\n%s", code, p.tail())
	}
	v := values{perSecond: float64(l.records) / time.Since(p.started).Seconds(), cpuPerMillion: cpu / float64(l.records) * 1e6, peakRSS: peak}
	if len(past) > 0 {
		if rate, ok := slope(past, past[len(past)-1].sum); ok {
			v[steadyPerSecond] = rate
		}
	}
	b.note("throughput", title, "consumer-perf (reads only)", r, v)
	return nil
}

// stampOf turns the tool's time, with a colon before the milliseconds, into one with a dot.
func stampOf(text string) string {
	text = strings.TrimSpace(text)
	if colon := strings.LastIndexByte(text, ':'); colon > 0 {
		return text[:colon] + "." + text[colon+1:]
	}
	return text
}
