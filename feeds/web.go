package feeds

// What carries the web beside HTTP and TLS.

var _ = register(newFeed("quic", "one QUIC connection (from 6.1)",
	connectionColumns,
	[]Column{
		col("version", str, "the protocol's version: 1, draft-29"),
		col("client_initial_dcid", str, "the first destination that the client makes up, in hexadecimal"),
		col("client_scid", str, "the client's name for the connection, in hexadecimal"),
		col("server_scid", str, "the server's name for the connection, in hexadecimal"),
		col("server_name", str, "the server's name as the client asked for it (SNI)"),
		col("client_protocol", str, "the application protocol the client prefers: h3"),
		col("history", str, "what happened, one letter an event; capitals are the opening side's"),
	},
))

var _ = register(newFeed("websocket", "one WebSocket opened over HTTP (from 7.1)",
	connectionColumns,
	[]Column{
		col("host", str, "the Host header"),
		col("uri", str, "what was asked for"),
		col("user_agent", str, "the User-Agent header"),
		col("subprotocol", str, "the protocol that the server chose"),
		col("client_protocols", texts, "the protocols that the client offers"),
		col("server_extensions", texts, "the extensions that the server chose"),
		col("client_extensions", texts, "the extensions that the client offers"),
	},
))
