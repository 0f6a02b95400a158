package feeds

// Sessions on other machines, and files fetched from them: SSH, RDP, VNC, FTP.

var _ = register(newFeed("ssh", "one SSH session",
	connectionColumns,
	[]Column{
		col("version", count, "the protocol's version, 1 or 2"),
		col("auth_success", boolean, "the login went well; NULL when that cannot be told"),
		col("auth_attempts", count, "logins tried, the good one included"),
		col("direction", str, "INBOUND or OUTBOUND, seen from the site"),
		col("client", str, "the client's program"),
		col("server", str, "the server's program"),
		col("cipher_alg", str, "the cipher agreed on"),
		col("mac_alg", str, "the message authentication agreed on"),
		col("compression_alg", str, "the compression agreed on"),
		col("kex_alg", str, "the key exchange agreed on"),
		col("host_key_alg", str, "the algorithm of the server's key"),
		col("host_key_fingerprint", str, "the server's key as SHA256:.. (8.1 and later)"),
		// Not an alias of the fingerprint: another hash.
		col("host_key", str, "MD5 of the server's key (to 8.0, then a policy script)"),
	},
	within("remote_location", location),
	[]Column{
		col("status", str, "how the login seems to have gone: success, failure (to 2.3)"),
		col("resp_size", count, "bytes that the server sent (to 2.3)"),
	},
))

var _ = register(newFeed("rdp", "one remote desktop session",
	connectionColumns,
	[]Column{
		col("cookie", str, "the cookie, often the user's name, cut short"),
		col("result", str, "how the connection went: encrypted, SSL_NOT_ALLOWED_BY_SERVER"),
		col("security_protocol", str, "the security agreed on: RDP, HYBRID"),
		col("client_channels", texts, "channels the client asked for"),
		col("keyboard_layout", str, "the client's keyboard"),
		col("client_build", str, "the client's version"),
		col("client_name", str, "the client's name"),
		col("client_dig_product_id", str, "the client's product number"),
		col("desktop_width", count, "the desktop's width in pixels"),
		col("desktop_height", count, "the desktop's height in pixels"),
		col("requested_color_depth", str, "the color depth asked for: 16bit"),
		col("cert_type", str, "the kind of the server's certificate: RSA, X.509"),
		col("cert_count", count, "certificates seen"),
		col("cert_permanent", boolean, "the server's certificate is for good"),
		col("encryption_level", str, "how strongly it is encrypted: High"),
		col("encryption_method", str, "how it is encrypted: 128bit"),
		col("ssl", boolean, "it goes on inside TLS (policy script)"),
	},
))

var _ = register(newFeed("rfb", "one VNC session",
	connectionColumns,
	[]Column{
		col("client_major_version", str, "the client's version before the point"),
		col("client_minor_version", str, "the client's version behind the point"),
		col("server_major_version", str, "the server's version before the point"),
		col("server_minor_version", str, "the server's version behind the point"),
		col("authentication_method", str, "how the client logs in: VNC"),
		col("auth", boolean, "the login went well"),
		col("share_flag", boolean, "others may use the screen at once"),
		col("desktop_name", str, "the screen's name"),
		col("width", count, "the screen's width in pixels"),
		col("height", count, "the screen's height in pixels"),
	},
))

var _ = register(newFeed("ftp", "one FTP command of interest with its reply",
	connectionColumns,
	[]Column{
		col("user", str, "who is logged in"),
		col("password", str, "the password given"),
		col("command", str, "the command: RETR, STOR"),
		col("arg", str, "what it is about: the path"),
		col("mime_type", str, "the file's media type, by its content"),
		col("file_size", count, "the file's size in bytes"),
		col("reply_code", count, "the server's reply by number"),
		col("reply_msg", str, "the server's reply in words"),
		col("data_channel.passive", boolean, "the client opens the data connection"),
		col("data_channel.orig_h", addr, "address of the side that opens the data connection"),
		col("data_channel.resp_h", addr, "address of the side that waits for it"),
		col("data_channel.resp_p", port, "the port it waits at"),
		col("fuid", str, "the file's identifier, the same in all logs"),
		col("mime_desc", str, "the file's kind in words (Bro 2.0 and 2.1)"),
		col("tags", texts, "what the sensor noticed about it (Bro 2.0 and 2.1)"),
		col("extraction_file", str, "where the file was stored (Bro 2.0 and 2.1)"),
	},
))
