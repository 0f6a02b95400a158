package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// explain says why a broker could not be talked to, and what to write instead. Brokers hang up without a word on who speaks
// TLS to a port without, or the other way round, so it looks what the port speaks. *[NotAllowed] is a broker that does not
// take us for who we say we are; everything else is no connection.
func explain(ctx context.Context, addr string, conf *sarama.Config, err error) error {
	var (
		not       *NotAllowed
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		plain     tls.RecordHeaderError
		remote    *net.OpError
	)
	refused := func(what, wayOut string) error {
		return &NotAllowed{Op: "connect to " + addr, What: what, WayOut: wayOut, Err: err}
	}
	hungUp := network(err) && !isTimeout(err) && !refusedDial(err)
	switch {
	case ctx.Err() != nil, errors.As(err, &not):
		return err
	case errors.As(err, &authority):
		return &misfit{"its certificate is signed by an authority that is not trusted here", "-X ssl.ca.location=FILE (--tls-ca) names the one to trust", err}
	case errors.As(err, &host):
		return &misfit{fmt.Sprintf("its certificate is not for %s but for %s", host.Host, strings.Join(names(host.Certificate), ", ")), "reach it by that name, or -X tls.server_name=NAME (--tls-server-name)", err}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return &misfit{fmt.Sprintf("its certificate was valid from %s to %s", day(invalid.Cert.NotBefore), day(invalid.Cert.NotAfter)), "the broker needs a new one, or this machine the right time", err}
	case errors.As(err, &remote) && remote.Op == "remote error": // a TLS alert, of a type that only its text tells
		if strings.Contains(err.Error(), "certificate") || strings.Contains(err.Error(), "access denied") {
			return refused("our certificate", ownCertificate(conf))
		}
		return err
	case login(lastOf(codes(err))):
		return refused(loginRefused(ctx, addr, conf, lastOf(codes(err))))
	case errors.As(err, &plain):
		return &misfit{"the port speaks no TLS", "-X security.protocol=" + protocolName(false, conf.Net.SASL.Enable), err}
	case !hungUp:
		return err
	case conf.Net.TLS.Enable && speaksPlain(ctx, addr, conf):
		return &misfit{"the port speaks no TLS", "-X security.protocol=" + protocolName(false, conf.Net.SASL.Enable), err}
	case !conf.Net.TLS.Enable && speaksTLS(ctx, addr):
		return &misfit{"the port speaks TLS", "-X security.protocol=" + protocolName(true, conf.Net.SASL.Enable), err}
	case conf.Net.SASL.Enable:
		return &misfit{fmt.Sprintf("it hung up while %s logged in with %s", or(conf.Net.SASL.User, "we"), conf.Net.SASL.Mechanism), "wrong user, password or mechanism?", err}
	}
	if has := mechanismsAt(ctx, addr, conf); len(has) > 0 {
		return refused("log in as nobody", "it wants a login: -X sasl.mechanism=.. and what belongs to it; it has "+strings.Join(has, ", "))
	}
	return err
}

// misfit is a broker that speaks, or is, something else than we expect.
type misfit struct {
	what, wayOut string
	err          error
}

func (e *misfit) Error() string {
	s := e.what
	if !strings.HasSuffix(e.err.Error(), "EOF") { // which says nothing
		s += ": " + e.err.Error()
	}
	return s + "; " + e.wayOut
}

func (e *misfit) Unwrap() error { return e.err }

// loginRefused says what a broker did not like about a login, and the way out.
func loginRefused(ctx context.Context, addr string, conf *sarama.Config, k sarama.KError) (what, wayOut string) {
	mechanism := string(conf.Net.SASL.Mechanism)
	what = "log in with " + mechanism
	if conf.Net.SASL.User != "" {
		what = fmt.Sprintf("log in as %s with %s", conf.Net.SASL.User, mechanism)
	}
	switch k {
	case sarama.ErrUnsupportedSASLMechanism:
		wayOut = "the port does not have this mechanism"
		if has := mechanismsAt(ctx, addr, conf); len(has) > 0 {
			wayOut += "; it has " + strings.Join(has, ", ") + " (-X sasl.mechanism=..)"
		}
		return what, wayOut
	case sarama.ErrIllegalSASLState:
		return what, "the port has no logins: leave sasl.* away, -X security.protocol=" + protocolName(conf.Net.TLS.Enable, false)
	}
	switch mechanism {
	case sarama.SASLTypeOAuth:
		return what, "the broker does not take the token: see its issuer, audience and scope"
	case sarama.SASLTypePlaintext:
		return what, "wrong user or password, which of them brokers do not say"
	}
	return what, "wrong user or password, or the user has none for " + mechanism + ": which, brokers do not say"
}

