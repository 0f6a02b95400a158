package grouptable

import (
	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// Partitioner says in which partition a group lives: the one that Java's default partitioner gives the result's key, so that
// partials, group table and result topic agree with each other and with every other client. Where there are windows, it goes by
// the group columns alone: all windows of a group lie in one partition. It is not safe for concurrent use.
type Partitioner struct {
	table  *tables.Table
	values []feeds.Value
	text   []byte
}

// NewPartitioner returns a Partitioner of t's groups.
func NewPartitioner(t *tables.Table) *Partitioner { return &Partitioner{table: t} }

// Of returns the partition of a group's key, one of partitions. The error says that the key is not one of the table's.
func (p *Partitioner) Of(key string, partitions int32) (int32, error) {
	var err error
	if p.values, err = p.table.KeyValues(key, p.values[:0]); err != nil {
		return 0, err
	}
	p.text = codecs.AppendResultKey(p.text[:0], p.table, p.values[:p.table.GroupColumns()])
	return kafka.Partition(p.text, partitions), nil
}
