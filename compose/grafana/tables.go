package grafana

// tables is for who reads the tables: how current they are, what is in them and what is not, and their top rows.
func tables() *Dashboard {
	d := newDashboard("brotally-tables", "Brotally: tables", "How current the tables are, what they reflect, and their top rows.")
	d.Templating.List = []Variable{{Name: "table", Label: "Table", Type: "query", Datasource: Source{"prometheus", prometheusUID},
		Query: "label_values(brotally_view_ready, table)", Refresh: 2, Sort: 1}}

	d.number("Groups", "Rows of the table, those that HAVING hides included.", "short", `max(brotally_view_groups{table="$table"})`, 0, 0)
	d.number("Records in it", "That the table counts since it began.", "short", `max(brotally_view_records_total{table="$table", outcome="counted"})`, 0, 0)
	d.number("Records/s", "That it takes in.", "none", `max(rate(brotally_view_records_total{table="$table", outcome="counted"}[$__rate_interval]))`, 0, 0)
	d.number("Newest record", "How old the newest record in it is.", "s", `min(time() - brotally_view_event_timestamp_seconds{table="$table"})`, 300, 3600)
	d.number("Up to date", "When stage 1 last reported; some seconds are normal.", "s", `max(time() - brotally_view_heard_timestamp_seconds{table="$table"})`, 10, 60)
	d.number("Not decodable", "Share of records that are no JSON object.", "percentunit",
		`max(brotally_view_records_total{table="$table", outcome="dead_lettered"}) / clamp_min(sum(max by (outcome) (brotally_view_records_total{table="$table"})), 1)`, 0.001, 0.01)

	d.row("$table")
	d.stacked("What became of the records", "Each record that was read has one outcome: counted, filtered by WHERE, another feed's, without a time for its window, not decodable.", "none",
		query{`max by (outcome) (rate(brotally_view_records_total{table="$table"}[$__rate_interval]))`, "{{outcome}}"})
	d.graph("Groups", "Steep growth: somebody makes up names; see what the table is grouped by.", "short",
		query{`max by (table) (brotally_view_groups{table="$table"})`, "{{table}}"})

	d.row("All tables")
	d.list("Tables", "As Brotally answers at /api/v1/tables.", "/api/v1/tables", "tables", 24, 6,
		text("name"), text("feed"), text("state"), number("groups"), number("bytes"), moment("event_time"))
	d.graph("Age of the newest record", "By table.", "s", query{`min by (table) (time() - brotally_view_event_timestamp_seconds)`, "{{table}}"})
	d.graph("Records/s", "That the tables take in.", "none", query{`max by (table) (rate(brotally_view_records_total{outcome="counted"}[$__rate_interval]))`, "{{table}}"})

	d.row("Top rows")
	d.lookup("Who asks for what", "dns_counts", "SELECT id.orig_h AS host, qtype_name AS type, count FROM dns_counts ORDER BY count DESC LIMIT 20", 12, 10,
		text("host"), text("type"), number("count"))
	d.lookup("Who receives most", "conn_bytes", "SELECT id.orig_h AS host, id.resp_h AS peer, conns, sent, received FROM conn_bytes ORDER BY received DESC NULLS LAST LIMIT 20", 12, 10,
		text("host"), text("peer"), number("conns"), number("sent"), number("received"))
	d.lookup("What the web answered", "http_hosts", "SELECT host, method, status_code AS status, count, bytes, last_seen FROM http_hosts ORDER BY count DESC LIMIT 20", 12, 10,
		text("host"), text("method"), number("status"), number("count"), number("bytes"), moment("last_seen"))
	d.lookup("Which TLS is in use", "ssl_versions", "SELECT version, cipher, count, first_seen, last_seen FROM ssl_versions ORDER BY count DESC LIMIT 20", 12, 10,
		text("version"), text("cipher"), number("count"), moment("first_seen"), moment("last_seen"))
	return d
}
