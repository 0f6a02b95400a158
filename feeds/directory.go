package feeds

// Who is who: Kerberos, LDAP, RADIUS, and the Windows protocols around them.

var _ = register(newFeed("kerberos", "one Kerberos ticket asked for",
	connectionColumns,
	[]Column{
		col("request_type", str, "AS for a first ticket, TGS for a further one"),
		col("client", str, "who asks: name/REALM"),
		col("service", str, "what the ticket is for"),
		col("success", boolean, "the ticket was given"),
		col("error_msg", str, "why not"),
		col("from", instant, "from when the ticket is valid"),
		col("till", instant, "until when the ticket is valid"),
		col("cipher", str, "how the ticket is encrypted: aes256-cts-hmac-sha1-96"),
		col("forwardable", boolean, "a forwardable ticket was asked for"),
		col("renewable", boolean, "a renewable ticket was asked for"),
		col("client_cert_subject", str, "whom the client's certificate is for"),
		col("client_cert_fuid", str, "file identifier of the client's certificate"),
		col("server_cert_subject", str, "whom the server's certificate is for"),
		col("server_cert_fuid", str, "file identifier of the server's certificate"),
		col("auth_ticket_sha256", str, "SHA-256 of the ticket that was shown (policy script, 8.0 and later)"),
		col("new_ticket_sha256", str, "SHA-256 of the ticket that was given (policy script, 8.0 and later)"),
		// Not aliases of the two above: other hashes.
		col("auth_ticket", str, "MD5 of the ticket that was shown (policy script)"),
		col("new_ticket", str, "MD5 of the ticket that was given (policy script)"),
	},
))

var _ = register(newFeed("ldap", "one LDAP operation but a search (from 6.1)",
	connectionColumns,
	[]Column{
		col("message_id", integer, "the number that pairs requests with results"),
		col("version", integer, "the protocol's version"),
		col("opcode", str, "the operation: bind simple, modify"),
		col("result", str, "how it went: success, invalid credentials"),
		col("diagnostic_message", str, "what the server said besides"),
		col("object", str, "the entry it is about"),
		col("argument", str, "what is to be done to it; passwords are left out unless configured"),
	},
))

var _ = register(newFeed("ldap_search", "one LDAP search with its result (from 6.1)",
	connectionColumns,
	[]Column{
		col("message_id", integer, "the number that pairs requests with results"),
		col("scope", str, "how deep it looks: base, single, tree"),
		col("deref_aliases", str, "when aliases are followed: never, always"),
		col("base_object", str, "the entry it begins at"),
		col("result_count", count, "entries found"),
		col("result", str, "how it went: success"),
		col("diagnostic_message", str, "what the server said besides"),
		col("filter", str, "what it looks for: (objectclass=*)"),
		col("attributes", texts, "which attributes it wants"),
	},
))

var _ = register(newFeed("radius", "one RADIUS login",
	connectionColumns,
	[]Column{
		col("username", str, "who wants in"),
		col("mac", str, "the caller's hardware address"),
		col("framed_addr", addr, "the address that the caller is to have"),
		col("tunnel_client", str, "the far end of the caller's tunnel, an address or a name", "remote_ip"),
		col("connect_info", str, "how the caller is connected, as text"),
		col("reply_msg", str, "what the caller was shown"),
		col("result", str, "success, failed or unknown"),
		col("ttl", seconds, "from the first request to the decision"),
	},
))

var _ = register(newFeed("ntlm", "one NTLM login",
	connectionColumns,
	[]Column{
		col("username", str, "who wants in"),
		col("hostname", str, "the client's name as it says itself"),
		col("domainname", str, "the client's domain as it says itself"),
		col("server_nb_computer_name", str, "the server's NetBIOS name (2.6 and later)"),
		col("server_dns_computer_name", str, "the server's DNS name (2.6 and later)"),
		col("server_tree_name", str, "the server's forest (2.6 and later)"),
		col("success", boolean, "the login went well"),
		col("status", str, "the status that the server answered (Bro 2.5)"),
	},
))
