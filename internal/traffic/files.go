package traffic

// file is something that travelled inside a connection.
type file struct {
	fuid      string
	flow      *flow
	source    string   // HTTP, SMTP, SSL
	from, to  endpoint // sender and receiver
	at, end   int64    // Unix microseconds of its first and last byte
	depth     int64
	mime      string // empty if Zeek cannot tell
	name      string // empty if it has none
	seen      int64  // bytes
	total     int64  // bytes announced; 0 if nobody said
	analyzers []string
	md5, sha1 string // empty: not hashed
}

var (
	certAnalyzers = []string{"MD5", "SHA1", "X509"}
	hashAnalyzers = []string{"MD5", "SHA1"}
)

// writeFile writes the files record of f when its last byte was seen.
func (n *Network) writeFile(f file) {
	r := &n.rec
	r.begin(f.at)
	r.str("fuid", f.fuid)
	n.list[0] = f.from.addr
	r.strs("tx_hosts", n.list[:])
	n.list[0] = f.to.addr
	r.strs("rx_hosts", n.list[:])
	n.list[0] = f.flow.uid
	r.strs("conn_uids", n.list[:])
	r.str("source", f.source)
	r.count("depth", f.depth)
	r.strs("analyzers", f.analyzers)
	r.optional("mime_type", f.mime)
	r.optional("filename", f.name)
	r.interval("duration", f.at, f.end)
	r.bool("local_orig", isLocal(f.from.addr))
	r.bool("is_orig", f.from == f.flow.orig)
	r.count("seen_bytes", f.seen)
	if f.total > 0 {
		r.count("total_bytes", f.total)
	}
	r.count("missing_bytes", 0)
	r.count("overflow_bytes", 0)
	r.bool("timedout", false)
	r.optional("md5", f.md5)
	r.optional("sha1", f.sha1)
	r.end()
	n.write(f.end, "files")
}
