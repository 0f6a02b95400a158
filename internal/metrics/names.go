package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Metric describes one of our metrics.
type Metric struct {
	Name   string
	Kind   string // "counter", "gauge" or "histogram"
	Labels []string
	Help   string

	desc    *prometheus.Desc
	buckets []float64 // of a histogram, in seconds
}

// all are the metrics in the order in which they are documented.
var all []*Metric

// All returns our metrics; those of the Go runtime and of the process come on top.
func All() []*Metric { return all }

func add(kind, name, help string, labels []string) *Metric {
	m := &Metric{Name: "brotally_" + name, Kind: kind, Labels: labels, Help: help}
	m.desc = prometheus.NewDesc(m.Name, help, labels, nil)
	all = append(all, m)
	return m
}

func counter(name, help string, labels ...string) *Metric { return add("counter", name, help, labels) }
func gauge(name, help string, labels ...string) *Metric   { return add("gauge", name, help, labels) }

func histogram(name, help string, buckets []float64, labels ...string) *Metric {
	m := add("histogram", name, help, labels)
	m.buckets = buckets
	return m
}

func (m *Metric) histogramVec() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: m.Name, Help: m.Help, Buckets: m.buckets}, m.Labels)
}

func (m *Metric) counterVec() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.Name, Help: m.Help}, m.Labels)
}

// Buckets, in seconds. A commit takes some milliseconds; a transaction of more than ten seconds is given up. Intervals lie
// between 20 ms and a second.
var (
	commitBuckets   = []float64{.002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10}
	intervalBuckets = []float64{.02, .03, .05, .1, .2, .5, 1, 2, 5}
	requestBuckets  = []float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1, 5, 10}
)

// Of the program.
var buildInfo = gauge("build_info", "Always 1; its labels say what is running.", "version", "commit", "go", "goka", "sarama")

// What stage 1 reads. Each instance counts what it has read itself since it started: sum over instances.
var (
	recordsRead = counter("records_read_total", "Records of a source partition that were read and committed.", "pass", "feed", "topic", "partition")
	otherFeed   = counter("records_other_feed_total", "Records among them that are another feed's, in a topic of several.", "pass", "feed", "topic", "partition")
	badFields   = counter("bad_fields_total", "Fields of the wrong type, read as NULL.", "pass", "feed", "topic", "partition")
	lostRecords = counter("records_lost_total", "Offsets that retention had removed before they were read.", "pass", "feed", "topic", "partition")
	skewed      = counter("records_skewed_total", "Records whose time is too far in the future to move the tables' clock.", "pass", "feed", "topic", "partition")
	deadLetters = counter("dead_letters_total", "Records that are no JSON object, sent to the dead-letter topic.", "pass", "feed", "topic", "reason")
	uncopied    = counter("dead_letters_uncopied_total", "Dead letters of a pass that the dead-letter topic does not have: there were too many at once.", "pass", "feed")
	offset      = gauge("source_offset", "Next offset to be read, as last committed.", "pass", "feed", "topic", "partition")
	endOffset   = gauge("source_end_offset", "End of the source partition as last seen.", "pass", "feed", "topic", "partition")
	lagRecords  = gauge("lag_records", "Offsets of a source partition that are there and not yet committed.", "pass", "feed", "topic", "partition")
	sourceTime  = gauge("source_event_timestamp_seconds", "Newest time that a record of the source partition had.", "pass", "feed", "topic", "partition")
)

// What became of the records, for each table and stream. The outcomes add up to what was read.
var (
	tableRecords    = counter("table_records_total", "Records that were read for a table, by what became of them.", "table", "topic", "outcome")
	tableOverflows  = counter("table_overflows_total", "Results of a table's expressions that did not fit, read as NULL.", "table", "topic")
	tableCutKeys    = counter("table_cut_keys_total", "Group columns of a table that were over the limit and cut.", "table", "topic")
	streamRecords   = counter("stream_records_total", "Records that were read for a stream, by what became of them.", "stream", "topic", "outcome")
	streamOverflows = counter("stream_overflows_total", "Results of a stream's expressions that did not fit, read as NULL, and rows that were left out.", "stream", "topic")
	streamCutKeys   = counter("stream_cut_keys_total", "Key columns of a stream that were over the limit and cut.", "stream", "topic")
)

