package feeds

import "slices"

// What Windows machines say to each other: DCE/RPC and file sharing. Logins are with the directories.

var _ = register(newFeed("dce_rpc", "one DCE/RPC call",
	connectionColumns,
	[]Column{
		col("rtt", seconds, "from the request to the response"),
		col("named_pipe", str, "the pipe or port it went through: 49665, \\pipe\\lsass"),
		col("endpoint", str, "the interface: samr, drsuapi"),
		col("operation", str, "the function: SamrConnect5"),
	},
))

// smbFile are the columns of a shared file behind those of its connection.
var smbFile = []Column{
	col("fuid", str, "the file's identifier, the same in all logs"),
	col("action", str, "what was done: SMB::FILE_OPEN, SMB::FILE_DELETE"),
	col("path", str, "the share it lies on"),
	col("name", str, "its name on the share"),
	col("size", count, "its size in bytes"),
	col("prev_name", str, "its name before it was renamed"),
	col("times.modified", instant, "when its content last changed"),
	col("times.accessed", instant, "when it was last read"),
	col("times.created", instant, "when it was made"),
	col("times.changed", instant, "when its attributes last changed"),
}

var _ = register(newFeed("smb_files", "one thing done to a file on a share", connectionColumns, smbFile))

var _ = register(newFeed("smb_mapping", "one share that was mounted",
	connectionColumns,
	[]Column{
		col("path", str, "the share: \\\\server\\C$"),
		col("service", str, "the kind of service asked for"),
		col("native_file_system", str, "its file system"),
		col("share_type", str, "DISK, PIPE or PRINT"),
	},
))

var _ = register(newFeed("smb_cmd", "one SMB command with its answer",
	connectionColumns,
	[]Column{
		col("command", str, "the command: CREATE, NT_CREATE_ANDX"),
		col("sub_command", str, "the command inside it, for transactions"),
		col("argument", str, "what it is about"),
		col("status", str, "the server's answer: SUCCESS, ACCESS_DENIED"),
		col("rtt", seconds, "from the request to the answer"),
		col("version", str, "SMB1 or SMB2"),
		col("username", str, "who is logged in"),
		col("tree", str, "the share it is about"),
		col("tree_service", str, "what kind of share that is"),
	},
	within("referenced_file", slices.Concat(connectionColumns, smbFile)),
))
