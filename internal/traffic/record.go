package traffic

import (
	"strconv"
	"unicode/utf8"
)

// record is a JSON object in the making, field by field in the order of the log's columns, each followed by a comma
// that end turns into the closing brace.
type record []byte

// begin empties r and opens the object with its first field.
func (r *record) begin(tsMicros int64) {
	*r = append((*r)[:0], '{')
	r.time("ts", tsMicros)
}

// end closes the object.
func (r *record) end() {
	(*r)[len(*r)-1] = '}'
}

func (r *record) name(name string) {
	*r = append(*r, '"')
	*r = append(*r, name...)
	*r = append(*r, '"', ':')
}

// time writes Unix microseconds as epoch seconds, the plugin's default. Six decimals without trailing zeros are the
// shortest text that gives back the double Zeek holds, so that is what Zeek writes.
func (r *record) time(name string, micros int64) {
	r.name(name)
	b := strconv.AppendInt(*r, micros/1e6, 10)
	frac := micros % 1e6
	b = append(b, '.')
	for digit := int64(1e5); ; digit /= 10 {
		b = append(b, byte('0'+frac/digit))
		if frac %= digit; frac == 0 {
			break
		}
	}
	*r = append(b, ',')
}

// interval writes the time between two moments in seconds, as Zeek has it: the difference of two doubles.
func (r *record) interval(name string, fromMicros, toMicros int64) {
	r.double(name, float64(toMicros)/1e6-float64(fromMicros)/1e6)
}

// double writes v in its shortest form, which always has a point or an exponent.
func (r *record) double(name string, v float64) {
	r.name(name)
	*r = append(appendDouble(*r, v), ',')
}

func appendDouble(b []byte, v float64) []byte {
	from := len(b)
	b = strconv.AppendFloat(b, v, 'f', -1, 64)
	for _, c := range b[from:] {
		if c == '.' {
			return b
		}
	}
	return append(b, '.', '0')
}

func (r *record) count(name string, v int64) {
	r.name(name)
	*r = append(strconv.AppendInt(*r, v, 10), ',')
}

func (r *record) bool(name string, v bool) {
	r.name(name)
	*r = append(strconv.AppendBool(*r, v), ',')
}

func (r *record) str(name, v string) {
	r.name(name)
	*r = append(appendString(*r, v), ',')
}

// optional writes v unless it is empty, which stands for unset.
func (r *record) optional(name, v string) {
	if v != "" {
		r.str(name, v)
	}
}

// strs writes a set or vector of strings; one without elements is [], not unset.
func (r *record) strs(name string, list []string) {
	r.name(name)
	b := append(*r, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	*r = append(b, ']', ',')
}

// intervals writes a vector of intervals, in seconds.
func (r *record) intervals(name string, list []float64) {
	r.name(name)
	b := append(*r, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendDouble(b, v)
	}
	*r = append(b, ']', ',')
}

// id writes the four fields of Zeek's conn_id.
func (r *record) id(orig, resp endpoint) {
	r.str("id.orig_h", orig.addr)
	r.count("id.orig_p", int64(orig.port))
	r.str("id.resp_h", resp.addr)
	r.count("id.resp_p", int64(resp.port))
}

// appendString writes s as Zeek does: text that is UTF-8 stays as it is; if any byte of it is not, all its bytes above
// ASCII become the four characters \xHH. Nothing here holds control characters.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	plain := true
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == '"' || c == '\\' || c >= utf8.RuneSelf {
			plain = false
			break
		}
	}
	if plain {
		b = append(b, s...)
		return append(b, '"')
	}
	valid := utf8.ValidString(s)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= utf8.RuneSelf && !valid:
			const hex = "0123456789abcdef"
			b = append(b, '\\', '\\', 'x', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
