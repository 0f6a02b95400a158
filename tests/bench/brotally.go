package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// brotally is the system that the benchmark is about.
func (b *bench) brotally() *system {
	return &system{name: "brotally", group: jsonGroup("id.orig_h", "qtype_name"), count: lastMember,
		command: func(j job) (*exec.Cmd, error) {
			return b.brotallyWith(j.app, "bench", j.topic, countsTable(j.result))
		}}
}

// countsTable is the notebook's table.
func countsTable(result string) string {
	return fmt.Sprintf("CREATE TABLE dns_counts WITH (topic = '%s') AS\nSELECT id.orig_h, qtype_name, count(*) AS count FROM dns GROUP BY id.orig_h, qtype_name;\n", result)
}

// brotallyWith is an instance of the program with tables over a topic with dns records.
func (b *bench) brotallyWith(app, name, topic, tables string) (*exec.Cmd, error) {
	file := filepath.Join(b.dir, app+".sql")
	if err := os.WriteFile(file, []byte(tables), 0o600); err != nil {
		return nil, err
	}
	return b.onOneCore(exec.Command(b.binary, "run", file, "-b", b.brokers, "--app", app, "--instance", name, "--feed", "dns="+topic, "--listen", "127.0.0.1:0", "--log-format", "json")), nil
}

// onOneCore has the command run on the last core, while servers are to be there.
func (b *bench) onOneCore(cmd *exec.Cmd) *exec.Cmd {
	if !b.pinned {
		return cmd
	}
	return exec.Command("taskset", append([]string{"-c", strconv.Itoa(runtime.NumCPU() - 1)}, cmd.Args...)...)
}

// instance is a running Brotally.
type instance struct {
	*process
	base string // of its URLs, once it is known
}

// address waits until the instance says where it listens.
func (i *instance) address(ctx context.Context) (string, error) {
	for i.base == "" {
		text, err := os.ReadFile(i.log)
		if err != nil {
			return "", err
		}
		for line := range bytes.Lines(text) {
			var said struct{ Msg, URL string }
			if json.Unmarshal(line, &said) == nil && said.Msg == "listening" {
				i.base = said.URL
			}
		}
		if i.base == "" {
			if err := pause(ctx, 5*time.Millisecond); err != nil {
				return "", fmt.Errorf("brotally does not listen: %w\n%s", err, i.tail())
			}
		}
	}
	return i.base, nil
}

// standing is what HTTP says of a table.
type standing struct {
	Ready  bool                        `json:"ready"`
	Groups int                         `json:"groups"`
	AsOf   map[string]map[string]int64 `json:"as_of"`
	AddsUp bool                        `json:"adds_up"`
}

// table asks how far a table is. A table that is not there yet is not ready.
func (i *instance) table(ctx context.Context, name string) (s standing, err error) {
	base, err := i.address(ctx)
	if err != nil {
		return s, err
	}
	res, err := get(ctx, base+"/api/v1/tables/"+name)
	if err != nil {
		return s, err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusServiceUnavailable {
		return s, nil
	}
	if res.StatusCode != http.StatusOK {
		return s, answerError(res)
	}
	return s, json.NewDecoder(res.Body).Decode(&s)
}

// reached waits until HTTP shows all n records of a topic in a table.
func (i *instance) reached(ctx context.Context, table, topic string, n int64) (time.Time, error) {
	for {
		s, err := i.table(ctx, table)
		if err != nil {
			return time.Time{}, err
		}
		have := int64(0)
		for _, offset := range s.AsOf[topic] {
			have += offset
		}
		if s.Ready && have >= n {
			if !s.AddsUp {
				return time.Time{}, fmt.Errorf("HTTP: the records of %s do not add up", table)
			}
			return time.Now(), nil
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return time.Time{}, fmt.Errorf("HTTP shows %d of %d records of %s: %w", have, n, table, err)
		}
	}
}

// counts reads dns_counts over HTTP, a qtype at a time: an answer may have a million rows.
func (i *instance) counts(ctx context.Context) (map[string]int64, error) {
	all := map[string]int64{}
	for _, q := range qtypes {
		where := "qtype_name IS NULL"
		if q.name != "" {
			where = "qtype_name = '" + q.name + "'"
		}
		err := i.query(ctx, "SELECT id.orig_h, count FROM dns_counts WHERE "+where, func(row []string) error {
			n, err := strconv.ParseInt(row[1], 10, 64)
			all[groupOf(row[0], q.name)] = n
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// number asks for one number.
func (i *instance) number(ctx context.Context, sql string) (n int64, err error) {
	found := false
	err = i.query(ctx, sql, func(row []string) (err error) {
		found = true
		n, err = strconv.ParseInt(row[0], 10, 64)
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("%s: no row", sql)
	}
	return n, err
}

// query calls each for every row of the answer. row is valid during the call.
func (i *instance) query(ctx context.Context, sql string, each func(row []string) error) error {
	base, err := i.address(ctx)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"sql": sql, "format": "csv"})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/api/v1/query", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %w", sql, answerError(res))
	}
	rows := csv.NewReader(res.Body)
	rows.ReuseRecord = true
	for line := 0; ; line++ {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && line > 0 {
			err = each(row)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
}

// rowPath is the path of the look-up of one row.
func rowPath(host, qtype string) string {
	return "/api/v1/tables/dns_counts/rows?" + url.Values{"id.orig_h": {host}, "qtype_name": {qtype}}.Encode()
}

func get(ctx context.Context, address string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(req)
}

func answerError(res *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
	return fmt.Errorf("%s: %s", res.Status, strings.TrimSpace(string(text)))
}
