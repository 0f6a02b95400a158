package feeds

// What the sensor's protocol and file analyzers could not make sense of.

var _ = register(newFeed("analyzer", "one analyzer that gave up on its input (from 6.0)",
	[]Column{
		col("ts", instant, "when it gave up"),
		col("cause", str, "why it is logged: violation (to 7)"),
		col("analyzer_kind", str, "protocol, file or packet"),
		col("analyzer_name", str, "the analyzer: SSL, PE"),
	},
	connectionColumns[1:2],
	[]Column{col("fuid", str, "the file it looked at")},
	connectionColumns[2:],
	[]Column{
		col("proto", str, "tcp, udp or icmp"),
		col("failure_reason", str, "what it stumbled over"),
		col("failure_data", str, "the bytes it stumbled over"),
		col("packet_segment", str, "the packet it stumbled over (policy script)"),
	},
))

var _ = register(newFeed("analyzer_debug", "one thing that happened to an analyzer (policy script)",
	[]Column{
		col("ts", instant, "when it happened"),
		col("cause", str, "what happened: confirmation, violation, disabled"),
		col("analyzer_kind", str, "protocol, file or packet"),
		col("analyzer_name", str, "the analyzer: SSL, PE"),
	},
	connectionColumns[1:2],
	[]Column{col("fuid", str, "the file it looked at")},
	connectionColumns[2:],
	[]Column{
		col("failure_reason", str, "what it stumbled over"),
		col("failure_data", str, "the bytes it stumbled over"),
	},
))

var _ = register(newFeed("dpd", "one connection that is not of its protocol (to 7)",
	connectionColumns,
	[]Column{
		col("proto", str, "tcp, udp or icmp"),
		col("analyzer", str, "the analyzer that gave up: SSL"),
		col("failure_reason", str, "what it stumbled over"),
		col("packet_segment", str, "the packet it stumbled over (policy script)"),
	},
))

var _ = register(newFeed("unknown_protocols", "one protocol number that no analyzer is there for",
	[]Column{
		col("ts", instant, "when it was seen"),
		col("analyzer", str, "the analyzer that met the number: ETHERNET, IP"),
		col("protocol_id", str, "the number, in hexadecimal"),
		col("protocol_id_num", count, "the number (8.1 and later)"),
		col("first_bytes", str, "the first bytes of what it announced, in hexadecimal"),
		col("analyzer_history", texts, "the analyzers that had been at the packet (8.0 and later)"),
	},
))
