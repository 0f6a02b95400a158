package grouptable

import (
	"slices"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/tables"
)

// recovering begins to read the changelog: values are held apart until all is read. The caller of this, recover and recovered
// holds the lock.
func (p *Partition) recovering() (err error) {
	p.whole = false                 // what comes may be older than what this process wrote itself
	if p.values && p.loose == nil { // else the last recovery ended early
		p.loose, err = p.table.NewValues(p.rows, p.left)
		p.left = nil
	}
	return err
}

// recover takes in one record.
func (p *Partition) recover(key, value []byte) error {
	if p.values && codecs.IsInternal(key) {
		if number, row, member, ok := codecs.ParseValueKey(key); ok {
			if value != nil {
				if err := codecs.ReadValueRow(value); err != nil {
					return err
				}
			}
			return p.loose.Set(row, number, member, value != nil)
		}
	}
	return p.apply(key, value)
}

// recovered gives the rows their values. What is left then is to be deleted still.
func (p *Partition) recovered() (err error) {
	if p.values {
		p.left, err = p.loose.Return(p.rows)
		p.loose = nil
	}
	p.whole = err == nil
	return err
}

// Leave notes records of values that are to be deleted.
func (p *Partition) Leave(left ...tables.Leftover) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = append(p.left, left...)
}

// ForgetRows drops all such values of rows that are gone, and calls gone with the key of each one's record: such a row may come again, with
// the same values, before their turn would be. No session has those of another one.
func (p *Partition) ForgetRows(rows map[string]bool, gone func(key []byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = slices.DeleteFunc(p.left, func(l tables.Leftover) bool {
		if !rows[l.Key()] {
			return false
		}
		l.Take(l.Len(), func(row string, number int, value []byte) { gone(codecs.AppendValueKey(nil, number, row, value)) })
		return true
	})
}

// Forget drops up to most such values and calls gone with the key of each one's record. What is left is for the next time:
// a hundred thousand values of many rows at once would be more than a transaction takes.
func (p *Partition) Forget(most int, gone func(key []byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.left) > 0 && most > 0 {
		n := p.left[0].Take(most, func(row string, number int, value []byte) {
			gone(codecs.AppendValueKey(nil, number, row, value))
		})
		if n < most {
			p.left = p.left[1:]
		}
		most -= n
	}
}