// ownCertificate says what may be wrong with the certificate that a broker did not take.
func ownCertificate(conf *sarama.Config) string {
	if conf.Net.TLS.Config == nil || len(conf.Net.TLS.Config.Certificates) == 0 {
		return "it asks for one: -X ssl.certificate.location=FILE and ssl.key.location=FILE (--tls-cert, --tls-key)"
	}
	c, err := x509.ParseCertificate(conf.Net.TLS.Config.Certificates[0].Certificate[0])
	if err != nil {
		return "it cannot be read"
	}
	if now := time.Now(); now.After(c.NotAfter) || now.Before(c.NotBefore) {
		return fmt.Sprintf("that of %s was valid from %s to %s: get a new one", c.Subject, day(c.NotBefore), day(c.NotAfter))
	}
	return fmt.Sprintf("that of %s is signed by %s, which the broker has to trust", c.Subject, c.Issuer)
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// names returns whom a certificate is for.
func names(c *x509.Certificate) []string {
	all := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		all = []string{"nobody"}
	}
	return all
}

func lastOf(ks []sarama.KError) sarama.KError {
	if len(ks) == 0 {
		return sarama.ErrNoError
	}
	return ks[len(ks)-1]
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// refusedDial says whether the connection did not even come about.
func refusedDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// protocolName is the value of security.protocol.
func protocolName(tls, sasl bool) string {
	return map[[2]bool]string{{false, false}: "plaintext", {false, true}: "sasl_plaintext", {true, false}: "ssl", {true, true}: "sasl_ssl"}[[2]bool{tls, sasl}]
}

// speaksPlain says whether the port answers Kafka's first request without TLS.
func speaksPlain(ctx context.Context, addr string, conf *sarama.Config) bool {
	own := *conf
	own.Net.TLS.Enable, own.Net.SASL.Enable = false, false
	dialer{ctx: ctx}.into(&own)
	b := sarama.NewBroker(addr)
	if b.Open(&own) != nil {
		return false
	}
	ok, err := b.Connected() // it has asked for versions by then, which needs no login
	_ = b.Close()
	return ok && err == nil
}

// speaksTLS says whether the port answers a TLS handshake, whoever it is for.
func speaksTLS(ctx context.Context, addr string) bool {
	c, err := dialer{ctx: ctx}.Dial("tcp", addr)
	if err != nil {
		return false
	}
	defer c.Close()                                                                          //nolint:errcheck // nothing was sent
	return tls.Client(c, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx) == nil // what is asked is whether, not who
}

// mechanismsAt returns the mechanisms that the port has; none when it does not say, or has no logins. Sarama keeps that part of
// the answer for itself.
func mechanismsAt(ctx context.Context, addr string, conf *sarama.Config) []string {
	c, err := dialer{ctx: ctx}.Dial("tcp", addr)
	if err != nil {
		return nil
	}
	defer c.Close() //nolint:errcheck // nothing was changed
	if conf.Net.TLS.Enable {
		own := conf.Net.TLS.Config.Clone()
		if host, _, err := net.SplitHostPort(addr); err == nil && own.ServerName == "" {
			own.ServerName = host
		}
		c = tls.Client(c, own)
	}
	if c.SetDeadline(time.Now().Add(dialTimeout)) != nil {
		return nil
	}
	ask := kmsg.NewPtrSASLHandshakeRequest()
	ask.Mechanism = "which"
	ask.SetVersion(1)
	if _, err := c.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID(conf.ClientID)).AppendRequest(nil, ask, 0)); err != nil {
		return nil
	}
	var head [8]byte // length, and the number of the request
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 4 || n > 64<<10 {
		return nil
	}
	body := make([]byte, n-4)
	if _, err := io.ReadFull(c, body); err != nil {
		return nil
	}
	res := kmsg.NewPtrSASLHandshakeResponse()
	res.SetVersion(1)
	if res.ReadFrom(body) != nil {
		return nil
	}
	slices.Sort(res.SupportedMechanisms)
	return res.SupportedMechanisms
}
