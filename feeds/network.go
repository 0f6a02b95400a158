package feeds

// What keeps a network going: addresses, time, management, tunnels.

var _ = register(newFeed("dhcp", "one conversation in which a host got its address",
	[]Column{
		col("ts", instant, "when it began"),
		col("uids", texts, "the connections it went over (2.6 and later)"),
		col("client_addr", addr, "the client's address (2.6 and later)"),
		col("server_addr", addr, "the server's address (2.6 and later)"),
		col("mac", str, "the client's hardware address"),
		col("host_name", str, "the client's name as it says itself"),
		col("client_fqdn", str, "the client's full name as it says itself"),
		col("domain", str, "the domain that the server gives it"),
		col("requested_addr", addr, "the address it asked for"),
		col("assigned_addr", addr, "the address it got", "assigned_ip"),
		col("lease_time", seconds, "how long it may keep the address"),
		col("client_message", str, "what the client said to a decline"),
		col("server_message", str, "what the server said to a refusal"),
		col("msg_types", texts, "the messages: DISCOVER, OFFER, REQUEST, ACK"),
		col("duration", seconds, "from the first message to the last"),
		col("msg_orig", addrs, "who sent each message (policy script)"),
		col("client_software", str, "the client's program (policy script)"),
		col("server_software", str, "the server's program (policy script)"),
		col("circuit_id", str, "the port that the relay heard it at (policy script)"),
		col("agent_remote_id", str, "the relay's name for the far end (policy script)"),
		col("subscriber_id", str, "the relay's name for the subscriber (policy script)"),
	},
	// Bro to 2.5 logged each exchange with its connection.
	connectionColumns[1:],
	[]Column{col("trans_id", count, "the transaction number (to 2.5)")},
))

var _ = register(newFeed("ntp", "one NTP message between clients and servers",
	connectionColumns,
	[]Column{
		col("version", count, "the protocol's version, 1 to 4"),
		col("mode", count, "3 from a client, 4 from a server"),
		col("stratum", count, "how far the sender is from a reference clock"),
		col("poll", seconds, "how long to wait between messages at most"),
		col("precision", seconds, "the precision of the sender's clock"),
		col("root_delay", seconds, "the round trip to the reference clock"),
		col("root_disp", seconds, "how far off the reference clock may be"),
		col("ref_id", str, "the reference clock: an address, GPS"),
		col("ref_time", instant, "when the sender's clock was last set"),
		col("org_time", instant, "when the request left the client"),
		col("rec_time", instant, "when the request reached the server"),
		col("xmt_time", instant, "when this message left"),
		col("num_exts", count, "extension fields in the message"),
	},
))

var _ = register(newFeed("ntp_control", "one NTP control message",
	connectionColumns,
	[]Column{
		col("version", count, "the protocol's version"),
		col("mode", count, "6"),
		col("op_code", count, "the command by number"),
		col("sequence", count, "the number that pairs commands with responses"),
		col("status", count, "the status of system, peer or clock by number"),
		col("association_id", count, "the association it is about"),
		col("resp_bit", boolean, "it is a response"),
		col("err_bit", boolean, "it is an error"),
		col("more_bit", boolean, "there is more of it"),
		col("data", str, "what it says"),
		col("key_id", count, "the key it is signed with"),
		col("crypto_checksum", str, "its signature"),
	},
))

var _ = register(newFeed("ntp_private", "one NTP message of a server's own kind",
	connectionColumns,
	[]Column{
		col("version", count, "the protocol's version"),
		col("mode", count, "7"),
		col("req_code", count, "the command by number: 42 is monlist"),
		col("sequence", count, "the number of the message, from 0"),
		col("implementation", count, "whose command it is, by number"),
		col("auth_bit", boolean, "it is signed"),
		col("err", count, "the error by number"),
		col("data", str, "what it says"),
	},
))

var _ = register(newFeed("snmp", "one conversation over SNMP",
	connectionColumns,
	[]Column{
		col("duration", seconds, "from the first to the last packet"),
		col("version", str, "the protocol's version: 2c"),
		col("community", str, "the community string, which is a password"),
		col("get_requests", count, "variables asked for"),
		col("get_bulk_requests", count, "variables asked for in bulk"),
		col("get_responses", count, "variables answered"),
		col("set_requests", count, "variables set"),
		col("display_string", str, "what the device says it is"),
		col("up_since", instant, "since when the device is up"),
	},
))

var _ = register(newFeed("syslog", "one syslog message",
	connectionColumns,
	[]Column{
		col("proto", str, "udp or tcp"),
		col("facility", str, "where it comes from: AUTHPRIV"),
		col("severity", str, "how bad it is: ERR"),
		col("message", str, "its text"),
	},
))

var _ = register(newFeed("socks", "one connection made through a SOCKS proxy",
	connectionColumns,
	[]Column{
		col("version", count, "the protocol's version, 4 or 5"),
		col("user", str, "who asks"),
		col("password", str, "the password given"),
		col("status", str, "how it went: succeeded"),
		col("request.host", addr, "the address to connect to"),
		col("request.name", str, "the name to connect to"),
		col("request_p", port, "the port to connect to"),
		col("bound.host", addr, "the address that the proxy uses"),
		col("bound.name", str, "the name that the proxy uses"),
		col("bound_p", port, "the port that the proxy uses"),
	},
))

var _ = register(newFeed("tunnel", "one tunnel found, closed or expired",
	connectionColumns,
	[]Column{
		col("tunnel_type", str, "what kind: Tunnel::VXLAN, Tunnel::SOCKS"),
		col("action", str, "what happened: Tunnel::DISCOVER, Tunnel::CLOSE"),
	},
))

var _ = register(newFeed("traceroute", "one host that traces routes",
	[]Column{
		col("ts", instant, "when it was noticed"),
		col("src", addr, "who traces"),
		col("dst", addr, "where to"),
		col("proto", str, "with what: udp, icmp"),
	},
))
