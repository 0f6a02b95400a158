package feeds

// Industrial control: DNP3 and Modbus.

var _ = register(newFeed("dnp3", "one DNP3 request with its reply",
	connectionColumns,
	[]Column{
		col("fc_request", str, "the request's function: READ"),
		col("fc_reply", str, "the reply's function: RESPONSE"),
		col("iin", count, "the reply's internal indications, one bit each"),
	},
))

var _ = register(newFeed("modbus", "one Modbus message",
	connectionColumns,
	[]Column{
		col("tid", count, "the number that pairs requests with responses (6.0 and later)"),
		col("unit", count, "the device behind the address (6.0 and later)"),
		col("func", str, "the function: READ_HOLDING_REGISTERS"),
		col("pdu_type", str, "REQ or RESP (6.0 and later)"),
		col("exception", str, "why the device refused"),
	},
))

var _ = register(newFeed("modbus_register_change", "one Modbus register whose value changed",
	connectionColumns,
	[]Column{
		col("register", count, "the register's number"),
		col("old_val", count, "its value before"),
		col("new_val", count, "its value now"),
		col("delta", seconds, "how long it had the value before"),
	},
))
