package codecs

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"github.com/brotally/brotally/tables"
)

// packVersion is the first byte of every pack. A reader refuses versions that it does not know.
const packVersion = 1

// Pack is one record of a partials topic: many keys' partials for one stage-2 partition, and how far they bring the
// table with respect to one source partition. When partials fill several packs, only the last one carries progress, so
// that progress never runs ahead of what it speaks of.
//
// From ties reports together: each begins where the one before ended, less what was lost. So the reader notices when one
// came twice or never.
type Pack struct {
	Source   Source
	From     int64     // the report is of the source's offsets [From, Progress.Upto); 0 without Progress
	Progress *Progress // nil where a further pack of the interval follows
	Partials []byte    // see [AppendPartial]
}

// Append appends the pack in binary.
func (p Pack) Append(b []byte) []byte {
	b = append(b, packVersion)
	b = binary.AppendUvarint(b, uint64(len(p.Source.Topic)))
	b = append(b, p.Source.Topic...)
	b = binary.AppendUvarint(b, uint64(p.Source.Partition))
	if p.Progress == nil {
		b = append(b, 0)
	} else {
		b = p.Progress.Append(binary.AppendVarint(append(b, 1), p.From))
	}
	return append(b, p.Partials...)
}

// ReadPack reads what [Pack.Append] wrote; Partials aliases b.
func ReadPack(b []byte) (p Pack, err error) {
	if len(b) == 0 {
		return p, fmt.Errorf("read pack: %w", errShort)
	}
	if b[0] != packVersion {
		return p, fmt.Errorf("read pack: format version %d is unknown, this program knows up to %d: update it", b[0], packVersion)
	}
	b = b[1:]
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return p, fmt.Errorf("read pack: %w", errShort)
	}
	p.Source.Topic, b = string(b[n:n+int(size)]), b[n+int(size):]
	partition, n := binary.Uvarint(b)
	if n <= 0 || partition > math.MaxInt32 {
		return p, fmt.Errorf("read pack: bad source partition")
	}
	p.Source.Partition = int32(partition)
	if b = b[n:]; len(b) == 0 {
		return p, fmt.Errorf("read pack: %w", errShort)
	}
	hasProgress := b[0] != 0
	p.Partials = b[1:]
	if hasProgress {
		from, n := binary.Varint(p.Partials)
		if n <= 0 {
			return p, fmt.Errorf("read pack: %w", errShort)
		}
		p.From, p.Progress = from, new(Progress)
		if *p.Progress, p.Partials, err = ReadProgress(p.Partials[n:]); err != nil {
			return p, fmt.Errorf("read pack: progress: %w", err)
		}
	}
	return p, nil
}

// AppendPartial appends one key's partial to a pack's partials.
func AppendPartial(b []byte, t *tables.Table, key string, s tables.State) []byte {
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = append(b, key...)
	return t.AppendState(b, s)
}

// MergePartials adds a pack's partials to groups. scratch is a state of t's that it overwrites. late is called with those that come too
// late when the table's clock stands there, and how many records they are of, see [tables.Table.Late]; a key is valid during the call.
func MergePartials(partials []byte, t *tables.Table, groups *tables.Groups, scratch tables.State, clock int64, late func(key string, records int64)) (err error) {
	closes := t.HasClock()
	for len(partials) > 0 {
		size, n := binary.Uvarint(partials)
		if n <= 0 || size > uint64(len(partials)-n) {
			return fmt.Errorf("read partial: key %w", errShort)
		}
		key := partials[n : n+int(size)]
		if partials, err = t.ReadState(partials[n+int(size):], scratch); err != nil {
			return fmt.Errorf("read partial: %w", err)
		}
		if closes {
			text := unsafe.String(unsafe.SliceData(key), len(key))
			n, tooLate, err := t.Late(text, scratch, clock) // it keeps nothing of it
			if err != nil {
				return fmt.Errorf("read partial: %w", err)
			}
			if tooLate && n > 0 {
				late(text, n)
			}
		}
		state, _ := groups.Upsert(key)
		t.Merge(state, scratch)
	}
	return nil
}
