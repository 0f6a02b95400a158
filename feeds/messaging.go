package feeds

// Talk between people and between things: IRC, SIP, MQTT.

var _ = register(newFeed("irc", "one IRC command of interest",
	connectionColumns,
	[]Column{
		col("nick", str, "the client's nickname"),
		col("user", str, "the client's user name"),
		col("command", str, "the command: NICK, USER, JOIN, DCC"),
		col("value", str, "what it is about: the channel"),
		col("addl", str, "what else came with it"),
		col("dcc_file_name", str, "the file offered directly"),
		col("dcc_file_size", count, "its size in bytes, as the sender says"),
		col("dcc_mime_type", str, "its media type, by its content"),
		col("fuid", str, "its identifier, the same in all logs"),
		col("extraction_file", str, "where it was stored (Bro 2.0 and 2.1)"),
	},
))

var _ = register(newFeed("sip", "one SIP request with its response",
	connectionColumns,
	[]Column{
		col("trans_depth", count, "the request's number on its connection, from 0"),
		col("method", str, "the verb: INVITE, REGISTER"),
		col("uri", str, "who or what is called"),
		col("date", str, "the request's Date header, as text"),
		col("request_from", str, "the request's From header"),
		col("request_to", str, "the request's To header"),
		col("response_from", str, "the response's From header"),
		col("response_to", str, "the response's To header"),
		col("reply_to", str, "the Reply-To header"),
		col("call_id", str, "the Call-ID header"),
		col("seq", str, "the CSeq header"),
		col("subject", str, "the Subject header"),
		col("request_path", texts, "the Via headers of the request"),
		col("response_path", texts, "the Via headers of the response"),
		col("user_agent", str, "the client's program"),
		col("status_code", count, "the response's status: 200"),
		col("status_msg", str, "the response's status in words"),
		col("warning", str, "the Warning header"),
		col("request_body_len", count, "bytes of the request's body"),
		col("response_body_len", count, "bytes of the response's body"),
		col("content_type", str, "the Content-Type header"),
	},
))

var _ = register(newFeed("mqtt_connect", "one client that connected to an MQTT broker",
	connectionColumns,
	[]Column{
		col("proto_name", str, "the protocol's name: MQTT"),
		col("proto_version", str, "the protocol's version: 3.1.1"),
		col("client_id", str, "the client's name for itself"),
		col("connect_status", str, "the broker's answer: Connection Accepted"),
		col("will_topic", str, "the topic of the message to send when the client is lost"),
		col("will_payload", str, "that message"),
	},
))

var _ = register(newFeed("mqtt_publish", "one message published on MQTT",
	connectionColumns,
	[]Column{
		col("from_client", boolean, "the side that opened the connection sent it"),
		col("retain", boolean, "the broker is to keep it for who subscribes later"),
		col("qos", str, "how surely it is to arrive: at most once"),
		col("status", str, "how far that came: ok, incomplete_qos"),
		col("topic", str, "its topic"),
		col("payload", str, "its content, cut at a limit"),
		col("payload_len", count, "bytes of its content, uncut"),
	},
))

var _ = register(newFeed("mqtt_subscribe", "one MQTT subscription begun or ended",
	connectionColumns,
	[]Column{
		col("action", str, "MQTT::SUBSCRIBE or MQTT::UNSUBSCRIBE"),
		col("topics", texts, "the topics"),
		col("qos_levels", counts, "how surely the topics' messages shall arrive, 0 to 2"),
		col("granted_qos_level", count, "how surely they will"),
		col("ack", boolean, "the broker agreed"),
	},
))
