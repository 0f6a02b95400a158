package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// connections is how many clients look up at the same time.
const connections = 16

// rowsApp returns the job whose table has ROWS rows, counted by now. It is made once for both parts that need it.
func (b *bench) rowsApp(ctx context.Context) (*job, error) {
	if b.rows != nil {
		return b.rows, nil
	}
	l := rowsLaw(b.Rows)
	want, err := b.load(ctx, l)
	if err != nil {
		return nil, err
	}
	j := b.job("rows", l.topic(), int64(l.records))
	i, err := b.startBrotally(j)
	if err != nil {
		return nil, err
	}
	defer i.end()
	if err := b.checkRows(ctx, i, j, want); err != nil {
		return nil, err
	}
	b.rows = &j
	return b.rows, nil
}

// checkRows waits until HTTP shows every record, and checks that every group has its count.
func (b *bench) checkRows(ctx context.Context, i *instance, j job, want map[string]int64) error {
	ctx, cancel := context.WithTimeout(ctx, mostMinutes*time.Minute)
	defer cancel()
	ctx, alive := i.watch(ctx)
	defer alive()
	if _, err := i.reached(ctx, "dns_counts", j.topic, j.records); err != nil {
		return err
	}
	got, err := i.counts(ctx)
	if err != nil {
		return err
	}
	return difference("HTTP", want, got)
}

func (b *bench) startBrotally(j job) (*instance, error) {
	cmd, err := b.brotally().command(j)
	if err != nil {
		return nil, err
	}
	p, err := start("brotally-"+j.app, b.dir, cmd)
	if err != nil {
		return nil, err
	}
	return &instance{process: p}, nil
}

// servingRows starts an instance that answers from the table with ROWS rows.
func (b *bench) servingRows(ctx context.Context) (*instance, error) {
	j, err := b.rowsApp(ctx)
	if err != nil {
		return nil, err
	}
	i, err := b.startBrotally(*j)
	if err != nil {
		return nil, err
	}
	if _, err := i.reached(ctx, "dns_counts", j.topic, j.records); err != nil {
		i.end()
		return nil, err
	}
	return i, nil
}

// lookups compares look-ups of one row with a handler that does nothing but answer the same bytes, and counts how often a
// second the notebook's query runs.
func (b *bench) lookups(ctx context.Context) error {
	i, err := b.servingRows(ctx)
	if err != nil {
		return err
	}
	defer i.end()
	bare, address, err := b.startBare(ctx, i, rowPath(hostName(0), qtypes[0].name))
	if err != nil {
		return err
	}
	defer bare.end()

	title := fmt.Sprintf("%s rows, one row a look-up over HTTP, %d connections", thousands(float64(b.Rows)), connections)
	for r := range b.Runs {
		for _, s := range []struct {
			name, address string
			p             *process
		}{{"bare net/http handler, the same bytes", address, bare}, {"brotally", i.base, i.process}} {
			before, _ := s.p.used()
			perSecond, found, err := hammer(ctx, s.address, b.Rows, b.Sustain)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			after, peak := s.p.used()
			v := quantiles(found)
			v[lookupsPerSecond], v[cpuPerMillion], v[peakRSS] = perSecond, (after-before)/float64(len(found))*1e6, peak
			b.note("lookups", title, s.name, r, v)
		}
		const top = "SELECT * FROM dns_counts ORDER BY count DESC, id.orig_h LIMIT 20"
		var took []time.Duration
		for began := time.Now(); time.Since(began) < b.Sustain || len(took) == 0; {
			asked := time.Now()
			rows := 0
			if err := i.query(ctx, top, func([]string) error { rows++; return nil }); err != nil {
				return err
			}
			if want := min(20, b.Rows); rows != want {
				return fmt.Errorf("%s: %d rows, want %d", top, rows, want)
			}
			took = append(took, time.Since(asked))
		}
		b.note("lookups", fmt.Sprintf("%s rows, sorted by count, the first 20, over HTTP, one after the other", thousands(float64(b.Rows))), "brotally", r, quantiles(took))
	}
	return nil
}

// startBare starts this program as a handler that always answers what the instance does to a path.
func (b *bench) startBare(ctx context.Context, i *instance, path string) (*process, string, error) {
	res, err := get(ctx, i.base+path)
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil {
		return nil, "", err
	}
	file := b.dir + "/answer"
	if err := os.WriteFile(file, body, 0o600); err != nil {
		return nil, "", err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	cmd := exec.Command(self, bareCommand, file, res.Header.Get("Content-Type"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	p, err := start("bare", b.dir, cmd)
	if err != nil {
		return nil, "", err
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.end()
		return nil, "", fmt.Errorf("the bare handler: %w\n%s", err, p.tail())
	}
	return p, address[:len(address)-1], nil
}

// bareCommand makes this program a handler that always answers with the bytes of a file, of a media type.
const bareCommand = "serve-bare"

func serveBare(file, media string) error {
	body, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", l.Addr())
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		_, _ = w.Write(body)
	}))
}

// hammer looks up one row after the other on every connection, and returns how many a second that were and what each took.
// It speaks HTTP by hand: net/http's client takes more of the machine than the server.
func hammer(ctx context.Context, base string, rows int, seconds time.Duration) (perSecond float64, took []time.Duration, err error) {
	u, err := url.Parse(base)
	if err != nil {
		return 0, nil, err
	}
	var (
		running sync.WaitGroup
		mu      sync.Mutex // guards took and err
		next    atomic.Int64
		began   = time.Now()
	)
	for range connections {
		running.Add(1)
		go func() {
			defer running.Done()
			mine, failed := lookUp(ctx, u.Host, rows, &next, began.Add(seconds))
			mu.Lock()
			defer mu.Unlock()
			took, err = append(took, mine...), errors.Join(err, failed)
		}()
	}
	running.Wait()
	return float64(len(took)) / time.Since(began).Seconds(), took, err
}

func lookUp(ctx context.Context, address string, rows int, next *atomic.Int64, until time.Time) (took []time.Duration, err error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	var out []byte
	for asked := time.Now(); asked.Before(until); asked = time.Now() {
		// A large odd stride: no two look-ups in a row are of neighbours.
		host := hostName(int(next.Add(1) * 7919 % int64(rows)))
		out = append(append(append(out[:0], "GET "...), rowPath(host, qtypes[0].name)...), " HTTP/1.1\r\nHost: "...)
		out = append(append(out, address...), "\r\n\r\n"...)
		if _, err := conn.Write(out); err != nil {
			return nil, err
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return nil, err
		}
		n, err := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil {
			return nil, err
		}
		if res.StatusCode != http.StatusOK || n == 0 {
			return nil, errors.New("look-up of " + host + ": " + res.Status + ", " + strconv.FormatInt(n, 10) + " bytes")
		}
		took = append(took, time.Since(asked))
	}
	return took, nil
}
