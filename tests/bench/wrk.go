package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// wrkConnections is how many clients ask at the same time.
const wrkConnections = 64

// wrkScript has wrk ask for the paths of its arguments in turn, and print what it found as JSON on the last line.
const wrkScript = `
local paths, at = {}, 0
function init(args) paths = args end
function request()
  at = at % #paths + 1
  return wrk.format("GET", paths[at])
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"us":%d,"bytes":%d,"p50":%f,"p99":%f,"p999":%f,"max":%f,"refused":%d,"failed":%d}\n', summary.requests, summary.duration,
    summary.bytes, latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max, e.status, e.connect + e.read + e.write + e.timeout))
end
`

// wrkPaths is how many rows are looked up in turn.
const wrkPaths = 1000

// allAtOnce is how long the clients have for all rows at the least: each answer takes some seconds of a processor, and all of them take turns.
const allAtOnce = 5 * time.Minute

// wrk has Debian's wrk ask for one row, for the notebook's first ten and for all rows as CSV, beside a handler that does nothing but
// answer the same bytes.
func (b *bench) wrk(ctx context.Context) error {
	if _, err := exec.LookPath("wrk"); err != nil {
		return fmt.Errorf("part wrk needs the program wrk (Debian has a package of that name): %w", err)
	}
	script := filepath.Join(b.dir, "wrk.lua")
	if err := os.WriteFile(script, []byte(wrkScript), 0o600); err != nil {
		return err
	}
	i, err := b.servingRows(ctx)
	if err != nil {
		return err
	}
	defer i.end()
	var points []string
	for n := range wrkPaths {
		// A large odd stride: no two look-ups in a row are of neighbours.
		points = append(points, rowPath(hostName(n*7919%b.Rows), qtypes[0].name))
	}
	for _, load := range []struct {
		name    string
		lasting time.Duration
		paths   []string
	}{
		{"one row by its key", b.Sustain, points},
		{"the first ten by count", b.Sustain, []string{"/api/v1/tables/dns_counts/rows?order=-count&limit=10"}},
		{"all as CSV", max(b.Sustain, allAtOnce), []string{"/api/v1/tables/dns_counts/rows?format=csv"}},
	} {
		if err := b.wrkLoad(ctx, i, script, load.name, load.paths, load.lasting); err != nil {
			return fmt.Errorf("%s: %w", load.name, err)
		}
	}
	return b.besideScans(ctx, i, script)
}

// besideScans looks up one row after the other, on a connection of its own, while wrk's clients have all rows sorted and written out.
func (b *bench) besideScans(ctx context.Context, i *instance, script string) error {
	u, err := url.Parse(i.base)
	if err != nil {
		return err
	}
	title := fmt.Sprintf("%s rows, one row by its key over HTTP, one connection", thousands(float64(b.Rows)))
	scans := []string{"/api/v1/tables/dns_counts/rows?order=-count&limit=1000", "/api/v1/tables/dns_counts/rows?format=csv"}
	for r := range b.Runs {
		for _, beside := range []bool{false, true} {
			name, ended := "alone", make(chan error, 1)
			if !beside {
				ended <- nil
			} else {
				name = fmt.Sprintf("beside %d clients that have all rows sorted, or written as CSV", wrkConnections)
				go func() { // awaited below
					_, err := b.runWrk(ctx, script, i.base, scans, b.Sustain)
					ended <- err
				}()
				if err := pause(ctx, time.Second); err != nil { // until all of them have begun
					return err
				}
			}
			var next atomic.Int64
			took, err := lookUp(ctx, u.Host, b.Rows, &next, func(int64) time.Time { return time.Now() }, time.Now().Add(b.Sustain-2*time.Second))
			if err := errors.Join(err, <-ended); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			v := quantiles(took)
			_, v[peakRSS] = i.used()
			b.note("wrk", title, name, r, v)
		}
	}
	return nil
}

// wrkFound is what wrk's script prints.
type wrkFound struct {
	Requests, Refused, Failed      int
	US, Bytes, P50, P99, P999, Max float64
}

// runWrk has wrk ask a server for paths in turn.
func (b *bench) runWrk(ctx context.Context, script, base string, paths []string, lasting time.Duration) (found wrkFound, err error) {
	args := append([]string{"-t", "1", "-c", fmt.Sprint(wrkConnections), "-d", fmt.Sprintf("%ds", int(lasting.Seconds())), "--timeout", "600s", "-s", script, base, "--"}, paths...)
	out, err := run(ctx, b.root, "wrk", args...)
	if err != nil {
		return found, err
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &found); err != nil {
		return found, fmt.Errorf("what wrk says is not understood: %w\n%s", err, out)
	}
	if found.Failed > 0 || found.Requests == found.Refused {
		return found, fmt.Errorf("%d of %d requests failed, %d were refused\n%s", found.Failed, found.Requests, found.Refused, out)
	}
	return found, nil
}

func (b *bench) wrkLoad(ctx context.Context, i *instance, script, name string, paths []string, lasting time.Duration) error {
	bare, address, err := b.startBare(ctx, i, paths[0])
	if err != nil {
		return err
	}
	defer bare.end()
	title := fmt.Sprintf("%s rows, %s over HTTP, wrk with %d connections", thousands(float64(b.Rows)), name, wrkConnections)
	for r := range b.Runs {
		for _, s := range []struct {
			name, address string
			lasting       time.Duration
			p             *process
		}{{"bare net/http handler, the same bytes", address, b.Sustain, bare}, {"brotally", i.base, lasting, i.process}} {
			before, _ := s.p.used()
			found, err := b.runWrk(ctx, script, s.address, paths, s.lasting)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			answered := float64(found.Requests - found.Refused)
			after, peak := s.p.used()
			b.note("wrk", title, s.name, r, values{
				answersPerSecond: answered / found.US * 1e6, refused: float64(found.Refused) / float64(found.Requests), mbPerSecond: found.Bytes / found.US,
				p50: found.P50 / 1000, p99: found.P99 / 1000, p999: found.P999 / 1000, most: found.Max / 1000,
				cpuPerMillion: (after - before) / answered * 1e6, peakRSS: peak,
			})
		}
	}
	return nil
}
