package views

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// guard lets through what may be answered, and sets what every answer carries.
func (s *server) guard(c ServerConfig, next http.Handler) http.Handler {
	// Other sites' pages get no answer to read (there is no CORS) and cannot send anything but plain requests.
	crossOrigin := http.NewCrossOriginProtection()
	token := sha256.Sum256([]byte(c.Token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		defer s.recovered(w, r)
		if !ownHost(r, c.Hosts) {
			s.fail(w, r, &apiError{status: http.StatusForbidden, Code: "unknown_host",
				Message: "this server is not " + r.Host, Hint: "ask for localhost, or start the server with that name as one of its hosts"})
			return
		}
		if err := crossOrigin.Check(r); err != nil {
			s.fail(w, r, &apiError{status: http.StatusForbidden, Code: "cross_origin", Message: "the request comes from another site's page"})
			return
		}
		if probe := r.URL.Path == "/healthz" || r.URL.Path == "/readyz"; c.Token != "" && !probe && !authorized(r, token) {
			w.Header().Set("WWW-Authenticate", `Basic realm="brotally", charset="UTF-8"`)
			s.fail(w, r, &apiError{status: http.StatusUnauthorized, Code: "unauthorized",
				Message: "the server wants its token", Hint: "send it as Authorization: Bearer TOKEN"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// recovered answers for a handler that panicked: one look-up's fault must not look like the server's end.
func (s *server) recovered(w http.ResponseWriter, r *http.Request) {
	switch p := recover(); p {
	case nil:
	case http.ErrAbortHandler:
		panic(p)
	default:
		s.log.Error("request panicked", "path", r.URL.Path, "panic", p)
		s.fail(w, r, &apiError{status: http.StatusInternalServerError, Code: "internal", Message: "the server has a fault; its log says more"})
	}
}

// ownHost reports whether the request names us. Over loopback a page could have its own name point at us; elsewhere names
// are for others to give, and TLS or a token protects.
func ownHost(r *http.Request, hosts []string) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok || !loopbackAddr(local.String()) {
		return true
	}
	name := r.Host
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if name == "localhost" || strings.HasSuffix(name, ".localhost") || loopbackAddr(name) {
		return true
	}
	for _, h := range hosts {
		if strings.EqualFold(h, r.Host) || strings.EqualFold(h, name) {
			return true
		}
	}
	return false
}

// loopbackAddr reports whether an address, with or without port, is of this machine alone.
func loopbackAddr(addr string) bool {
	if host, _, err := net.SplitHostPort(addr); err == nil {
		addr = host
	}
	ip, err := netip.ParseAddr(strings.Trim(addr, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}

// authorized reports whether the request carries the token with that hash. Hashes take the same time to compare whatever
// they are, and whatever the length of what was sent.
func authorized(r *http.Request, token [sha256.Size]byte) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		if _, given, ok = r.BasicAuth(); !ok {
			return false
		}
	}
	sum := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(sum[:], token[:]) == 1
}
