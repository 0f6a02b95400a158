package pgwire

import (
	"fmt"
	"math/big"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/brotally/brotally/feeds"
)

// param is a parameter as it was bound.
type param struct {
	oid    uint32
	binary bool
	null   bool
	raw    []byte
}

// decode reads the parameter as Go's value of its type: nil, bool, int64, float64, string, *big.Int, time.Time, netip.Prefix,
// pgtype.Interval, or a list of these. What comes as text stays text but for numbers and bools: its place says how it is read.
func (p param) decode(n int, types *pgtype.Map) (any, error) {
	fault := func(why any) error {
		return refused("22P03", fmt.Sprintf("parameter $%d of type %s: %v", n, typeName(types, p.oid), why), "")
	}
	if p.null {
		return nil, nil
	}
	if !p.binary {
		text := string(p.raw)
		if !utf8.ValidString(text) {
			return nil, refused("22021", fmt.Sprintf("parameter $%d is not valid UTF-8", n), "")
		}
		switch p.oid {
		case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.OIDOID, pgtype.NumericOID:
			if i, ok := new(big.Int).SetString(text, 10); ok {
				return smallest(i), nil
			}
			fallthrough
		case pgtype.Float4OID, pgtype.Float8OID:
			f, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return nil, refused("22P02", fmt.Sprintf("parameter $%d: %q is not a number", n, text), "")
			}
			return f, nil
		case pgtype.InetOID:
			if prefix, err := netip.ParsePrefix(text); err == nil { // an address with all its bits is one
				return prefix, nil
			}
		}
		return text, nil
	}
	switch p.oid {
	case 0, pgtype.UnknownOID, pgtype.NameOID, pgtype.TextOID, pgtype.VarcharOID, pgtype.BPCharOID:
		if !utf8.Valid(p.raw) {
			return nil, refused("22021", fmt.Sprintf("parameter $%d is not valid UTF-8", n), "")
		}
		return string(p.raw), nil
	}
	t, ok := types.TypeForOID(p.oid)
	if !ok {
		return nil, fault("the type is not known here")
	}
	v, err := t.Codec.DecodeValue(types, p.oid, pgtype.BinaryFormatCode, p.raw)
	if err != nil {
		return nil, fault(err)
	}
	if v, err = plain(v); err != nil {
		return nil, fault(err)
	}
	return v, nil
}

func typeName(types *pgtype.Map, oid uint32) string {
	if t, ok := types.TypeForOID(oid); ok {
		return t.Name
	}
	return strconv.FormatUint(uint64(oid), 10)
}

// smallest is a whole number as int64 if that holds it.
func smallest(i *big.Int) any {
	if i.IsInt64() {
		return i.Int64()
	}
	return i
}

// plain makes one of few types of what a codec decodes.
func plain(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, int64, float64, string, time.Time, netip.Prefix, pgtype.Interval:
		return v, nil
	case int16:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case uint32:
		return int64(v), nil
	case float32:
		return float64(v), nil
	case netip.Addr:
		return netip.PrefixFrom(v, v.BitLen()), nil
	case pgtype.Numeric:
		if v.NaN || v.InfinityModifier != pgtype.Finite {
			f, err := v.Float64Value()
			return f.Float64, err
		}
		if v.Exp >= 0 && v.Exp < 64 {
			return smallest(new(big.Int).Mul(v.Int, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(v.Exp)), nil))), nil
		}
		f, err := v.Float64Value()
		return f.Float64, err
	case []byte:
		return string(v), nil
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			var err error
			if list[i], err = plain(e); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	return nil, fmt.Errorf("%v cannot be used", v)
}

// value is a decoded parameter as look-ups take it.
func value(v any) (feeds.Value, error) {
	switch v := v.(type) {
	case nil:
		return feeds.NullValue, nil
	case bool:
		return feeds.BoolValue(v), nil
	case int64:
		return feeds.BigintValue(v), nil
	case *big.Int:
		if i, ok := feeds.ParseInt128(v.String()); ok {
			return feeds.NumericValue(i), nil
		}
		f, _ := new(big.Float).SetInt(v).Float64()
		return feeds.DoubleValue(f), nil
	case float64:
		return feeds.DoubleValue(v), nil
	case string:
		return feeds.StringValue(v), nil
	case time.Time:
		return feeds.TimestampValue(v.UnixMicro()), nil
	case netip.Prefix:
		if v.Bits() == v.Addr().BitLen() {
			return feeds.InetValue(v.Addr()), nil
		}
		return feeds.SubnetValue(v), nil
	case pgtype.Interval:
		if v.Months != 0 {
			return feeds.Value{}, fmt.Errorf("months have no fixed length")
		}
		return feeds.IntervalValue(float64(v.Days)*86400 + float64(v.Microseconds)/1e6), nil
	case []any:
		return feeds.Value{}, fmt.Errorf("arrays are not possible; write x IN ($1, $2)")
	}
	return feeds.Value{}, fmt.Errorf("%T cannot be used", v)
}
