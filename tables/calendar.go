package tables

import (
	"math"
	"strings"
	"time"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

const microsADay = 24 * 3600 * 1e6

// calendarFields are the fields of extract, as PostgreSQL has them, in UTC. Those that can have decimals are doubles.
var calendarFields = map[string]struct {
	kind feeds.Kind
	of   func(t time.Time, micros int64) feeds.Value
}{
	"epoch": {feeds.Double, func(_ time.Time, micros int64) feeds.Value { return feeds.DoubleValue(float64(micros) / 1e6) }},
	"second": {feeds.Double, func(_ time.Time, micros int64) feeds.Value {
		return feeds.DoubleValue(float64(mod(micros, 60e6)) / 1e6)
	}},
	"milliseconds": {feeds.Double, func(_ time.Time, micros int64) feeds.Value {
		return feeds.DoubleValue(float64(mod(micros, 60e6)) / 1e3)
	}},
	"julian": {feeds.Double, func(_ time.Time, micros int64) feeds.Value {
		return feeds.DoubleValue(2440588 + float64(micros)/microsADay) // the Unix epoch is Julian date 2440588
	}},
	"microseconds": wholeField(func(t time.Time) int { return t.Second()*1e6 + t.Nanosecond()/1e3 }),
	"minute":       wholeField(time.Time.Minute),
	"hour":         wholeField(time.Time.Hour),
	"day":          wholeField(time.Time.Day),
	"dow":          wholeField(func(t time.Time) int { return int(t.Weekday()) }),
	"isodow":       wholeField(func(t time.Time) int { return (int(t.Weekday())+6)%7 + 1 }),
	"doy":          wholeField(time.Time.YearDay),
	"week":         wholeField(func(t time.Time) int { _, week := t.ISOWeek(); return week }),
	"isoyear":      wholeField(func(t time.Time) int { year, _ := t.ISOWeek(); return noYearZero(year) }),
	"month":        wholeField(func(t time.Time) int { return int(t.Month()) }),
	"quarter":      wholeField(func(t time.Time) int { return (int(t.Month()) + 2) / 3 }),
	"year":         wholeField(func(t time.Time) int { return noYearZero(t.Year()) }),
	"decade":       wholeField(func(t time.Time) int { return floorDiv(t.Year(), 10) }),
	"century":      wholeField(func(t time.Time) int { return noYearZero(floorDiv(t.Year()-1, 100) + 1) }),
	"millennium":   wholeField(func(t time.Time) int { return noYearZero(floorDiv(t.Year()-1, 1000) + 1) }),
}

func wholeField(of func(t time.Time) int) (f struct {
	kind feeds.Kind
	of   func(t time.Time, micros int64) feeds.Value
},
) {
	f.kind = feeds.Bigint
	f.of = func(t time.Time, _ int64) feeds.Value { return feeds.BigintValue(int64(of(t))) }
	return f
}

// noYearZero turns astronomical years into historians': the year before 1 is -1.
func noYearZero(year int) int {
	if year <= 0 {
		return year - 1
	}
	return year
}

func floorDiv(a, b int) int {
	if a < 0 {
		return -((-a + b - 1) / b)
	}
	return a / b
}

// mod is the remainder that is never negative.
func mod(a, b int64) int64 { return (a%b + b) % b }

// spelledField are other spellings of fields, in extract and date_trunc.
var spelledField = map[string]string{
	"seconds": "second", "minutes": "minute", "hours": "hour", "days": "day", "weeks": "week", "months": "month",
	"quarters": "quarter", "years": "year", "decades": "decade", "centuries": "century", "millisecond": "milliseconds",
	"microsecond": "microseconds", "millenniums": "millennium", "millennia": "millennium",
}

// fieldNames are for suggestions.
var fieldNames = []string{
	"epoch", "microseconds", "milliseconds", "second", "minute", "hour", "day", "dow", "isodow", "doy", "week", "month", "quarter",
	"year", "isoyear", "decade", "century", "millennium", "julian",
}

// extract is extract(field FROM x). Lengths of time have just their seconds: a day of them is no calendar's.
func (s *scope) extract(e *sql.Extract) (*expr, error) {
	name := e.Field
	if spelled, ok := spelledField[name]; ok {
		name = spelled
	}
	field, ok := calendarFields[name]
	if !ok {
		return nil, s.errorf(fieldAt{e}, sql.DidYouMean(e.Field, fieldNames), "no field %s of a timestamp", e.Field)
	}
	x, err := s.compile(e.X)
	if err != nil {
		return nil, err
	}
	out := &expr{typ: feeds.T(field.kind), text: sql.Format(e), column: -1}
	switch {
	case x.isNull():
		return constant(feeds.NullValue, out.typ, out.text), nil
	case x.typ.Kind == feeds.Timestamp:
		out.eval = unaryEval(x, func(_ *env, v feeds.Value) feeds.Value { return field.of(time.UnixMicro(v.Micros()).UTC(), v.Micros()) })
	case x.typ.Kind == feeds.Interval && name == "epoch":
		out.eval = unaryEval(x, func(_ *env, v feeds.Value) feeds.Value { return feeds.DoubleValue(v.Seconds()) })
	case x.typ.Kind == feeds.Interval:
		return nil, s.errorf(fieldAt{e}, "write extract(epoch FROM "+x.text+"), its seconds, and divide them", "an interval has no field %s", e.Field)
	default:
		return nil, s.errorf(e.X, "", "extract needs a timestamp or an interval, %s is %s", x.text, typeName(x))
	}
	return s.fold(e, out, x)
}

// fieldAt is the place of an extract's field.
type fieldAt struct{ *sql.Extract }

func (f fieldAt) Pos() sql.Pos { return f.FieldAt }

// fixedUnits are the units of date_trunc that are of one length. Weeks begin on Monday, the fourth day before the epoch's.
var fixedUnits = map[string]struct{ micros, offset int64 }{
	"microseconds": {1, 0}, "milliseconds": {1e3, 0}, "second": {1e6, 0}, "minute": {60e6, 0}, "hour": {3600e6, 0},
	"day": {microsADay, 0}, "week": {7 * microsADay, -3 * microsADay},
}

// calendarUnits give the year and month that a time's unit begins with.
var calendarUnits = map[string]func(t time.Time) (year int, month time.Month){
	"month":      func(t time.Time) (int, time.Month) { return t.Year(), t.Month() },
	"quarter":    func(t time.Time) (int, time.Month) { return t.Year(), (t.Month()-1)/3*3 + 1 },
	"year":       func(t time.Time) (int, time.Month) { return t.Year(), 1 },
	"decade":     func(t time.Time) (int, time.Month) { return floorDiv(t.Year(), 10) * 10, 1 },
	"century":    func(t time.Time) (int, time.Month) { return floorDiv(t.Year()-1, 100)*100 + 1, 1 },
	"millennium": func(t time.Time) (int, time.Month) { return floorDiv(t.Year()-1, 1000)*1000 + 1, 1 },
}

// dateTrunc is date_trunc('hour', ts): the start of the unit that ts lies in, in UTC.
func (s *scope) dateTrunc(e *sql.Call, args []*expr) (*expr, error) {
	if err := s.arity(e, 2, "date_trunc('hour', ts)"); err != nil {
		return nil, err
	}
	if args[0].typ.Kind == feeds.Timestamp {
		return nil, s.errorf(e.Args[0], "write date_trunc('hour', "+args[0].text+")", "date_trunc takes the unit first")
	}
	unit, err := s.stringOperand(e.Args[0], args[0], "date_trunc")
	if err != nil {
		return nil, err
	}
	if !unit.konst || unit.isNull() {
		return nil, s.errorf(e.Args[0], "write date_trunc('hour', ts)", "the unit of date_trunc must be constant")
	}
	ts, ok, err := s.coerce(e.Args[1], args[1], feeds.T(feeds.Timestamp))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, s.errorf(e.Args[1], "", "date_trunc needs a timestamp, %s is %s", ts.text, typeName(ts))
	}
	out := &expr{typ: ts.typ, text: sql.Format(e), column: -1}
	name := strings.ToLower(unit.val.Str())
	if spelled, ok := spelledField[name]; ok {
		name = spelled
	}
	if fixed, ok := fixedUnits[name]; ok {
		out.eval = unaryEval(ts, func(e *env, v feeds.Value) feeds.Value {
			rest := mod(mod(v.Micros(), fixed.micros)-fixed.offset, fixed.micros)
			if v.Micros() < math.MinInt64+rest {
				return e.none()
			}
			return feeds.TimestampValue(v.Micros() - rest)
		})
		return s.fold(e, out, ts)
	}
	start, ok := calendarUnits[name]
	if !ok {
		return nil, s.errorf(e.Args[0], sql.DidYouMean(name, fieldNames[1:]), "date_trunc has no unit %s", unit.text)
	}
	out.eval = unaryEval(ts, func(e *env, v feeds.Value) feeds.Value {
		year, month := start(time.UnixMicro(v.Micros()).UTC())
		t := time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
		if t.Unix() < math.MinInt64/1_000_000 {
			return e.none()
		}
		return feeds.TimestampValue(t.UnixMicro())
	})
	return s.fold(e, out, ts)
}

// toTimestamp is to_timestamp(seconds since the Unix epoch), rounded to microseconds.
func (s *scope) toTimestamp(e *sql.Call, args []*expr) (*expr, error) {
	if err := s.arity(e, 1, "to_timestamp(seconds)"); err != nil {
		return nil, err
	}
	x, err := s.numberOperand(e.Args[0], args[0], "to_timestamp")
	if err != nil {
		return nil, err
	}
	out := &expr{typ: feeds.T(feeds.Timestamp), text: sql.Format(e), column: -1}
	out.eval = unaryEval(x, func(e *env, v feeds.Value) feeds.Value {
		var micros feeds.Int128
		var ok bool
		if v.Kind() == feeds.Double {
			micros, ok = feeds.Int128FromFloat(math.RoundToEven(v.Float() * 1e6))
		} else {
			micros, ok = v.Int128().Mul(feeds.Int128From(1e6))
		}
		i, fits := micros.Int64()
		if !ok || !fits {
			return e.none()
		}
		return feeds.TimestampValue(i)
	})
	return s.fold(e, out, x)
}
