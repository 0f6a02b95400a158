package views

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Values of headers that are always the same. They are shared, in full: who adds to one gets a copy.
var (
	noSniff    = []string{"nosniff"}
	noReferrer = []string{"no-referrer"}
	sameOrigin = []string{"same-origin"}
	noStore    = []string{"no-store"}
	asksAgain  = []string{"private, no-cache"}
	varies     = []string{"Accept-Encoding, Accept"} // compression has said the first
)

// guard lets through what may be answered, and sets what every answer carries.
func (s *server) guard(c ServerConfig, next http.Handler) http.Handler {
	// Other sites' pages get no answer to read (there is no CORS) and cannot send anything but plain requests.
	crossOrigin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(to http.ResponseWriter, r *http.Request) {
		w := withStatus(to)
		header := w.Header()
		header["X-Content-Type-Options"], header["Referrer-Policy"], header["Cross-Origin-Resource-Policy"] = noSniff, noReferrer, sameOrigin
		defer s.recovered(w, r)
		if !ownHost(r, c.Hosts) {
			s.fail(w, r, &apiError{status: http.StatusForbidden, Code: "unknown_host",
				Message: "this server is not " + r.Host, Hint: "ask for localhost, or start the server with that name as one of its hosts"})
			return
		}
		// Nor may they make it work, as an image's address would: only what a person follows may come from elsewhere.
		foreign := r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Header.Get("Sec-Fetch-Mode") != "navigate"
		if err := crossOrigin.Check(r); err != nil || foreign {
			s.fail(w, r, &apiError{status: http.StatusForbidden, Code: "cross_origin", Message: "the request comes from another site's page"})
			return
		}
		if len(r.RequestURI) > maxURI {
			s.fail(w, r, &apiError{status: http.StatusRequestURITooLong, Code: "too_long",
				Message: fmt.Sprintf("the address is longer than %d bytes", maxURI), Hint: "POST /api/v1/query takes its question in the body"})
			return
		}
		if need := roleFor(r.URL.Path); c.Tokens != nil && need > NoRole {
			switch role := c.Tokens.Role(tokenOf(r)); {
			case role == NoRole:
				w.Header().Set("WWW-Authenticate", `Basic realm="brotally", charset="UTF-8"`)
				s.fail(w, r, &apiError{status: http.StatusUnauthorized, Code: "unauthorized",
					Message: "the server wants a token", Hint: "send it as Authorization: Bearer TOKEN"})
				return
			case role < need:
				e := &apiError{status: http.StatusForbidden, Code: "forbidden", Message: r.URL.Path + " is for operators", Hint: "use a token whose role is admin"}
				if s.refuse != nil && strings.Contains(r.Header.Get("Accept"), "text/html") {
					s.refuse.Refuse(w, r, e.status, e.Message, e.Hint)
				} else {
					s.fail(w, r, e)
				}
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// caught is h for who asks it in this process: it says of a panic what a client is told.
func (s *server) caught(h http.Handler) http.Handler {
	return http.HandlerFunc(func(to http.ResponseWriter, r *http.Request) {
		w := withStatus(to)
		defer s.recovered(w, r)
		h.ServeHTTP(w, r)
	})
}

// recovered answers for a handler that panicked: one look-up's fault must not look like the server's end, nor half an answer like one.
func (s *server) recovered(w *statusWriter, r *http.Request) {
	switch p := recover(); p {
	case nil:
	case http.ErrAbortHandler:
		panic(p)
	default:
		s.log.Error("request panicked", "path", r.URL.Path, "panic", p)
		if w.wrote {
			panic(http.ErrAbortHandler)
		}
		s.fail(w, r, &apiError{status: http.StatusInternalServerError, Code: "internal", Message: "the server has a fault; its log says more"})
	}
}

// ownHost reports whether the request names us. Over loopback a page could have its own name point at us; elsewhere names
// are for others to give, and TLS or a token protects.
func ownHost(r *http.Request, hosts []string) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok || !local.IP.IsLoopback() {
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

// roleFor returns what is needed to ask for a path: nothing for probes, which have nowhere to keep a token; reading for the tables,
// their definitions and topics, which readers need; and more for how the program does.
func roleFor(path string) Role {
	switch {
	case path == "/healthz" || path == "/readyz":
		return NoRole
	case path == "/metrics" || path == "/health" || path == "/topology" || strings.HasPrefix(path, "/debug/"): // the pages have the same figures, and records
		return AdminRole
	}
	return ReadRole
}

// tokenOf returns the token that a request carries, or nothing: as a bearer's, or as the password of any user.
func tokenOf(r *http.Request) string {
	if given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return given
	}
	_, given, _ := r.BasicAuth()
	return given
}
