package feeds

import (
	"path"
	"strings"
)

// PluginTopics are the topics that Bro's Kafka plugin writes all logs to unless told otherwise, today's default first.
var PluginTopics = []string{"zeek", "bro"}

// NameOfPath returns the feed that a log's path, tag or _path names. Zeek numbers the paths of further filters on the
// same log (conn-2, http-2-2), and one package prefixes them (json_streaming_conn); both are the log's own feed.
func NameOfPath(logPath string) string {
	name := strings.TrimPrefix(logPath, "json_streaming_")
	for {
		dash := strings.LastIndexByte(name, '-')
		if dash <= 0 || dash == len(name)-1 || !isDigits(name[dash+1:]) {
			return name
		}
		name = name[:dash]
	}
}

// NameOfFile returns the feed that a log file's name tells: dns for dns.log, /logs/dns.2026-11-23.log.gz, dns.ndjson,
// dns.00:00:00-01:00:00.log.gz and json_streaming_dns.log; "" when it tells none, as - for standard input does.
func NameOfFile(file string) string {
	name := path.Base(strings.ReplaceAll(file, `\`, "/"))
	name, _, _ = strings.Cut(name, ".")
	if name == "" || strings.HasPrefix(name, "-") || name == "/" {
		return ""
	}
	return NameOfPath(name)
}

// AvroName returns a column's name as Avro can have it, where a name is letters, digits and _ and begins with no digit:
// id_orig_h for id.orig_h.
func AvroName(column string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, column)
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		return "_" + name
	}
	return name
}

func isDigits(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}
