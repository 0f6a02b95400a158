package tests

import (
	"encoding/csv"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/testdata"
	"github.com/brotally/brotally/tables"
)

// lateRecords finds what the summary of try says about them.
var lateRecords = regexp.MustCompile(`([0-9,]+) late record`)

// TestFinalWindowsAreTheTruth runs the windows of real logs with EMIT FINAL. Where GRACE is longer than any record is late they are
// DuckDB's; with a minute's, what was too late is known by window, and nothing else is missing.
func TestFinalWindowsAreTheTruth(t *testing.T) {
	dir := testdata.Dir(t)
	compared := 0
	for truth, source := range sources(t, dir) {
		all := slices.DeleteFunc(withTruth(truthQueries(t)["conn"], truth), func(q *tables.Table) bool {
			return q.Window == nil || q.Window.Kind == tables.Session
		})
		if len(all) == 0 {
			continue
		}
		for i, logs := range logsOf(t, filepath.Join(dir, "logs"), source, "conn") {
			compared += len(all)
			t.Run(fmt.Sprintf("%s/%d/long", source, i), func(t *testing.T) {
				t.Parallel()
				longGrace(t, all, truth, logs)
			})
			for _, q := range all {
				t.Run(fmt.Sprintf("%s/%d/%s", source, i, q.Name), func(t *testing.T) {
					t.Parallel()
					minuteOfGrace(t, q, logs, readCSV(t, filepath.Join(truth, q.Name+".csv")))
				})
			}
		}
	}
	if compared == 0 {
		t.Fatal("nothing was compared")
	}
}

// longGrace compares the rows with the truth's; no record was late.
func longGrace(t *testing.T, all []*tables.Table, truth string, logs []string) {
	var long []*tables.Table
	for _, q := range all {
		long = append(long, final(t, q, "100 DAYS"))
	}
	for q, got := range tryTables(t, long, "conn", logs, 0) {
		last := len(q.Columns) - 1
		for i, row := range got {
			if i > 0 && row[last] != "0" {
				t.Errorf("%s: %s late records", q.Name, row[last])
			}
			got[i] = row[:last]
		}
		compareTexts(t, q, got[0], got[1:], readCSV(t, filepath.Join(truth, q.Name+".csv")))
	}
}

// minuteOfGrace compares n and late together with the truth's n, window by window. A window all of whose records were late has no
// row: of those that do not overlap it is known how many records that are.
func minuteOfGrace(t *testing.T, q *tables.Table, logs []string, want [][]string) {
	short := final(t, q, "60 SECONDS")
	cmd := brotally(t, "try", "-e", short.SQL, "-o", "csv", "--null", `\N`, "--commit-records", "50", "conn="+logs[0])
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	rows, err := csv.NewReader(strings.NewReader(string(out))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	missing := map[[2]string]int64{}
	for _, row := range want[1:] {
		missing[[2]string{row[0], row[1]}] += number(t, row[2])
	}
	var late int64
	for _, row := range rows[1:] {
		start, err := time.Parse(time.RFC3339Nano, row[0])
		if err != nil {
			t.Fatal(err)
		}
		key := [2]string{strconv.FormatInt(start.Unix(), 10), row[1]}
		of := number(t, row[len(row)-1])
		late += of
		if missing[key] -= number(t, row[2]) + of; missing[key] != 0 {
			t.Errorf("window %v: %d records too few", key, missing[key])
		}
	}
	if q.Window.Kind == tables.Hopping {
		return
	}
	var total int64
	if m := lateRecords.FindStringSubmatch(said.String()); m != nil {
		total = number(t, strings.ReplaceAll(m[1], ",", ""))
	}
	for _, n := range missing {
		total -= n
	}
	if total != late {
		t.Errorf("rows say %d records were late; with those of windows without a row, %d are missing", late, total-late)
	}
	t.Logf("%d late records in rows", late)
}

// final is a table with EMIT FINAL and a GRACE, and how many records were late.
func final(t *testing.T, q *tables.Table, grace string) *tables.Table {
	t.Helper()
	text := strings.Replace(q.SQL, " FROM conn", ", late FROM conn", 1)
	if text == q.SQL {
		text = strings.Replace(q.SQL, "\nFROM conn", ", late\nFROM conn", 1)
	}
	at := strings.Index(text, "WINDOW ")
	end := at + strings.Index(text[at:], ")")
	text = text[:end] + ", GRACE " + grace + text[end:] + "\nEMIT FINAL"
	all, err := tables.CompileFile("final.sql", text, feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

func number(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
