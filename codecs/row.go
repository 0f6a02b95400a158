package codecs

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/brotally/brotally/tables"
)

// rowVersion is the first byte of every value in a group table's changelog.
const rowVersion = 1

// AppendRow appends a row as the changelog holds it.
func AppendRow(b []byte, t *tables.Table, s tables.State) []byte {
	return t.AppendState(append(b, rowVersion), s)
}

// ReadRow reads what [AppendRow] wrote into s.
func ReadRow(b []byte, t *tables.Table, s tables.State) error {
	b, err := rowBody(b)
	if err != nil {
		return err
	}
	if rest, err := t.ReadState(b, s); err != nil {
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
