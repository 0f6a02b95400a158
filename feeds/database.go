package feeds

// Databases: what their clients asked for.

var _ = register(newFeed("mysql", "one command to a MySQL server with its response",
	connectionColumns,
	[]Column{
		col("cmd", str, "the command: query, login, quit"),
		col("arg", str, "what it was about: the SQL text, the user"),
		col("success", boolean, "the server carried it out"),
		col("rows", count, "rows it changed or returned"),
		col("response", str, "the server's message"),
	},
))

var _ = register(newFeed("postgresql", "one PostgreSQL message with its reply (from 7.1)",
	connectionColumns,
	[]Column{
		col("user", str, "the user that the client names"),
		col("database", str, "the database that the client names"),
		col("application_name", str, "the program that the client says it is"),
		col("frontend", str, "the client's message: startup, simple_query"),
		col("frontend_arg", str, "what it was about: the SQL text"),
		col("backend", str, "the server's reply: auth_ok, error"),
		col("backend_arg", str, "what the server said besides"),
		col("success", boolean, "the login or query went well"),
		col("rows", count, "rows it returned"),
	},
))

var _ = register(newFeed("redis", "one Redis command with its reply (from 8.0)",
	connectionColumns,
	[]Column{
		col("cmd.name", str, "the command: GET, SET, AUTH"),
		col("cmd.key", str, "the key it is about"),
		col("cmd.value", str, "the value it sets"),
		col("success", boolean, "the server carried it out"),
		col("reply.value", str, "the server's reply"),
	},
))
