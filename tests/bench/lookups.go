package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// connections is how many clients look up at the same time.
const connections = 16

// calmRate is how many look-ups a second leave a server time for other things.
const calmRate = 1000

// rowsTable is a table with ROWS rows and what has come to it since.
type rowsTable struct {
	job
	counts map[string]int64
}

// rowsApp returns the table with ROWS rows, counted by now. It is made once for all parts that need it.
func (b *bench) rowsApp(ctx context.Context) (*rowsTable, error) {
	if b.rows != nil {
		return b.rows, nil
	}
	l := rowsLaw(b.Rows)
	counts, err := b.load(ctx, l)
	if err != nil {
		return nil, err
	}
	t := &rowsTable{b.job("rows", l.topic(), int64(l.records)), maps.Clone(counts)}
	i, err := b.startBrotally(t.job)
	if err != nil {
		return nil, err
	}
	defer i.end()
	if err := i.exact(ctx, t); err != nil {
		return nil, err
	}
	b.rows = t
	return t, nil
}

// exact waits until HTTP shows every record of the table, and checks that every group has its count.
func (i *instance) exact(ctx context.Context, t *rowsTable) error {
	ctx, cancel := context.WithTimeout(ctx, mostMinutes*time.Minute)
	defer cancel()
	ctx, alive := i.watch(ctx)
	defer alive()
	if _, err := i.reached(ctx, "dns_counts", t.topic, t.records); err != nil {
		return err
	}
	got, err := i.counts(ctx)
	if err != nil {
		return err
	}
	return difference("HTTP", t.counts, got)
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
	t, err := b.rowsApp(ctx)
	if err != nil {
		return nil, err
	}
	i, err := b.startBrotally(t.job)
	if err != nil {
		return nil, err
	}
	if _, err := i.reached(ctx, "dns_counts", t.topic, t.records); err != nil {
		i.end()
		return nil, err
	}
	return i, nil
}

// lookups compares look-ups of one row with a handler that does nothing but answer the same bytes, with nothing coming in and beside
// records that are being counted; each server has one core, the same one. It also counts how often a second the notebook's query runs.
func (b *bench) lookups(ctx context.Context) error {
	if _, err := exec.LookPath("taskset"); err != nil {
		return fmt.Errorf("part lookups needs the program taskset (Debian's package util-linux): %w", err)
	}
	b.pinned = true
	defer func() { b.pinned = false }()
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
	for r := range b.Runs {
		for _, incoming := range []int{0, min(50_000, b.Records/100)} {
			for _, s := range []struct {
				name, address string
				p             *process
			}{{"bare net/http handler, the same bytes", address, bare}, {"brotally", i.base, i.process}} {
				for _, rate := range []int{0, calmRate} {
					if err := b.lookUps(ctx, i, s.p, s.name, s.address, rate, incoming, r); err != nil {
						return fmt.Errorf("%s: %w", s.name, err)
					}
				}
			}
		}
		if err := b.topRows(ctx, i, r); err != nil {
			return err
		}
	}
	return i.exact(ctx, b.rows)
}

// lookUps looks up rows, rate of them a second or, if that is 0, as many as there can be, while so many records a second are coming
// in to Brotally, whoever answers.
func (b *bench) lookUps(ctx context.Context, i *instance, p *process, name, address string, rate, incoming, r int) error {
	title := fmt.Sprintf("%s rows, one row a look-up over HTTP, %d connections, all servers on one core", thousands(float64(b.Rows)), connections)
	if rate > 0 {
		title += fmt.Sprintf(", %s look-ups/s", thousands(float64(rate)))
	}
	ended := make(chan error, 1)
	v := values{}
	if incoming == 0 {
		ended <- nil
	} else {
		name += fmt.Sprintf("; brotally counts %s records/s", thousands(float64(incoming)))
		go func() { // awaited below
			began := time.Now()
			n, err := b.addRows(ctx, incoming)
			v[incomingPerSecond] = float64(n) / time.Since(began).Seconds()
			ended <- err
		}()
	}
	before, _ := p.used()
	found, err := b.hammer(ctx, address, rate)
	after, peak := p.used()
	if err := errors.Join(err, <-ended); err != nil {
		return err
	}
	if rate > 0 {
		delete(found, lookupsPerSecond) // as it was told to
	}
	maps.Copy(v, found)
	v[peakRSS] = peak
	if incoming == 0 {
		v[cpuPerMillion] = (after - before) / found[samples] * 1e6
	} else {
		sent := time.Now()
		if _, err := i.reached(ctx, "dns_counts", b.rows.topic, b.rows.records); err != nil {
			return err
		}
		v[countsAfter] = time.Since(sent).Seconds()
	}
	b.note("lookups", title, name, r, v)
	return nil
}

