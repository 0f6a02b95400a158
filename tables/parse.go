package tables

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/brotally/brotally/feeds"
)

// ParseValue reads a text as a value of typ, as a literal in SQL is read. Arrays have no text form.
func ParseValue(text string, typ feeds.Type) (feeds.Value, error) {
	v, why := parseValue(text, typ)
	if why != "" {
		return v, fmt.Errorf("%q is not %s: %s", text, article(typ), why)
	}
	return v, nil
}

// parseValue reads a text as a value of typ. why says what is wrong with it; empty: nothing.
func parseValue(text string, typ feeds.Type) (v feeds.Value, why string) {
	trimmed := strings.TrimSpace(text)
	switch typ.Kind {
	case feeds.String:
		return feeds.StringValue(text), ""
	case feeds.Bool:
		switch strings.ToLower(trimmed) {
		case "t", "true", "y", "yes", "on", "1":
			return feeds.BoolValue(true), ""
		case "f", "false", "n", "no", "off", "0":
			return feeds.BoolValue(false), ""
		}
		return v, "write true or false"
	case feeds.Bigint, feeds.Ubigint, feeds.Numeric:
		i, ok := feeds.ParseInt128(trimmed)
		if !ok {
			return v, "not a whole number"
		}
		if v, ok = convert(feeds.NumericValue(i), typ); !ok {
			return v, "out of range"
		}
		return v, ""
	case feeds.Double:
		f, err := strconv.ParseFloat(trimmed, 64)
		if err != nil {
			return v, "not a number"
		}
		return feeds.DoubleValue(f), ""
	case feeds.Timestamp:
		micros, ok := parseTimestamp(trimmed)
		if !ok {
			return v, "write it as 2026-11-23T04:05:06Z"
		}
		return feeds.TimestampValue(micros), ""
	case feeds.Interval:
		seconds, why := parseInterval(trimmed)
		return feeds.IntervalValue(seconds), why
	case feeds.Inet:
		a, err := netip.ParseAddr(trimmed)
		if err != nil {
			if _, err := netip.ParsePrefix(trimmed); err == nil {
				return v, "it is a subnet; see in_subnet"
			}
			return v, "not an IPv4 or IPv6 address"
		}
		return feeds.InetValue(a), ""
	case feeds.Subnet:
		p, err := netip.ParsePrefix(trimmed)
		if err != nil {
			return v, "write it as 10.0.0.0/8"
		}
		return feeds.SubnetValue(p), ""
	}
	return v, "there is no text form of " + typ.String()
}

// timestampLayouts are RFC 3339 and what PostgreSQL takes of it; without a zone it is UTC.
var timestampLayouts = []string{
	"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02T15:04",
	"2006-01-02T15:04:05Z07", "2006-01-02",
}

// parseTimestamp reads a timestamp in microseconds since the Unix epoch; decimals beyond the sixth are rounded off.
func parseTimestamp(s string) (micros int64, ok bool) {
	s = strings.ToUpper(s)
	if len(s) > 10 && s[10] == ' ' {
		s = s[:10] + "T" + strings.TrimLeft(s[11:], " ")
	}
	for _, layout := range timestampLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.Round(time.Microsecond).UnixMicro(), true
		}
	}
	return 0, false
}

// units of an interval in seconds. Months and years have no fixed length.
var units = map[string]float64{
	"us": 1e-6, "usec": 1e-6, "usecs": 1e-6, "microsecond": 1e-6, "microseconds": 1e-6,
	"ms": 1e-3, "msec": 1e-3, "msecs": 1e-3, "millisecond": 1e-3, "milliseconds": 1e-3,
	"s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1,
	"m": 60, "min": 60, "mins": 60, "minute": 60, "minutes": 60,
	"h": 3600, "hr": 3600, "hrs": 3600, "hour": 3600, "hours": 3600,
	"d": 86400, "day": 86400, "days": 86400, "w": 604800, "week": 604800, "weeks": 604800,
}

// parseInterval reads a length of time in seconds: `1 hour`, `7 days 02:30:00`, `-1.5 h`, `90` (seconds), `2 days ago`.
// why says what is wrong; empty: nothing.
func parseInterval(s string) (seconds float64, why string) {
	fields := intervalFields(strings.ToLower(s))
	if len(fields) == 0 {
		return 0, "write it as '1 hour' or '7 days'"
	}
	if last := len(fields) - 1; last > 0 && fields[last] == "ago" {
		seconds, why = parseInterval(strings.Join(fields[:last], " "))
		return -seconds, why
	}
	for i := 0; i < len(fields); i++ {
		if strings.Contains(fields[i], ":") {
			clock, ok := parseClock(fields[i])
			if !ok {
				return 0, "write a time of day as 02:30:00"
			}
			seconds += clock
			continue
		}
		n, err := strconv.ParseFloat(fields[i], 64)
		if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
			return 0, "expected a number, found " + strconv.Quote(fields[i])
		}
		unit := 1.0
		if i+1 < len(fields) {
			i++
			var ok bool
			if unit, ok = units[fields[i]]; !ok {
				return 0, unknownUnit(fields[i])
			}
		}
		seconds += n * unit
	}
	if math.IsInf(seconds, 0) {
		return 0, "out of range"
	}
	return seconds, ""
}

func unknownUnit(unit string) string {
	switch strings.TrimSuffix(unit, "s") {
	case "month", "mon", "year", "yr", "y", "decade", "century":
		return "a " + strings.TrimSuffix(unit, "s") + " has no fixed length; write days"
	}
	return "no unit " + strconv.Quote(unit) + "; write seconds, minutes, hours, days or weeks"
}

// intervalFields splits at blanks and between a number and its unit: 90s is 90 s.
func intervalFields(s string) []string {
	var out []string
	for _, f := range strings.Fields(s) {
		if i := strings.IndexFunc(f, func(r rune) bool { return r >= 'a' && r <= 'z' || r == 'µ' }); i > 0 && f[i] != 'e' {
			out = append(out, f[:i], strings.ReplaceAll(f[i:], "µ", "u"))
			continue
		}
		out = append(out, f)
	}
	return out
}

// parseClock reads [-]hh:mm[:ss[.decimals]] as seconds.
func parseClock(s string) (seconds float64, ok bool) {
	rest, negative := strings.CutPrefix(s, "-")
	parts := strings.Split(strings.TrimPrefix(rest, "+"), ":")
	if len(parts) > 3 {
		return 0, false
	}
	scale := 3600.0
	for i, p := range parts {
		if p == "" || strings.Trim(p, "0123456789.") != "" {
			return 0, false
		}
		n, err := strconv.ParseFloat(p, 64)
		if err != nil || i < 2 && strings.Contains(p, ".") || i > 0 && n >= 60 {
			return 0, false
		}
		seconds += n * scale
		scale /= 60
	}
	if negative {
		seconds = -seconds
	}
	return seconds, true
}
