package codecs

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"net/netip"
	"strings"
	"testing"

	"github.com/brotally/brotally/feeds"
)

// FuzzJSON holds the decoder against encoding/json: it accepts the same messages, and extracts the same values.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		dnsMessage, `{"dns": ` + dnsMessage + `,"sensor": "s1"}`, `{"_path":"conn","s":"a"}`,
		`{"s":"\ud83d\ude00\ud83d","i":-1.50e1,"u":18446743758090351616,"d":1e-7,"b":true,"t":1.5,"a":["x",null],"n":{"s":[{}]}}`,
		"{\"s\":\"\xff\xc3(\",\"\xff\":1}", `{"s":1,"s":"a","s":null}`, `{"t":"2018-03-24T17:15:21.25538Z","t":-1e-7}`,
		`{"message":"{\"s\":\"a\",\"t\":1}","s":"b","log":{"file":{"path":"/x/test.log"}}}`, `{"message":"{\"test\": {\"s\":\"a\"}}"}`,
		`{"event":{"original":"{\"s\":\"a\"}"},"event.original":"{}"}`, `{"ts":1,"message":"{\"s\":\"a\"}"}`,
		"[1]", "\ufeff{}", `{"a":1,}`, `{"i":01}`, "{\"s\":\"\x00\"}", `{"x":tru}`, ` { } x`,
	} {
		f.Add([]byte(seed))
	}
	layout := &feeds.Layout{Feed: "test"}
	for name, kind := range map[string]feeds.Kind{
		"s": feeds.String, "b": feeds.Bool, "i": feeds.Bigint, "u": feeds.Ubigint, "d": feeds.Double, "t": feeds.Timestamp,
		"h": feeds.Inet, "net": feeds.Subnet, "qtype_name": feeds.String, "\ufffd": feeds.Double,
	} {
		layout.Slot(feeds.Column{Name: name, Type: feeds.T(kind)})
	}
	layout.Slot(feeds.Column{Name: "a", Type: feeds.ArrayOf(feeds.String)})
	decoder := NewJSON(layout)
	mixed := NewJSON(&feeds.Layout{Feed: "dns", Mixed: true})
	f.Fuzz(func(t *testing.T, msg []byte) {
		var rec feeds.Record
		before := bytes.Clone(msg)
		err := decoder.Decode(msg, &rec)
		if !bytes.Equal(msg, before) {
			t.Fatal("the message was changed")
		}
		var decode *DecodeError
		if bad := errors.As(err, &decode); bad == isRecord(msg) {
			t.Fatalf("%q: encoding/json says it is an object: %v; Decode says %v", msg, isRecord(msg), err)
		}
		if decode != nil && (decode.Pos < 0 || decode.Pos > len(msg)) {
			t.Errorf("%q: position %d", msg, decode.Pos)
		}
		if err != nil {
			return
		}
		if err := mixed.Decode(msg, &feeds.Record{}); mixed.name() == "" && errors.Is(err, ErrOtherFeed) == (FeedByNames(mixed.record(msg)) == "dns") {
			t.Errorf("%q in a mixed topic: %v", msg, err)
		}
		want := unwrapSlowly(t, msg, decoder)
		bad := 0
		for slot, c := range layout.Columns {
			v, ok := expect(c.Type, want[c.Name])
			if !ok {
				bad++
			}
			if got := rec.Values[slot]; !feeds.Equal(got, v) || got.Kind() != v.Kind() {
				t.Errorf("%q: %s is %v, want %v", msg, c.Name, got, v)
			}
		}
		if rec.BadFields != bad {
			t.Errorf("%q: %d bad fields, want %d", msg, rec.BadFields, bad)
		}
	})
}

