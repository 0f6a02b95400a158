// Package fault lets the crash tests kill a process at a named point, or take one protection away to show that the tests
// would notice. A normal build has none of it: every function is an empty one that the compiler removes. Only
//
//	go build -tags faults ./cmd/brotally
//
// builds a program that listens to BROTALLY_FAULT (see [Point]), BROTALLY_UNPROTECTED (see [Off]) and BROTALLY_DISTINCT (see
// [Distinct]).
package fault

// The stages that a point belongs to.
const (
	StageCombine = "combine" // stage 1
	StageGroup   = "group"   // stage 2
)

// Points at which a process can be killed.
const (
	Sent         = "sent"          // the interval's records are acknowledged; its offsets are not part of the transaction yet
	OffsetsAdded = "offsets-added" // the offsets are part of the transaction, which is not ended
	CommitSent   = "commit-sent"   // the transaction's end is on its way, its answer not in
	Committed    = "committed"     // the transaction is through; the process has not acted on it yet
	Recovering   = "recovering"    // in the middle of a group table's recovery
	FirstCommit  = "first-commit"  // about to commit for the first time after a rebalance
)

// Protections that can be taken away.
const (
	Transactions    = "transactions"              // records and offsets are written without a transaction
	FlushFirst      = "flush-first"               // the offsets are committed before the records are sent
	RecoverToHighWM = "recover-to-high-watermark" // recovery stops at the last stable offset
)
