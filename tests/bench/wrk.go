package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	j, err := b.rowsApp(ctx)
	if err != nil {
		return err
	}
	i, err := b.startBrotally(*j)
	if err != nil {
		return err
	}
	defer i.end()
	if _, err := i.reached(ctx, "dns_counts", j.topic, j.records); err != nil {
		return err
	}
	var points []string
	for n := range wrkPaths {
		// A large odd stride: no two look-ups in a row are of neighbours.
		points = append(points, rowPath(hostName(n*7919%b.Rows), qtypes[0].name))
	}
	for _, load := range []struct {
		name  string
		paths []string
	}{
		{"one row by its key", points},
		{"the first ten by count", []string{"/api/v1/tables/dns_counts/rows?order=-count&limit=10"}},
		{"all as CSV", []string{"/api/v1/tables/dns_counts/rows?format=csv"}},
	} {
		if err := b.wrkLoad(ctx, i, script, load.name, load.paths); err != nil {
			return fmt.Errorf("%s: %w", load.name, err)
		}
	}
	return nil
}

func (b *bench) wrkLoad(ctx context.Context, i *instance, script, name string, paths []string) error {
	bare, address, err := b.startBare(ctx, i, paths[0])
	if err != nil {
		return err
	}
	defer bare.end()
	title := fmt.Sprintf("%s rows, %s over HTTP, wrk with %d connections", thousands(float64(b.Rows)), name, wrkConnections)
	for r := range b.Runs {
		for _, s := range []struct {
			name, address string
			p             *process
		}{{"bare net/http handler, the same bytes", address, bare}, {"brotally", i.base, i.process}} {
			before, _ := s.p.used()
			args := append([]string{"-t", "1", "-c", fmt.Sprint(wrkConnections), "-d", fmt.Sprintf("%ds", int(b.Sustain.Seconds())), "--timeout", "120s",
				"-s", script, s.address, "--"}, paths...)
			out, err := run(ctx, b.root, "wrk", args...)
			if err != nil {
				return err
			}
			lines := strings.Split(strings.TrimSpace(out), "\n")
			var found struct {
				Requests, Refused, Failed      int
				US, Bytes, P50, P99, P999, Max float64
			}
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &found); err != nil {
				return fmt.Errorf("what wrk says is not understood: %w\n%s", err, out)
			}
			answered := found.Requests - found.Refused
			if found.Failed > 0 || answered == 0 {
				return fmt.Errorf("%s: %d of %d requests failed\n%s", s.name, found.Failed, found.Requests, out)
			}
			after, peak := s.p.used()
			b.note("wrk", title, s.name, r, values{
				answersPerSecond: float64(answered) / found.US * 1e6, refused: float64(found.Refused) / float64(found.Requests), mbPerSecond: found.Bytes / found.US,
				p50: found.P50 / 1000, p99: found.P99 / 1000, p999: found.P999 / 1000, most: found.Max / 1000,
				cpuPerMillion: (after - before) / float64(answered) * 1e6, peakRSS: peak,
			})
		}
	}
	return nil
}
