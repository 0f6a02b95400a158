package feeds

// What there is on the network, each thing once a day or so.

var _ = register(newFeed("known_hosts", "one host that completed a handshake, once a day",
	[]Column{
		col("ts", instant, "when it was found"),
		col("host", addr, "its address"),
	},
))

var _ = register(newFeed("known_services", "one port that answers, once a day",
	[]Column{
		col("ts", instant, "when it was found"),
		col("host", addr, "the host's address"),
		col("port_num", port, "the port"),
		col("port_proto", str, "tcp or udp"),
		col("service", texts, "the application protocols it speaks"),
	},
))

var _ = register(newFeed("known_certs", "one certificate that a host shows, once a day",
	[]Column{
		col("ts", instant, "when it was found"),
		col("host", addr, "the host's address"),
		col("port_num", port, "the port it is shown at"),
		col("subject", str, "whom it is for"),
		col("issuer_subject", str, "who signed it"),
		col("serial", str, "its serial number, in hexadecimal"),
	},
))

var _ = register(newFeed("known_devices", "one device that asked for an address",
	[]Column{
		col("ts", instant, "when it was found"),
		col("mac", str, "its hardware address"),
		col("dhcp_host_name", str, "its name as it says itself"),
	},
))

var _ = register(newFeed("known_modbus", "one Modbus master or slave, once a day",
	[]Column{
		col("ts", instant, "when it was found"),
		col("host", addr, "its address"),
		col("device_type", str, "Known::MODBUS_MASTER or Known::MODBUS_SLAVE"),
	},
))

var _ = register(newFeed("software", "one program that a host was seen to run",
	[]Column{
		col("ts", instant, "when it was found"),
		col("host", addr, "the host's address"),
		col("host_p", port, "the port it listens at"),
		col("software_type", str, "what it is: HTTP::BROWSER, SSH::SERVER"),
		col("name", str, "its name: OpenSSH"),
		col("version.major", count, "the version's first number"),
		col("version.minor", count, "the version's second number"),
		col("version.minor2", count, "the version's third number"),
		col("version.minor3", count, "the version's fourth number"),
		col("version.addl", str, "what follows the numbers: p1"),
		col("unparsed_version", str, "name and version as they were seen"),
		col("url", str, "where a web application was found (policy script)"),
	},
))

var _ = register(newFeed("multicast_participants", "one multicast group and who was in it (from 8.1)",
	[]Column{
		col("ts", instant, "when the connection began"),
		col("cid", str, "the connection's identifier, as uid elsewhere"),
		col("orig_h", addr, "who sends"),
		col("group_addr", addr, "the group's address"),
		col("group_p", port, "the group's port"),
		col("participants", addrs, "who answered"),
	},
))
