package feeds

// The sensor about itself.

var _ = register(newFeed("capture_loss", "how much traffic was missed in an interval",
	[]Column{
		col("ts", instant, "when the interval ended"),
		col("ts_delta", seconds, "how long it was"),
		col("peer", str, "the sensor process"),
		col("gaps", count, "acknowledged data that was never seen"),
		col("acks", count, "acknowledgements seen"),
		col("percent_lost", double, "gaps in percent of acks"),
	},
))

var _ = register(newFeed("stats", "what the sensor had to do in an interval",
	[]Column{
		col("ts", instant, "when the interval ended"),
		col("peer", str, "the sensor process"),
		col("mem", count, "memory in use, in MB"),
		col("pkts_proc", count, "packets processed"),
		col("bytes_recv", count, "bytes received"),
		col("pkts_dropped", count, "packets dropped"),
		col("pkts_link", count, "packets on the wire"),
		col("pkt_lag", seconds, "how far packets are behind the clock", "lag"),
		col("pkts_filtered", count, "packets that the filter took out (6.0 and later)"),
		col("events_proc", count, "events processed"),
		col("events_queued", count, "events put in the queue"),
		col("active_tcp_conns", count, "TCP connections in memory"),
		col("active_udp_conns", count, "UDP connections in memory"),
		col("active_icmp_conns", count, "ICMP connections in memory"),
		col("tcp_conns", count, "TCP connections seen"),
		col("udp_conns", count, "UDP connections seen"),
		col("icmp_conns", count, "ICMP connections seen"),
		col("timers", count, "timers set"),
		col("active_timers", count, "timers that wait"),
		col("files", count, "files seen"),
		col("active_files", count, "files in memory"),
		col("dns_requests", count, "names looked up by the sensor"),
		col("active_dns_requests", count, "look-ups that wait"),
		col("reassem_tcp_size", count, "bytes held to put TCP streams together"),
		col("reassem_file_size", count, "bytes held to put files together"),
		col("reassem_frag_size", count, "bytes held to put fragments together"),
		col("reassem_unknown_size", count, "bytes held to put other things together"),
		col("pkts_recv", count, "packets received (to 2.4)"),
	},
))

var _ = register(newFeed("reporter", "one message of the sensor about its own troubles",
	[]Column{
		col("ts", instant, "when it was written"),
		col("level", str, "Reporter::INFO, Reporter::WARNING or Reporter::ERROR"),
		col("message", str, "its text"),
		col("location", str, "where in the scripts it comes from"),
	},
))

var _ = register(newFeed("config", "one setting that was changed while the sensor ran",
	[]Column{
		col("ts", instant, "when it was changed"),
		col("id", str, "the setting's name"),
		col("old_value", str, "its value before"),
		col("new_value", str, "its value now"),
		col("location", str, "where the change comes from"),
	},
))

var _ = register(newFeed("loaded_scripts", "one script that the sensor has loaded",
	[]Column{col("name", str, "its path, indented by how deep it is loaded")},
))

var _ = register(newFeed("packet_filter", "one filter that was set for packets",
	[]Column{
		col("ts", instant, "when it was set"),
		col("node", str, "the sensor process"),
		col("filter", str, "the filter, as tcpdump writes them"),
		col("init", boolean, "it was set at the start"),
		col("success", boolean, "it works"),
		col("failure_reason", str, "why not (6.0 and later)"),
	},
))

var _ = register(newFeed("cluster", "one message between the processes of a sensor",
	[]Column{
		col("ts", instant, "when it was written"),
		col("node", str, "the process"),
		col("message", str, "its text"),
	},
))

var _ = register(newFeed("broker", "one event between the sensor's processes",
	[]Column{
		col("ts", instant, "when it happened"),
		col("ty", str, "how bad it is: Broker::STATUS, Broker::ERROR"),
		col("ev", str, "what happened: peer-added"),
		col("peer.address", str, "the other process' host"),
		col("peer.bound_port", port, "the other process' port"),
		col("message", str, "more in words"),
	},
))

var _ = register(newFeed("communication", "one event between the sensor's processes (to 2.5)",
	[]Column{
		col("ts", instant, "when it happened"),
		col("peer", str, "the process that writes it"),
		col("src_name", str, "the part of it"),
		col("connected_peer_desc", str, "the other process"),
		col("connected_peer_addr", addr, "its address"),
		col("connected_peer_port", port, "its port"),
		col("level", str, "how bad it is: info, error"),
		col("message", str, "what happened"),
	},
))

var _ = register(newFeed("print", "one print statement of a script",
	[]Column{
		col("ts", instant, "when it was executed"),
		col("vals", texts, "what it printed"),
	},
))

var _ = register(newFeed("telemetry", "one measurement of the sensor",
	[]Column{
		col("ts", instant, "when it was taken"),
		col("peer", str, "the sensor process"),
		col("metric_type", str, "counter or gauge"),
		col("name", str, "what is measured: zeek_active_sessions"),
		col("labels", texts, "names of its labels"),
		col("label_values", texts, "values of its labels"),
		col("value", double, "the value"),
	},
))

var _ = register(newFeed("telemetry_histogram", "one distribution measured by the sensor",
	[]Column{
		col("ts", instant, "when it was taken"),
		col("peer", str, "the sensor process"),
		col("name", str, "what is measured"),
		col("labels", texts, "names of its labels"),
		col("label_values", texts, "values of its labels"),
		col("bounds", doubles, "the upper bounds of the bins"),
		col("values", doubles, "how many values are in each bin"),
		col("sum", double, "the sum of all values"),
		col("observations", double, "how many values there are"),
	},
))

var _ = register(newFeed("app_stats", "use of one web application in an interval (to 2.6)",
	[]Column{
		col("ts", instant, "when the interval ended"),
		col("ts_delta", seconds, "how long it was"),
		col("app", str, "the application: youtube"),
		col("uniq_hosts", count, "hosts that used it"),
		col("hits", count, "visits"),
		col("bytes", count, "bytes transferred"),
	},
))