// The stages: combine (1, a group for each pass) and group (2, one for each table).
var (
	stageState         = gauge("stage_state", "1 for the state that the stage is in, 0 for the others.", "stage", "group", "state")
	stageClaims        = gauge("stage_partitions", "Partitions that the stage reads in this instance.", "stage", "group")
	rebalances         = counter("rebalances_total", "Sessions of the consumer group that have begun.", "stage", "group")
	stageFailures      = counter("stage_failures_total", "Times that the stage failed and was built anew, by the error's class.", "stage", "group", "class")
	commitSeconds      = histogram("commit_seconds", "Duration of commits that succeeded: what was taken in made into records, sent, committed.", commitBuckets, "stage", "group")
	transactionTime    = histogram("transaction_seconds", "Duration of their Kafka transactions.", commitBuckets, "stage")
	commitInterval     = histogram("commit_interval_seconds", "Time between the beginnings of two commits.", intervalBuckets, "stage")
	commitFailures     = counter("commit_failures_total", "Commits that failed; their transactions are rolled back, and what they held is read again.", "stage", "group")
	partialsLag        = gauge("partials_lag_records", "Offsets of the table's partials topic that stage 2 has not committed, transaction markers included: with nothing left, one a partition.", "table")
	definitionsWaiting = gauge("definitions_waiting", "Tables and streams that are not started, mostly because their source topics are not there.")
)

// Stage 2's rows: of the partitions that this instance has; sum over instances.
var (
	tableGroups   = gauge("table_groups", "Groups of a table that this instance keeps, those that HAVING hides included.", "table")
	tableBytes    = gauge("table_bytes", "Estimate of the memory that they take.", "table")
	tableTime     = gauge("table_event_timestamp_seconds", "Newest time of a record that is in them.", "table")
	tableClock    = gauge("table_clock_timestamp_seconds", "How far the clock stands that EMIT FINAL, RETENTION and TTL go by, in the partition that is least far.", "table")
	tableLate     = counter("table_late_total", "Records that came when all their windows had closed or gone, in the partitions that this instance has.", "table")
	tableFull     = gauge("table_full_partitions", "Partitions in which MAX GROUPS was reached: further groups are counted in one row.", "table")
	tableDue      = gauge("table_due_partitions", "Partitions with rows whose time has come and that are neither closed nor removed yet.", "table")
	tableHeard    = gauge("table_heard_timestamp_seconds", "When stage 1 last reported to them, of the source partition that is silent for longest. Also idle it does so each second.", "table")
	tableRestored = counter("table_restored_records_total", "Records of the changelog that were read to restore them.", "table")
	tableRestore  = gauge("table_restore_remaining_records", "Offsets of the changelog that are still to be read before the instance counts on.", "table")
)

// The views that answer look-ups: each instance has all of a table.
var (
	viewReady    = gauge("view_ready", "1 when the view has all of its table, 0 while it is restored or waits for the changelog.", "table")
	viewGroups   = gauge("view_groups", "Groups of the table, those that HAVING hides included.", "table")
	viewBytes    = gauge("view_bytes", "Estimate of the memory that they take.", "table")
	viewTime     = gauge("view_event_timestamp_seconds", "as_of: newest time of a record that is in the view.", "table")
	viewHeard    = gauge("view_heard_timestamp_seconds", "as_of: when stage 1 last reported to it, of the source partition that is silent for longest.", "table")
	viewRestore  = gauge("view_restore_remaining_records", "Offsets of the changelog that are still to be read before the view is ready.", "table")
	viewRecords  = counter("view_records_total", "Records that the table reflects since it began, by what became of them. The same in each instance: take the maximum.", "table", "outcome")
	scanning     = gauge("lookups_scanning", "Look-ups that are reading rows now.")
	listening    = gauge("changes_listeners", "Who listens to the changes of tables now.")
	httpRequests = counter("http_requests_total", "HTTP requests by route and status. No route: refused before, by host, origin or token.", "route", "code")
	httpSeconds  = histogram("http_request_seconds", "How long they took; of changes, how long somebody listened.", requestBuckets, "route")
)
