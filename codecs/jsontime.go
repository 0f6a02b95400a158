package codecs

import (
	"math"
	"strconv"
)

const (
	microsPerSecond = 1_000_000
	// leastMillis is where an integer stops being seconds: 1e11 seconds is the year 5138, 1e11 milliseconds 1973. Zeek
	// writes seconds with a point, and milliseconds without one when JSON::TS_MILLIS is set.
	leastMillis = 100_000_000_000
)

// parseEpoch reads a JSON number as microseconds since the Unix epoch: seconds, or milliseconds when it is an integer of
// 1e11 or more. Sensors before Zeek 8 write times before 1970 as unsigned milliseconds that wrapped around; they are
// read as what was meant. Halves of a microsecond are rounded away from zero. ok is false when the instant does not fit
// 64 bits.
func parseEpoch(raw []byte) (micros int64, ok bool) {
	negative := raw[0] == '-'
	digits := raw
	if negative {
		digits = raw[1:]
	}
	var whole uint64
	i := 0
	for ; i < len(digits) && digits[i]-'0' <= 9; i++ {
		if whole, ok = shift(whole, uint64(digits[i]-'0')); !ok {
			return parseEpochFloat(raw)
		}
	}
	switch {
	case i == len(digits):
		return epochFromInteger(negative, whole)
	case digits[i] != '.' || whole > math.MaxInt64/microsPerSecond-1:
		return parseEpochFloat(raw)
	}
	fraction := digits[i+1:]
	var sixth uint64 // the fraction in microseconds
	for n := range 6 {
		sixth *= 10
		if n < len(fraction) {
			if fraction[n]-'0' > 9 {
				return parseEpochFloat(raw)
			}
			sixth += uint64(fraction[n] - '0')
		}
	}
	if len(fraction) > 6 {
		for _, c := range fraction[6:] {
			if c-'0' > 9 {
				return parseEpochFloat(raw)
			}
		}
		if fraction[6] >= '5' {
			sixth++
		}
	}
	micros = int64(whole*microsPerSecond + sixth)
	if negative {
		micros = -micros
	}
	return micros, true
}

func epochFromInteger(negative bool, whole uint64) (micros int64, ok bool) {
	if whole < leastMillis {
		micros = int64(whole) * microsPerSecond
	} else {
		millis := int64(whole) // wraps as the sensor's did
		if negative && millis < 0 {
			return 0, false
		}
		const most = math.MaxInt64 / 1000
		if millis > most || millis < -most {
			return 0, false
		}
		micros = millis * 1000
	}
	if negative {
		micros = -micros
	}
	return micros, true
}

func parseEpochFloat(raw []byte) (micros int64, ok bool) {
	seconds, err := strconv.ParseFloat(alias(raw), 64)
	f := math.Round(seconds * microsPerSecond)
	if err != nil || f < math.MinInt64 || f >= math.MaxInt64 {
		return 0, false
	}
	return int64(f), true
}

// parseISOTime reads an instant as Zeek's JSON::TS_ISO8601 and its relatives write it, 2018-03-24T17:15:21.255387Z: the
// fraction may be missing or of any length (it is rounded to microseconds), the zone may be Z, +01:00, +0100, +01 or
// missing (UTC), a space may stand for the T.
func parseISOTime(s string) (micros int64, ok bool) {
	if len(s) < len("2018-03-24T17:15:21") || s[4] != '-' || s[7] != '-' || s[13] != ':' || s[16] != ':' ||
		(s[10] != 'T' && s[10] != 't' && s[10] != ' ') {
		return 0, false
	}
	century, ok1 := twoDigits(s[0:])
	inCentury, ok2 := twoDigits(s[2:])
	month, ok3 := twoDigits(s[5:])
	day, ok4 := twoDigits(s[8:])
	hour, ok5 := twoDigits(s[11:])
	minute, ok6 := twoDigits(s[14:])
	second, ok7 := twoDigits(s[17:])
	year := century*100 + inCentury
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && ok7) ||
		month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	micros = (daysSinceEpoch(year, month, day)*86400 + int64(hour*3600+minute*60+second)) * microsPerSecond
	s = s[19:]
	if s != "" && s[0] == '.' {
		fraction, n := parseFraction(s[1:])
		if n == 0 {
			return 0, false
		}
		micros += fraction
		s = s[1+n:]
	}
	offset, ok := parseZone(s)
	return micros - offset*microsPerSecond, ok
}

// parseFraction reads the n digits that s begins with as a fraction of a second, in microseconds.
func parseFraction(s string) (micros int64, n int) {
	unit := int64(microsPerSecond / 10)
	for ; n < len(s) && s[n]-'0' <= 9; n++ {
		switch digit := int64(s[n] - '0'); {
		case n < 6:
			micros += digit * unit
			unit /= 10
		case n == 6 && digit >= 5:
			micros++
		}
	}
	return micros, n
}

// parseZone reads a zone as seconds east of UTC.
func parseZone(s string) (seconds int64, ok bool) {
	if s == "" || s == "Z" || s == "z" {
		return 0, true
	}
	if s[0] != '+' && s[0] != '-' || len(s) < 3 {
		return 0, false
	}
	hours, ok := twoDigits(s[1:])
	minutes := 0
	switch rest := s[3:]; {
	case !ok || hours > 23:
		return 0, false
	case len(rest) == 3 && rest[0] == ':':
		minutes, ok = twoDigits(rest[1:])
	case len(rest) == 2:
		minutes, ok = twoDigits(rest)
	case rest != "":
		return 0, false
	}
	if !ok || minutes > 59 {
		return 0, false
	}
	seconds = int64(hours*3600 + minutes*60)
	if s[0] == '-' {
		seconds = -seconds
	}
	return seconds, true
}

func twoDigits(s string) (n int, ok bool) {
	tens, ones := s[0]-'0', s[1]-'0'
	return int(tens)*10 + int(ones), tens <= 9 && ones <= 9
}

func isLeap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

func daysIn(year, month int) int {
	switch month {
	case 2:
		if isLeap(year) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSinceEpoch counts the days from 1970-01-01 to a day of the Gregorian calendar, year 0 to 9999. Years begin in
// March here, so that the leap day is their last.
func daysSinceEpoch(year, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	y := int64(year)
	leaps := y/4 - y/100 + y/400
	if y < 0 { // January and February of year 0
		leaps = -1
	}
	return y*365 + leaps + int64((153*(month-3)+2)/5) + int64(day) - 719469
}
