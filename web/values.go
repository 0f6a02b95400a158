package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// longest is how many characters of a value are shown.
const longest = 400

// printable returns s with every character that does not show itself, or turns the line around, written as \u{..}.
func printable(s string) string { return escaped(s, longest, false) }

// lines is printable, but keeps line feeds and tabs, and all of s.
func lines(s string) string { return escaped(s, math.MaxInt, true) }

func escaped(s string, most int, layout bool) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n == most {
			return b.String() + "…"
		}
		n++
		switch {
		case layout && (r == '\n' || r == '\t'):
			b.WriteRune(r)
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp):
			fmt.Fprintf(&b, `\u{%x}`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// cell is a value as it is shown.
type cell struct {
	Text  string
	Title string // its exact text where the first is rounded
	As    string // "null", "empty" or "time": what is no text of the log; else empty
	Time  string // RFC 3339, of a time

	Filter string  // what a filter for it says
	Link   string  // to the rows with it; empty: it is not in the key, or not on the page of one table
	Number float64 // for drawing; NaN: it is none
	Share  float64 // of the largest in its column, from 0 to 1; 0: no bar
}

// isNumber tells whether values of a column's type are numbers: set to the right, with a bar when sorted by.
func isNumber(sqlType string) bool {
	switch sqlType {
	case "bigint", "ubigint", "numeric", "double", "interval":
		return true
	}
	return false
}

// show makes the cell of a value of the given type.
func show(raw json.RawMessage, sqlType string) cell {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		value = string(raw) // not the API's
	}
	c := cell{Number: math.NaN()}
	c.Text, c.Title, c.As = text(value, sqlType)
	switch value := value.(type) {
	case nil:
		c.Filter = `\N`
	case json.Number:
		c.Filter = value.String()
		c.Number, _ = value.Float64() // infinite where it does not fit
	case string:
		c.Filter = value
		if strings.HasPrefix(value, `\`) {
			c.Filter = `\` + value
		}
		if sqlType == "timestamp" {
			c.Time = value
		}
	default:
		c.Filter = string(raw)
	}
	return c
}

func text(value any, sqlType string) (shown, exact, as string) {
	switch v := value.(type) {
	case nil:
		return "NULL", "", "null"
	case json.Number:
		f, err := v.Float64()
		switch {
		case err != nil:
			return v.String(), "", ""
		case sqlType == "interval":
			return duration(f), v.String() + " s", ""
		case sqlType == "double" || strings.ContainsAny(v.String(), ".eE"):
			return double(f), v.String(), ""
		}
		return thousands(v.String()), v.String(), ""
	case string:
		switch {
		case v == "":
			return "empty", "", "empty"
		case sqlType == "timestamp" && len(v) >= len("2006-01-02T15:04:05Z"):
			return strings.Replace(v[:len("2006-01-02T15:04:05")], "T", " ", 1), v, "time"
		}
		return printable(v), printable(v), ""
	case []any:
		if len(v) == 0 {
			return "[]", "", "empty"
		}
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i], _, _ = text(e, strings.TrimSuffix(sqlType, "[]"))
		}
		whole := printable("[" + strings.Join(parts, ", ") + "]")
		return whole, whole, ""
	}
	return printable(fmt.Sprint(value)), "", ""
}

// thousands puts a comma behind every third digit of an integer, from the right.
func thousands(digits string) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	var b strings.Builder
	for i, r := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(r)
	}
	return sign + b.String()
}

func integer(n int64) string { return thousands(strconv.FormatInt(n, 10)) }

// double writes seven digits, with thousands apart.
func double(f float64) string {
	s := strconv.FormatFloat(f, 'g', 7, 64)
	if strings.ContainsAny(s, "eIN") {
		if math.Abs(f) >= 1e7 && math.Abs(f) < 1e15 {
			return thousands(strconv.FormatFloat(f, 'f', 0, 64))
		}
		return s
	}
	whole, rest, fraction := strings.Cut(s, ".")
	if !fraction {
		return thousands(whole)
	}
	return thousands(whole) + "." + rest
}

// duration writes seconds in the two largest units.
func duration(seconds float64) string {
	sign, s := "", math.Abs(seconds)
	if seconds < 0 {
		sign = "-"
	}
	three := func(x float64, unit string) string { return sign + strconv.FormatFloat(x, 'g', 3, 64) + " " + unit }
	two := func(big float64, bigUnit string, small float64, smallUnit string) string {
		return fmt.Sprintf("%s%s %s %d %s", sign, integer(int64(big)), bigUnit, int64(small), smallUnit)
	}
	switch {
	case s == 0:
		return "0 s"
	case s < 1e-3:
		return three(s*1e6, "µs")
	case s < 1:
		return three(s*1e3, "ms")
	case s < 100:
		return sign + strconv.FormatFloat(math.Round(s*100)/100, 'f', -1, 64) + " s"
	case s < 3600:
		return two(s/60, "min", math.Mod(s, 60), "s")
	case s < 86400:
		return two(s/3600, "h", math.Mod(s, 3600)/60, "min")
	}
	return two(s/86400, "d", math.Mod(s, 86400)/3600, "h")
}

// ago writes how long before now something was.
func ago(then *time.Time) string {
	if then == nil {
		return "–"
	}
	s := time.Since(*then).Seconds()
	switch {
	case s < -1:
		return "in " + duration(math.Round(-s))
	case s < 10:
		return fmt.Sprintf("%.1f s ago", max(s, 0))
	}
	return duration(math.Round(s)) + " ago"
}

// decimal writes a rate: no digits behind the point, but for the small.
func decimal(f float64) string {
	if f > 0 && f < 10 {
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return integer(int64(math.Round(f)))
}

// bytesText writes a size in memory.
func bytesText(n int64) string {
	switch {
	case n < 10<<10:
		return integer(n) + " B"
	case n < 10<<20:
		return integer(n>>10) + " KiB"
	}
	return integer(n>>20) + " MiB"
}

// functions are what templates may call.
var functions = template.FuncMap{
	"printable": printable, "integer": integer, "integer64": func(n int) string { return integer(int64(n)) }, "decimal": decimal, "bytes": bytesText, "ago": ago,
	"iso":     func(t *time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
	"percent": func(done, total int64) int64 { return 100 * done / max(total, 1) },
	"shared":  func(share float64) string { return strconv.FormatFloat(100*share, 'f', 1, 64) },
}
