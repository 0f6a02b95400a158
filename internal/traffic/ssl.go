package traffic

// session is a TLS handshake.
type session struct {
	serverName string // SNI; empty if the client sent none
	alpn       string
	version    string // TLSv10, TLSv12, TLSv13
	resumed    bool
	cert       *certificate
	issuer     *certificate // nil: cert is self-signed
}

var (
	ciphers13    = []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
	ciphersRSA   = []string{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"}
	ciphersECDSA = []string{"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"}
	ciphersOld   = []string{"TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_RC4_128_SHA"}
)

// ciphers returns what s may be encrypted with.
func (s *session) ciphers() []string {
	switch {
	case s.version == "TLSv13":
		return ciphers13
	case s.version == "TLSv10":
		return ciphersOld
	case s.cert.keyType == "ecdsa":
		return ciphersECDSA
	}
	return ciphersRSA
}

// secure shakes hands over f and returns when that is done. From TLS 1.3 on certificates are encrypted, so the sensor
// sees none.
func (n *Network) secure(f *flow, at, rtt int64, s session) int64 {
	hello := at + rtt
	f.send(hello, 517)
	done := hello + rtt + n.micros(1, 6)
	reply := int64(1300)
	var chain []string
	seen := !s.resumed && s.version != "TLSv13"
	if seen {
		certs := []*certificate{s.cert}
		if s.issuer != nil {
			certs = append(certs, s.issuer)
		}
		for i, c := range certs {
			fuid := n.uid('F')
			chain = append(chain, fuid)
			reply += c.bytes
			n.writeX509(hello+rtt, fuid, c)
			mime := "application/x-x509-ca-cert"
			if i == 0 {
				mime = "application/x-x509-user-cert"
			}
			n.writeFile(file{
				fuid: fuid, flow: f, source: "SSL", from: f.resp, to: f.orig, at: hello + rtt, end: hello + rtt,
				mime: mime, seen: c.bytes, analyzers: certAnalyzers, md5: c.md5, sha1: c.sha1,
			})
		}
	}
	f.answer(done, reply)
	f.send(done, 126)
	if f.service == "" {
		f.service = "ssl"
	} else {
		f.service = "ssl," + f.service
	}

	r := &n.rec
	r.begin(hello)
	r.str("uid", f.uid)
	r.id(f.orig, f.resp)
	r.str("version", s.version)
	r.str("cipher", pick(n, s.ciphers()))
	switch {
	case s.version == "TLSv13":
		r.str("curve", "x25519")
	case s.version == "TLSv12" && !s.resumed:
		r.str("curve", "secp256r1")
	}
	r.optional("server_name", s.serverName)
	r.bool("resumed", s.resumed)
	r.optional("next_protocol", s.alpn)
	r.bool("established", true)
	if seen {
		r.strs("cert_chain_fuids", chain)
		r.strs("client_cert_chain_fuids", nil)
		r.str("subject", s.cert.subject)
		r.str("issuer", s.cert.issuer)
		r.str("validation_status", s.cert.verify(hello, s.issuer))
	}
	r.end()
	n.write(done, "ssl")
	return done
}

// handshake returns what h's client and s negotiate for the name it asks for.
func (n *Network) handshake(h *host, s *site, name string) session {
	hs := session{serverName: name, alpn: s.alpn, version: "TLSv12", cert: s.cert, issuer: s.issuer}
	if s.tls13 && h.tls13 {
		hs.version = "TLSv13"
	}
	hs.resumed = n.chance(0.3)
	return hs
}

// verify returns what OpenSSL says about c, presented with its issuer at a time in Unix microseconds.
func (c *certificate) verify(at int64, issuer *certificate) string {
	switch {
	case issuer == nil:
		return "self signed certificate"
	case at > c.notAfter:
		return "certificate has expired"
	}
	return "ok"
}

// writeX509 writes the x509 record of c, seen as the file fuid.
func (n *Network) writeX509(at int64, fuid string, c *certificate) {
	r := &n.rec
	r.begin(at)
	r.str("id", fuid)
	r.count("certificate.version", 3)
	r.str("certificate.serial", c.serial)
	r.str("certificate.subject", c.subject)
	r.str("certificate.issuer", c.issuer)
	r.time("certificate.not_valid_before", c.notBefore)
	r.time("certificate.not_valid_after", c.notAfter)
	r.str("certificate.key_alg", c.keyAlg)
	r.str("certificate.sig_alg", c.sigAlg)
	r.str("certificate.key_type", c.keyType)
	r.count("certificate.key_length", c.keyBits)
	r.optional("certificate.exponent", c.exponent)
	r.optional("certificate.curve", c.curve)
	if len(c.dns) > 0 {
		r.strs("san.dns", c.dns)
	}
	r.bool("basic_constraints.ca", c.ca)
	if c.ca {
		r.count("basic_constraints.path_len", 0)
	}
	r.end()
	n.write(at, "x509")
}
