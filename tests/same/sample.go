// Command same writes a sample of logs for the queries of docs/SAME.md: DIR/dns.json and DIR/conn.json, in the order of ts,
// always the same ones.
//
//	go run ./tests/same DIR
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/brotally/brotally/internal/traffic"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: same DIR")
	}
	start := time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)
	office, err := traffic.New(traffic.Config{Seed: 11, Hosts: 40, Rate: 6, Start: start})
	if err != nil {
		log.Fatal(err)
	}
	logs := map[string][]record{"dns": nil, "conn": nil}
	// Every question needs an answer: no host of the office fails a thousand times, and its records lack little.
	for i := range 1200 {
		logs["dns"] = append(logs["dns"], newRecord(fmt.Appendf(nil, `{"ts":%d.25,"uid":"Cnoisy%d","id.orig_h":"10.20.9.%d","query":"host%d.example","qtype_name":"A","rcode":3,"rcode_name":"NXDOMAIN"}`,
			start.Unix()+20*int64(i), i, 8+i%7/6, i)))
	}
	for i, line := range []string{`"id.orig_h":"10.20.9.7"`, `"query":"no.host.example"`, `"id.orig_h":"10.20.9.7","query":null,"qtype_name":null,"rcode_name":null`, `"id.orig_h":"10.20.9.7","query":""`} {
		logs["dns"] = append(logs["dns"], newRecord(fmt.Appendf(nil, `{"ts":%d.5,"uid":"Cbare%d",%s}`, start.Unix()+1000, i, line)))
	}
	for range 200_000 {
		m := office.Next()
		if _, wanted := logs[m.Feed]; !wanted {
			continue
		}
		logs[m.Feed] = append(logs[m.Feed], newRecord(slices.Clone(m.Value)))
	}
	for feed, records := range logs {
		slices.SortStableFunc(records, func(a, b record) int { return cmp.Compare(a.TS, b.TS) })
		if err := write(filepath.Join(os.Args[1], feed+".json"), records); err != nil {
			log.Fatal(err)
		}
		log.Printf("%d %s records", len(records), feed)
	}
}

type record struct {
	TS   float64 `json:"ts"`
	line []byte
}

func newRecord(line []byte) record {
	r := record{line: line}
	if err := json.Unmarshal(line, &r); err != nil {
		log.Fatal(err)
	}
	return r
}

func write(name string, records []record) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	for _, r := range records {
		w.Write(r.line)
		w.WriteByte('\n')
	}
	return w.Flush()
}
