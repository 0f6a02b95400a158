package feeds

import (
	"math"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func anyValue() *rapid.Generator[Value] {
	scalar := rapid.OneOf(
		rapid.Just(NullValue),
		rapid.Map(rapid.String(), StringValue),
		rapid.Map(rapid.Bool(), BoolValue),
		rapid.Map(rapid.Int64(), BigintValue),
		rapid.Map(rapid.Uint64(), UbigintValue),
		rapid.Custom(func(t *rapid.T) Value {
			return NumericValue(Int128{Hi: rapid.Int64().Draw(t, "hi"), Lo: rapid.Uint64().Draw(t, "lo")})
		}),
		rapid.Map(rapid.Float64(), DoubleValue),
		rapid.Map(rapid.Int64(), TimestampValue),
		rapid.Map(rapid.Float64(), IntervalValue),
		rapid.Custom(func(t *rapid.T) Value {
			if rapid.Bool().Draw(t, "v4") {
				return InetValue(netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "addr"))))
			}
			return SubnetValue(netip.PrefixFrom(netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "addr"))), rapid.IntRange(0, 128).Draw(t, "bits")))
		}),
	)
	return rapid.OneOf(scalar, rapid.Map(rapid.SliceOfN(scalar, 0, 4), ArrayValue))
}

func TestKeysReadBackAndTellValuesApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyValue().Draw(t, "a"), anyValue().Draw(t, "b")
		key := b.AppendKey(a.AppendKey(nil))
		gotA, rest, okA := ReadKey(string(key))
		gotB, rest, okB := ReadKey(rest)
		if !okA || !okB || rest != "" || !Equal(a, gotA) || !Equal(b, gotB) || a.Kind() != gotA.Kind() {
			t.Fatalf("%v %v came back as %v %v, rest %q", a, b, gotA, gotB, rest)
		}
		same := string(a.AppendKey(nil)) == string(b.AppendKey(nil))
		if want := a.Kind() == b.Kind() && Equal(a, b); a.Kind() != Array && same != want {
			t.Fatalf("keys of %v and %v equal: %v, want %v", a, b, same, want)
		}
		if key[0] == '\\' {
			t.Fatalf("the key of %v begins with a backslash, which internal rows keep for themselves", a)
		}
	})
}

func TestReadKeyRefusesEveryCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyValue().Draw(t, "v")
		key := string(v.AppendKey(nil))
		if _, _, ok := ReadKey(key[:len(key)-1]); ok {
			t.Fatalf("the key of %v without its last byte was accepted", v)
		}
	})
}

func TestCompareIsExactAcrossNumbers(t *testing.T) {
	big, _ := ParseInt128("170141183460469231731687303715884105727")
	ascending := []Value{
		DoubleValue(math.Inf(-1)), BigintValue(math.MinInt64), DoubleValue(-1.5), BigintValue(-1), DoubleValue(-0.5),
		UbigintValue(0), DoubleValue(0.5), BigintValue(1), UbigintValue(1 << 53), UbigintValue(1<<53 + 1),
		UbigintValue(math.MaxUint64), DoubleValue(1 << 64), NumericValue(big), DoubleValue(1e300), DoubleValue(math.Inf(1)), DoubleValue(math.NaN()),
	}
	for i, a := range ascending {
		for j, b := range ascending {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := Compare(a, b); got != want {
				t.Errorf("Compare(%v, %v) = %d, want %d", a, b, got, want)
			}
		}
	}
}

func TestInt128AgreesWithBigIntegers(t *testing.T) {
	gen := rapid.Custom(func(t *rapid.T) Int128 {
		return Int128{Hi: rapid.Int64().Draw(t, "hi"), Lo: rapid.Uint64().Draw(t, "lo")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		sum, ok := a.Add(b)
		want := a.Big()
		want.Add(want, b.Big())
		if back, fits := int128FromBig(want); fits != ok || ok && back != sum {
			t.Fatalf("%v + %v = %v %v, want %v", a, b, sum, ok, want)
		}
		diff, ok := a.Sub(b)
		want = a.Big()
		want.Sub(want, b.Big())
		if back, fits := int128FromBig(want); fits != ok || ok && back != diff {
			t.Fatalf("%v - %v = %v %v, want %v", a, b, diff, ok, want)
		}
		if a.Cmp(b) != a.Big().Cmp(b.Big()) {
			t.Fatalf("Cmp(%v, %v) = %d", a, b, a.Cmp(b))
		}
		if back, ok := ParseInt128(a.String()); !ok || back != a {
			t.Fatalf("%v reads back as %v %v", a, back, ok)
		}
	})
}

func TestTextOfValues(t *testing.T) {
	for _, c := range []struct {
		v          Value
		text, json string
	}{
		{NullValue, "", "null"},
		{StringValue("a\"b\\\n\x01\xff<é"), "a\"b\\\n\x01\xff<é", `"a\"b\\\n\u0001` + "\ufffd" + `<é"`},
		{TimestampValue(-1), "1969-12-31T23:59:59.999999Z", `"1969-12-31T23:59:59.999999Z"`},
		{TimestampValue(1575413122764317), "2019-12-03T22:45:22.764317Z", `"2019-12-03T22:45:22.764317Z"`},
		{IntervalValue(0.09628199999999865), "0.09628199999999865", "0.09628199999999865"},
		{DoubleValue(math.NaN()), "NaN", "null"},
		{UbigintValue(math.MaxUint64), "18446744073709551615", "18446744073709551615"},
		{InetValue(netip.MustParseAddr("fe80::1")), "fe80::1", `"fe80::1"`},
		{SubnetValue(netip.MustParsePrefix("10.0.0.0/8")), "10.0.0.0/8", `"10.0.0.0/8"`},
		{ArrayValue([]Value{StringValue("a"), NullValue}), `["a",null]`, `["a",null]`},
	} {
		if got := string(c.v.AppendText(nil)); got != c.text {
			t.Errorf("text %q, want %q", got, c.text)
		}
		if got := string(c.v.AppendJSON(nil)); got != c.json {
			t.Errorf("JSON %s, want %s", got, c.json)
		}
	}
}

func TestTypesReadBack(t *testing.T) {
	for k := String; k <= Subnet; k++ {
		for _, want := range []Type{T(k), ArrayOf(k)} {
			if got, ok := ParseType(want.String()); !ok || got != want {
				t.Errorf("%v reads back as %v %v", want, got, ok)
			}
		}
	}
	if _, ok := ParseType("blob"); ok {
		t.Error("blob is a type")
	}
	if got, ok := ParseZeekType("set[addr]"); !ok || got != ArrayOf(Inet) {
		t.Errorf("set[addr] is %v %v", got, ok)
	}
	if !slices.IsSortedFunc(All(), func(a, b *Feed) int { return Compare(StringValue(a.Name), StringValue(b.Name)) }) {
		t.Error("feeds are not sorted by name")
	}
}
