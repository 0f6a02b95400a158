package feeds

// What the sensor thinks somebody should look at.

// noticeColumns are those of a notice.
var noticeColumns = [][]Column{
	connectionColumns,
	{
		col("fuid", str, "the file it is about"),
		col("file_mime_type", str, "the file's media type"),
		col("file_desc", str, "the file in words: where it was"),
		col("proto", str, "tcp, udp or icmp"),
		col("note", str, "the kind: SSH::Password_Guessing"),
		col("msg", str, "what happened, in words"),
		col("sub", str, "more in words"),
		col("src", addr, "who did it"),
		col("dst", addr, "to whom"),
		col("p", port, "at which port"),
		col("n", count, "how often, or a status code"),
		col("peer_descr", str, "the sensor process that noticed it"),
		col("actions", texts, "what is done about it: Notice::ACTION_LOG"),
		col("email_dest", texts, "whom a mail is sent to (5.0 and later)"),
		col("suppress_for", seconds, "how long the same is not noticed again"),
	},
	within("remote_location", location),
	{
		col("dropped", boolean, "the source was blocked"),
		col("community_id", str, "the flow's Community ID hash (policy script)"),
		col("policy_items", counts, "the rules that applied (Bro 2.0 and 2.1)"),
		col("metric_index.host", addr, "the host that was measured (Bro 2.0 and 2.1)"),
		col("metric_index.str", str, "the text that was measured (Bro 2.0 and 2.1)"),
		col("metric_index.network", T(Subnet), "the network that was measured (Bro 2.0 and 2.1)"),
	},
}

// location is where an address is, as far as that is known.
var location = []Column{
	col("country_code", str, "the remote address' country: DE"),
	col("region", str, "the remote address' region"),
	col("city", str, "the remote address' city"),
	col("latitude", double, "the remote address' latitude, in degrees"),
	col("longitude", double, "the remote address' longitude, in degrees"),
}

var (
	_ = register(newFeed("notice", "one thing that somebody should know of", noticeColumns...))
	_ = register(newFeed("notice_alarm", "one notice that is also sent as an alarm", noticeColumns...))
)

var _ = register(newFeed("intel", "one sighting of an indicator on the site's lists",
	connectionColumns,
	[]Column{
		col("seen.indicator", str, "the indicator: an address, a name, a hash", "seen.str"),
		col("seen.indicator_type", str, "what it is: Intel::DOMAIN", "seen.str_type"),
		col("seen.where", str, "where it was seen: DNS::IN_REQUEST"),
		col("seen.node", str, "the sensor process that saw it"),
		col("matched", texts, "the kinds of indicator that matched: Intel::DOMAIN"),
		col("sources", texts, "the lists it is on"),
		col("fuid", str, "the file it was seen in"),
		col("file_mime_type", str, "the file's media type"),
		col("file_desc", str, "the file in words: where it was"),
		col("cif.tags", str, "the list's tags (policy script)"),
		col("cif.confidence", double, "how sure the list is, 0 to 100 (policy script)"),
		col("cif.source", str, "where the list has it from (policy script)"),
		col("cif.description", str, "the list's description (policy script)"),
		col("cif.firstseen", str, "when the list first had it (policy script)"),
		col("cif.lastseen", str, "when the list last had it (policy script)"),
	},
))

var _ = register(newFeed("signatures", "one match of a byte signature",
	[]Column{
		col("ts", instant, "when it matched"),
		col("uid", str, "the connection's identifier, the same in all logs"),
		col("src_addr", addr, "who sent what matched"),
		col("src_port", port, "from which port"),
		col("dst_addr", addr, "to whom"),
		col("dst_port", port, "to which port"),
		col("note", str, "the kind: Signatures::Sensitive_Signature"),
		col("sig_id", str, "the signature's name"),
		col("event_msg", str, "the signature's message"),
		col("sub_msg", str, "what matched, or more in words"),
		col("sig_count", count, "signatures that matched, in a summary"),
		col("host_count", count, "hosts that matched, in a summary"),
	},
))

var _ = register(newFeed("weird", "one thing that no protocol allows",
	connectionColumns,
	[]Column{
		col("name", str, "its name: dns_unmatched_reply"),
		col("addl", str, "more about it"),
		col("notice", boolean, "it became a notice too"),
		col("peer", str, "the sensor process that saw it"),
		col("source", str, "the analyzer that saw it (4.0 and later)"),
	},
))

var _ = register(newFeed("weird_stats", "how often one weird was seen in an interval",
	[]Column{
		col("ts", instant, "when the interval ended"),
		col("name", str, "its name: dns_unmatched_reply"),
		col("num_seen", count, "how often, since the last record of that name"),
	},
))

// alertColumns tell of a Snort alert what the sensor was told.
var alertColumns = []Column{
	col("sensor_id", count, "the sensor that raised it"),
	col("signature_id", count, "the signature by number"),
	col("signature", str, "the signature in words"),
	col("generator_id", count, "the part of the sensor that raised it, by number"),
	col("generator", str, "the part of the sensor that raised it, in words"),
	col("signature_revision", count, "the signature's revision"),
	col("classification_id", count, "the kind of alert by number"),
	col("classification", str, "the kind of alert in words"),
	col("priority_id", count, "its priority"),
	col("event_id", count, "its number"),
}

// packetColumns are the addresses of a Snort alert's packet.
var packetColumns = []Column{
	col("src_ip", addr, "the packet's source address"),
	col("src_p", port, "the packet's source port"),
	col("dst_ip", addr, "the packet's destination address"),
	col("dst_p", port, "the packet's destination port"),
}

var _ = register(newFeed("unified2", "one Snort alert read from a Unified2 file (to 4)",
	[]Column{col("ts", instant, "when it was raised")},
	within("id", packetColumns),
	alertColumns,
	[]Column{col("packet", str, "the packet's bytes")},
))

var _ = register(newFeed("barnyard2", "one Snort alert received from Barnyard2 (to 4)",
	[]Column{col("ts", instant, "when it was received")},
	within("pid", packetColumns),
	within("alert", append([]Column{col("ts", instant, "when it was raised")}, alertColumns...)),
))
