package kafka

import (
	"strings"

	"github.com/brotally/brotally/internal/fault"
)

// The names of what belongs to one App. All of them begin with it, so that one rule for prefixed resources covers them.

// Prefix begins the names of all that belongs to the app, but for results.
func (c Config) Prefix() string { return c.App + "-" }

// CatalogTopic is where the definitions of the running tables are.
func (c Config) CatalogTopic() string { return c.App + "-catalog" }

// DeadLetterTopic is where records go that cannot be decoded.
func (c Config) DeadLetterTopic() string { return c.App + "-dead-letter" }

// ReplayTopic is where the dead letters of a topic come again.
func (c Config) ReplayTopic(topic string) string { return c.App + "-replay-" + topic }

// ReplayID is the transactional id of whoever replays dead letters: there is one at a time.
func (c Config) ReplayID() string { return c.App + "-replay" }

// CombineGroup is the consumer group of a pass.
func (c Config) CombineGroup(pass string) string { return c.App + "-combine-" + pass }

// TableGroup is the consumer group, and Goka's group, of a table's stage 2. Here and below table is its [Entry.Own].
func (c Config) TableGroup(table string) string { return c.App + "-" + table }

// PartialsTopic carries a table's packs from stage 1 to stage 2.
func (c Config) PartialsTopic(table string) string { return c.App + "-" + table + "-partials" }

// ChangelogTopic backs a table's group table; Goka fixes the suffix.
func (c Config) ChangelogTopic(table string) string { return c.App + "-" + table + "-table" }

// stageOf says whose a transactional id is, for crash tests.
func stageOf(transactionalID string) string {
	if strings.Contains(transactionalID, "-combine-") {
		return fault.StageCombine
	}
	return fault.StageGroup
}
