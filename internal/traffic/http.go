package traffic

// request is one HTTP request and its response.
type request struct {
	method, host, uri string
	referrer          string
	userAgent         string
	version           string // empty: 1.1
	bodyBytes         int64  // of the request
	bodyMime          string // of the request's body
	status            int64  // 0: no response was seen
	reason            string
	respBytes         int64
	respMime          string // empty: no file
	respName          string // of the response, from Content-Disposition
}

// fetch does the depth-th request over f and returns when its response is there.
func (n *Network) fetch(f *flow, at, rtt int64, depth int64, q request) int64 {
	f.service = "http"
	f.send(at, int64(180+len(q.uri)+len(q.userAgent)+len(q.referrer))+q.bodyBytes)
	first := at + rtt + n.micros(1, 30)
	done := first + q.respBytes/12 // 12 bytes a microsecond: 100 Mbit/s
	if q.status != 0 {
		f.answer(done, 240+q.respBytes)
	}

	var origFUID, respFUID string
	if q.bodyBytes > 0 {
		origFUID = n.uid('F')
		n.writeFile(file{
			fuid: origFUID, flow: f, source: "HTTP", from: f.orig, to: f.resp, at: at, end: at, depth: 0,
			mime: q.bodyMime, seen: q.bodyBytes, total: q.bodyBytes, analyzers: hashAnalyzers,
			md5: hexDigits(n.rng, 32), sha1: hexDigits(n.rng, 40),
		})
	}
	if q.respBytes > 0 {
		respFUID = n.uid('F')
		n.writeFile(file{
			fuid: respFUID, flow: f, source: "HTTP", from: f.resp, to: f.orig, at: first, end: done, depth: 0,
			mime: q.respMime, name: q.respName, seen: q.respBytes, total: q.respBytes, analyzers: hashAnalyzers,
			md5: hexDigits(n.rng, 32), sha1: hexDigits(n.rng, 40),
		})
	}

	r := &n.rec
	r.begin(at)
	r.str("uid", f.uid)
	r.id(f.orig, f.resp)
	r.count("trans_depth", depth)
	r.str("method", q.method)
	r.optional("host", q.host)
	r.str("uri", q.uri)
	r.optional("referrer", q.referrer)
	if q.version == "" {
		q.version = "1.1"
	}
	r.str("version", q.version)
	r.optional("user_agent", q.userAgent)
	r.count("request_body_len", q.bodyBytes)
	r.count("response_body_len", q.respBytes)
	if q.status != 0 {
		r.count("status_code", q.status)
		r.optional("status_msg", q.reason)
	}
	r.strs("tags", nil)
	if origFUID != "" {
		n.list[0] = origFUID
		r.strs("orig_fuids", n.list[:])
		if q.bodyMime != "" {
			n.list[0] = q.bodyMime
			r.strs("orig_mime_types", n.list[:])
		}
	}
	if respFUID != "" {
		n.list[0] = respFUID
		r.strs("resp_fuids", n.list[:])
		if q.respName != "" {
			n.list[0] = q.respName
			r.strs("resp_filenames", n.list[:])
		}
		if q.respMime != "" {
			n.list[0] = q.respMime
			r.strs("resp_mime_types", n.list[:])
		}
	}
	r.end()
	n.write(done, "http")
	return done
}
