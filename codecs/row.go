package codecs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/brotally/brotally/tables"
)

// rowVersion is the first byte of every value in a group table's changelog.
const rowVersion = 1

// AppendRow appends a row as the changelog holds it. The values that it counts with count(DISTINCT ..) are records of
// their own, see [AppendValueKey].
func AppendRow(b []byte, t *tables.Table, s tables.State) []byte {
	return t.AppendRow(append(b, rowVersion), s)
}

// ReadRow reads what [AppendRow] wrote into s.
func ReadRow(b []byte, t *tables.Table, s tables.State) error {
	b, err := rowBody(b)
	if err != nil {
		return err
	}
	if rest, err := t.ReadRow(b, s); err != nil {
		return fmt.Errorf("read row: %w", err)
	} else if len(rest) > 0 {
		return fmt.Errorf("read row: %d bytes too many", len(rest))
	}
	return nil
}

func rowBody(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("read row: %w", errShort)
	}
	if b[0] != rowVersion {
		return nil, fmt.Errorf("read row: format version %d is unknown, this program knows up to %d: update it", b[0], rowVersion)
	}
	return b[1:], nil
}

// InternalPrefix begins the keys of a group table that are not groups. No group's key begins with a backslash.
const InternalPrefix = `\#`

// AppendOtherKey appends the result's key of the row that has what is above MAX GROUPS in a partition.
func AppendOtherKey(b []byte, partition int32) []byte {
	return strconv.AppendInt(append(append(b, tables.OtherKey...), '/'), int64(partition), 10)
}

const progressPrefix = InternalPrefix + "progress/"

// IsInternal reports whether a group table's key is one of ours rather than a group's.
func IsInternal(key []byte) bool { return len(key) > 1 && key[0] == '\\' && key[1] == '#' }

// ProgressKey returns the group table's key of a source partition's progress.
func ProgressKey(s Source) string {
	return progressPrefix + s.Topic + "/" + strconv.Itoa(int(s.Partition))
}

// ParseProgressKey reads what [ProgressKey] wrote; ok is false for any other key.
func ParseProgressKey(key string) (s Source, ok bool) {
	name, ok := strings.CutPrefix(key, progressPrefix)
	slash := strings.LastIndexByte(name, '/')
	if !ok || slash < 0 {
		return s, false
	}
	partition, err := strconv.ParseInt(name[slash+1:], 10, 32)
	return Source{Topic: name[:slash], Partition: int32(partition)}, err == nil && partition >= 0
}

// AppendProgressRow appends a progress row's value.
func AppendProgressRow(b []byte, p Progress) []byte { return p.Append(append(b, rowVersion)) }

// ReadProgressRow reads what [AppendProgressRow] wrote.
func ReadProgressRow(b []byte) (p Progress, err error) {
	if b, err = rowBody(b); err != nil {
		return p, err
	}
	if p, b, err = ReadProgress(b); err != nil {
		return p, fmt.Errorf("read progress: %w", err)
	}
	if len(b) > 0 {
		return p, fmt.Errorf("read progress: %d bytes too many", len(b))
	}
	return p, nil
}

// PublishedKey is the group table's key of what the partition's results are of, see [AppendPublishedRow].
const PublishedKey = InternalPrefix + "published"

// AppendPublishedRow appends the value of [PublishedKey]: a mark of the definition whose results the result topic has.
func AppendPublishedRow(b []byte, mark string) []byte { return append(append(b, rowVersion), mark...) }

// ReadPublishedRow reads what [AppendPublishedRow] wrote.
func ReadPublishedRow(b []byte) (mark string, err error) {
	b, err = rowBody(b)
	return string(b), err
}

// ClockKey is the group table's key of how far the table's clock stands in the partition, see [AppendClockRow].
const ClockKey = InternalPrefix + "clock"

// Clock is how far a table's clock stands in a partition.
type Clock struct {
	Time int64 // in microseconds since the Unix epoch, or one of [tables.NoClock] and [tables.EndOfTime]
	Left bool  // there are rows whose time has come by then and that are neither closed nor removed yet
}

// AppendClockRow appends the value of [ClockKey].
func AppendClockRow(b []byte, c Clock) []byte {
	left := byte(0)
	if c.Left {
		left = 1
	}
	return binary.AppendVarint(append(b, rowVersion, left), c.Time)
}

// ReadClockRow reads what [AppendClockRow] wrote.
func ReadClockRow(b []byte) (c Clock, err error) {
	if b, err = rowBody(b); err != nil {
		return c, err
	}
	if len(b) == 0 || b[0] > 1 {
		return c, errors.New("read clock: no such thing")
	}
	at, n := binary.Varint(b[1:])
	if n <= 0 || n != len(b)-1 {
		return c, errors.New("read clock: no such time")
	}
	return Clock{at, b[0] == 1}, nil
}

const valuePrefix = InternalPrefix + "distinct/"

// AppendValueKey appends the group table's key of a value that the count(DISTINCT ..) of that number has counted in a row. row is
// the key under which the row's values are recorded, see [tables.Updater.RecordValues].
func AppendValueKey[K string | []byte](b []byte, number int, row K, value []byte) []byte {
	b = append(b, valuePrefix...)
	b = binary.AppendUvarint(b, uint64(number))
	b = binary.AppendUvarint(b, uint64(len(row)))
	b = append(b, row...)
	return append(b, value...)
}

// ParseValueKey reads what [AppendValueKey] wrote; row and value alias key. ok is false for any other key.
func ParseValueKey(key []byte) (number int, row, value []byte, ok bool) {
	rest, ok := bytes.CutPrefix(key, []byte(valuePrefix))
	if !ok {
		return 0, nil, nil, false
	}
	which, n := binary.Uvarint(rest)
	if n <= 0 || which > math.MaxInt32 {
		return 0, nil, nil, false
	}
	rest = rest[n:]
	size, n := binary.Uvarint(rest)
	if n <= 0 || size > uint64(len(rest)-n) {
		return 0, nil, nil, false
	}
	return int(which), rest[n : n+int(size)], rest[n+int(size):], true
}

// AppendValueRow appends the value of a record that says nothing but that its key is there.
func AppendValueRow(b []byte) []byte { return append(b, rowVersion) }

// ReadValueRow checks what [AppendValueRow] wrote.
func ReadValueRow(b []byte) error {
	b, err := rowBody(b)
	if err == nil && len(b) > 0 {
		err = fmt.Errorf("read value: %d bytes too many", len(b))
	}
	return err
}
