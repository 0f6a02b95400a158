package grafana

// Dashboards returns the dashboards by the names of their files.
func Dashboards() map[string]*Dashboard {
	return map[string]*Dashboard{"operation": operation(), "tables": tables()}
}

// operation is for who runs Brotally: does it keep up, does it fail, what does it take.
func operation() *Dashboard {
	d := newDashboard("brotally-operation", "Brotally: operation", "Does it keep up, does it fail, what does it take. docs/OPERATIONS.md explains the metrics.")

	d.number("Instances", "Instances that Prometheus reaches.", "none", `sum(up{job="brotally"})`, 1, 0.5)
	d.number("Records/s", "Read and committed, over all feeds.", "none", `sum(rate(brotally_records_read_total[$__rate_interval]))`, 0, 0)
	d.number("Lag", "Records that are in the source topics and not yet committed.", "short", `sum(brotally_lag_records)`, 100_000, 1_000_000)
	d.number("Oldest view", "How long ago stage 1 last reported to the view that is furthest behind; also idle it reports each second.", "s",
		`max(time() - brotally_view_heard_timestamp_seconds)`, 10, 60)
	d.number("Dead letters, 1 h", "Records that are no JSON object.", "short", `sum(increase(brotally_dead_letters_total[1h]))`, 1, 1000)
	d.number("Stages that do not run", "Of all instances.", "none", `count(brotally_stage_state{state="running"} == 0) or vector(0)`, 1, 2)

	d.row("Sources")
	d.graph("Records/s by feed", "Read and committed.", "none",
		query{`sum by (feed, topic) (rate(brotally_records_read_total[$__rate_interval]))`, "{{feed}} {{topic}}"})
	d.graph("Lag by feed", "Records that are there and not yet committed.", "short",
		query{`sum by (feed, topic) (brotally_lag_records)`, "{{feed}} {{topic}}"})
	d.graph("Seconds to catch up", "Lag over the rate at which it is read.", "s",
		query{`sum by (feed, topic) (brotally_lag_records) / clamp_min(sum by (feed, topic) (rate(brotally_records_read_total[5m])), 1)`, "{{feed}} {{topic}}"})
	d.graph("Age of the newest record", "Time now, less the newest time in the feed's records: the sensor's delay, Kafka's and ours, or a feed that is silent.", "s",
		query{`time() - max by (feed, topic) (brotally_source_event_timestamp_seconds)`, "{{feed}} {{topic}}"})
	d.graph("Dead letters/s", "By reason.", "none",
		query{`sum by (feed, topic, reason) (rate(brotally_dead_letters_total[$__rate_interval]))`, "{{feed}} {{topic}} {{reason}}"})
	d.graph("Bad fields/s and records lost", "Fields of the wrong type, which are NULL; offsets that retention removed before they were read.", "none",
		query{`sum by (feed, topic) (rate(brotally_bad_fields_total[$__rate_interval]))`, "{{feed}} {{topic}} bad fields"},
		query{`sum by (feed, topic) (rate(brotally_records_lost_total[$__rate_interval]))`, "{{feed}} {{topic}} lost"})

	d.row("Commits")
	d.graph("Commits/s", "Of each stage: combine is 1, group is 2.", "none",
		query{`sum by (stage) (rate(brotally_commit_seconds_count[$__rate_interval]))`, "{{stage}}"})
	d.graph("Duration of a commit", "A transaction that takes ten seconds is given up.", "s",
		query{`histogram_quantile(0.5, sum by (stage, le) (rate(brotally_commit_seconds_bucket[$__rate_interval])))`, "{{stage}} p50"},
		query{`histogram_quantile(0.99, sum by (stage, le) (rate(brotally_commit_seconds_bucket[$__rate_interval])))`, "{{stage}} p99"})
	d.graph("Transaction and interval", "How long a Kafka transaction takes, and how far apart commits begin; on average.", "s",
		query{`sum by (stage) (rate(brotally_transaction_seconds_sum[$__rate_interval])) / sum by (stage) (rate(brotally_transaction_seconds_count[$__rate_interval]))`, "{{stage}} transaction"},
		query{`sum by (stage) (rate(brotally_commit_interval_seconds_sum[$__rate_interval])) / sum by (stage) (rate(brotally_commit_interval_seconds_count[$__rate_interval]))`, "{{stage}} interval"})
	d.graph("Failures and rebalances", "In ten minutes: commits that were rolled back, stages that were built anew, sessions of consumer groups.", "none",
		query{`sum by (stage) (increase(brotally_commit_failures_total[10m]))`, "{{stage}} commits failed"},
		query{`sum by (stage, class) (increase(brotally_stage_failures_total[10m]))`, "{{stage}} built anew, {{class}}"},
		query{`sum by (stage) (increase(brotally_rebalances_total[10m]))`, "{{stage}} rebalances"})
	d.graph("Partitions by instance", "How the work is shared.", "none",
		query{`sum by (instance, stage) (brotally_stage_partitions)`, "{{instance}} {{stage}}"})
	d.graph("Partials waiting", "Offsets between the stages, transaction markers included: with nothing left, one a partition.", "short",
		query{`sum by (table) (brotally_partials_lag_records)`, "{{table}}"})

	d.row("Tables and views")
	d.graph("Groups", "Of each table, over all instances.", "short", query{`sum by (table) (brotally_table_groups)`, "{{table}}"})
	d.graph("Memory of rows", "Stage 2's and the views', estimated.", "bytes",
		query{`sum by (instance) (brotally_table_bytes)`, "{{instance}} stage 2"},
		query{`sum by (instance) (brotally_view_bytes)`, "{{instance}} views"})
	d.graph("Last word of stage 1", "Grows when a table is not kept up to date any more.", "s",
		query{`max by (table) (time() - brotally_table_heard_timestamp_seconds)`, "{{table}}"},
		query{`max by (table) (time() - brotally_view_heard_timestamp_seconds)`, "{{table}} view"})
	d.graph("Still to restore", "Offsets of the changelog that views have to read before they answer, and stage 2 before it counts on.", "short",
		query{`max by (table, instance) (brotally_view_restore_remaining_records)`, "{{table}} {{instance}}"},
		query{`max by (table, instance) (brotally_table_restore_remaining_records)`, "{{table}} {{instance}} stage 2"},
		query{`sum by (table) (rate(brotally_table_restored_records_total[$__rate_interval]))`, "{{table}} stage 2, read/s"})

	d.row("Look-ups")
	d.graph("Requests/s", "By route and status.", "none",
		query{`sum by (route, code) (rate(brotally_http_requests_total[$__rate_interval]))`, "{{route}} {{code}}"})
	d.graph("Duration of requests", "99 of 100 are faster.", "s",
		query{`histogram_quantile(0.99, sum by (route, le) (rate(brotally_http_request_seconds_bucket[$__rate_interval])))`, "{{route}}"},
	)

	d.row("Process")
	d.graph("Memory", "Resident, and what the heap has in use.", "bytes",
		query{`process_resident_memory_bytes{job="brotally"}`, "{{instance}} resident"},
		query{`go_memstats_heap_inuse_bytes{job="brotally"}`, "{{instance}} heap"})
	d.graph("CPU", "Cores in use.", "none", query{`rate(process_cpu_seconds_total{job="brotally"}[$__rate_interval])`, "{{instance}}"})
	d.graph("Goroutines and files", "Either grows only if something leaks.", "short",
		query{`go_goroutines{job="brotally"}`, "{{instance}} goroutines"},
		query{`process_open_fds{job="brotally"}`, "{{instance}} files"})
	d.graph("Look-ups that scan", "At once; further ones wait for their turn.", "none", query{`brotally_lookups_scanning`, "{{instance}}"})
	return d
}