// addRows sends records of an office's network to the table with ROWS rows, for SECONDS at a rate, and returns how many.
func (b *bench) addRows(ctx context.Context, rate int) (int, error) {
	client, err := b.producer(5 * time.Millisecond)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	l := dnsLaw(endless)
	l.hosts = min(l.hosts, b.Rows)
	next, stop := iter.Pull(l.choices())
	defer stop()
	out := &pacer{topic: b.rows.topic, client: client, all: &sent{due: map[string][]time.Time{}}, failed: &firstError{}, next: next, fill: l.filler()}
	n := int(float64(rate) * b.Sustain.Seconds())
	if err := out.send(ctx, n, rate); err != nil {
		return 0, err
	}
	for group, more := range out.all.counts() {
		b.rows.counts[group] += more
	}
	b.rows.records += int64(n)
	return n, nil
}

// topRows asks the notebook's query, sorted by count over all rows, one after the other.
func (b *bench) topRows(ctx context.Context, i *instance, r int) error {
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
	b.note("lookups", fmt.Sprintf("%s rows, sorted by count, the first 20, over HTTP, one after the other, on one core", thousands(float64(b.Rows))), "brotally", r, quantiles(took))
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
	cmd := b.onOneCore(exec.Command(self, bareCommand, file, res.Header.Get("Content-Type")))
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

// hammerCommand makes this program one that looks rows up, and prints what it found.
const hammerCommand = "look-up"

// hammer looks up rows for SECONDS, from a process of its own: the one that sends records has its own work.
func (b *bench) hammer(ctx context.Context, base string, rate int) (found values, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	out, err := run(ctx, b.root, self, hammerCommand, base, strconv.Itoa(b.Rows), strconv.Itoa(rate), b.Sustain.String())
	if err != nil {
		return nil, err
	}
	return found, json.Unmarshal([]byte(out), &found)
}

// hammerMain looks up one row after the other on every connection of base. With a rate, each of them is due at a time of its own,
// and took what it did from then on: a server that is slow hides nothing.
// It speaks HTTP by hand: net/http's client takes more of the machine than the server.
func hammerMain(ctx context.Context, base, rows, rate, seconds string) error {
	u, err1 := url.Parse(base)
	n, err2 := strconv.Atoi(rows)
	perSecond, err3 := strconv.Atoi(rate)
	lasting, err4 := time.ParseDuration(seconds)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	var (
		running sync.WaitGroup
		mu      sync.Mutex // guards took and err
		took    []time.Duration
		err     error
		next    atomic.Int64
		began   = time.Now()
		due     = func(int64) time.Time { return time.Now() }
	)
	if perSecond > 0 {
		due = func(n int64) time.Time { return began.Add(time.Duration(n) * time.Second / time.Duration(perSecond)) }
	}
	for range connections {
		running.Go(func() {
			mine, failed := lookUp(ctx, u.Host, n, &next, due, began.Add(lasting))
			mu.Lock()
			defer mu.Unlock()
			took, err = append(took, mine...), errors.Join(err, failed)
		})
	}
	running.Wait()
	if err != nil {
		return err
	}
	v := quantiles(took)
	v[lookupsPerSecond] = float64(len(took)) / time.Since(began).Seconds()
	return json.NewEncoder(os.Stdout).Encode(v)
}

func lookUp(ctx context.Context, address string, rows int, next *atomic.Int64, due func(n int64) time.Time, until time.Time) (took []time.Duration, err error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	var out []byte
	for {
		n := next.Add(1)
		asked := due(n)
		if !asked.Before(until) {
			return took, nil
		}
		if wait := time.Until(asked); wait > 0 {
			nap := syscall.NsecToTimespec(int64(wait))
			_ = syscall.Nanosleep(&nap, nil) // Go's timers are a millisecond late; who is woken early asks early
		}
		// A large odd stride: no two look-ups in a row are of neighbours.
		host := hostName(int(n * 7919 % int64(rows)))
		out = append(append(append(out[:0], "GET "...), rowPath(host, qtypes[0].name)...), " HTTP/1.1\r\nHost: "...)
		out = append(append(out, address...), "\r\n\r\n"...)
		if _, err := conn.Write(out); err != nil {
			return nil, err
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return nil, err
		}
		size, err := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil {
			return nil, err
		}
		if res.StatusCode != http.StatusOK || size == 0 {
			return nil, errors.New("look-up of " + host + ": " + res.Status + ", " + strconv.FormatInt(size, 10) + " bytes")
		}
		took = append(took, time.Since(asked))
	}
}