// isRecord reports whether encoding/json takes msg for an object, of no more levels than ours may have.
func isRecord(msg []byte) bool {
	if !json.Valid(msg) || bytes.TrimLeft(msg, " \t\r\n")[0] != '{' {
		return false
	}
	depth := 0
	decoder := json.NewDecoder(bytes.NewReader(msg))
	for {
		token, err := decoder.Token()
		if err != nil {
			return true
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > maxDepth {
				return false
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

// unwrapSlowly returns the members of the record in msg. What is a tag it believes the decoder, what is a text it does not.
func unwrapSlowly(t *testing.T, msg []byte, d *JSON) map[string]json.RawMessage {
	parse := func(b []byte) map[string]json.RawMessage {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(b, &members); err != nil {
			t.Fatalf("%q: %q is no object: %v", msg, b, err)
		}
		return members
	}
	text := heldSlowly(t, msg)
	switch {
	case d.inner == nil:
		if text != nil {
			t.Errorf("%q holds %q, which was not read", msg, text)
		}
		return parse(msg)
	case d.tag != "" && bytes.Equal(d.inner, parse(msg)[d.tag]): // the message is tagged
	case text == nil:
		t.Fatalf("%q holds nothing, %q was read", msg, d.inner)
	case d.tag == "" && bytes.Equal(d.inner, text):
	case d.tag != "" && bytes.Equal(d.inner, parse(text)[d.tag]): // the text is tagged
	default:
		t.Errorf("%q holds %q, %q was read", msg, text, d.inner)
	}
	return parse(d.inner)
}

// heldSlowly returns the record that a string of msg holds, nil when none does.
func heldSlowly(t *testing.T, msg []byte) (record []byte) {
	var message, original, none json.RawMessage
	var ts bool
	each := func(object []byte, do func(name string, value json.RawMessage)) {
		dec := json.NewDecoder(bytes.NewReader(object))
		dec.Token() // the brace
		for dec.More() {
			name, _ := dec.Token()
			var value json.RawMessage
			if err := dec.Decode(&value); err != nil {
				t.Fatal(err)
			}
			do(name.(string), value)
		}
	}
	each(msg, func(name string, value json.RawMessage) {
		switch name {
		case "ts":
			ts = true
		case "message":
			message = value
		case "event.original":
			original = value
		case "event":
			original = none
			if value[0] == '{' {
				each(value, func(name string, value json.RawMessage) {
					if name == "original" {
						original = value
					}
				})
			}
		}
	})
	if ts {
		return nil
	}
	for _, raw := range []json.RawMessage{message, original} {
		var text string
		if bytes.HasPrefix(raw, []byte(`"{`)) && json.Unmarshal(raw, &text) == nil && isRecord([]byte(text)) {
			return []byte(text)
		}
	}
	return nil
}

// expect returns what a member is as a value of type typ, by way of encoding/json and math/big.
func expect(typ feeds.Type, raw json.RawMessage) (v feeds.Value, ok bool) {
	if raw == nil || string(raw) == "null" {
		return feeds.NullValue, true
	}
	if typ.Kind == feeds.Array {
		var elems []json.RawMessage
		if json.Unmarshal(raw, &elems) != nil {
			return feeds.NullValue, false
		}
		list := []feeds.Value{}
		for _, e := range elems {
			v, ok := expect(feeds.T(typ.Elem), e)
			if !ok {
				return feeds.NullValue, false
			}
			list = append(list, v)
		}
		return feeds.ArrayValue(list), true
	}
	var text string
	isText := json.Unmarshal(raw, &text) == nil
	number := new(big.Rat)
	isNumber := false
	if c := raw[0]; c == '-' || '0' <= c && c <= '9' {
		isNumber = true
		f, err := json.Number(raw).Float64()
		mantissa, _, _ := strings.Cut(strings.ToLower(string(raw)), "e")
		switch isZero := !strings.ContainsAny(mantissa, "123456789"); {
		case isZero:
		case err == nil && math.Abs(f) < 1e-300 && typ.Kind == feeds.Double:
			return feeds.DoubleValue(f), true
		case err == nil && math.Abs(f) < 1e-300 && typ.Kind == feeds.Timestamp:
			return feeds.TimestampValue(0), true
		case err != nil || math.Abs(f) < 1e-300: // a Rat of a huge exponent takes for ever
			return feeds.NullValue, false
		default:
			number.SetString(string(raw))
		}
	}
	switch typ.Kind {
	case feeds.String:
		if isText {
			return feeds.StringValue(text), true
		}
	case feeds.Bool:
		var b bool
		if json.Unmarshal(raw, &b) == nil {
			return feeds.BoolValue(b), true
		}
	case feeds.Inet:
		if a, err := netip.ParseAddr(text); isText && err == nil && a.Zone() == "" {
			return feeds.InetValue(a), true
		}
	case feeds.Subnet:
		if p, err := netip.ParsePrefix(text); isText && err == nil {
			return feeds.SubnetValue(p), true
		}
	case feeds.Bigint:
		if isNumber && number.IsInt() && number.Num().IsInt64() {
			return feeds.BigintValue(number.Num().Int64()), true
		}
	case feeds.Ubigint:
		if isNumber && number.IsInt() && number.Num().IsUint64() {
			return feeds.UbigintValue(number.Num().Uint64()), true
		}
	case feeds.Double:
		if f, err := json.Number(raw).Float64(); isNumber && err == nil {
			return feeds.DoubleValue(f), true
		}
	case feeds.Timestamp:
		if isText {
			micros, ok := parseISOTime(text) // tested by itself
			if !ok {
				return feeds.NullValue, false
			}
			return feeds.TimestampValue(micros), true
		}
		if isNumber {
			micros, ok := expectEpoch(raw, number)
			if !ok {
				return feeds.NullValue, false
			}
			return feeds.TimestampValue(micros), true
		}
	}
	return feeds.NullValue, false
}

func expectEpoch(raw json.RawMessage, number *big.Rat) (micros int64, ok bool) {
	scale := int64(microsPerSecond)
	if !bytes.ContainsAny(raw, ".eE") {
		if n := number.Num(); n.CmpAbs(big.NewInt(leastMillis)) >= 0 {
			if n.IsUint64() && !n.IsInt64() {
				number.SetInt64(int64(n.Uint64()))
			}
			scale = 1000
		}
	}
	if bytes.ContainsAny(raw, "eE") { // those go through a float64
		return parseEpochFloat(raw)
	}
	number.Mul(number, new(big.Rat).SetInt64(scale))
	// Away from zero at halves: the integer part of |x| + 1/2.
	half := big.NewRat(1, 2)
	abs := new(big.Rat).Abs(number)
	abs.Add(abs, half)
	whole := new(big.Int).Quo(abs.Num(), abs.Denom())
	if number.Sign() < 0 {
		whole.Neg(whole)
	}
	return whole.Int64(), whole.IsInt64()
}
