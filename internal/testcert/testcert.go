// Package testcert makes certificates for tests of TLS: an authority of their own, and what it signs.
package testcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// TB is what is needed of *testing.T or a script's.
type TB interface {
	Fatalf(format string, args ...any)
}

// Authority signs certificates. Its files are in one folder.
type Authority struct {
	File string // PEM of its own certificate

	t    TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	last int64 // serial number
}

// Pair is a certificate with its key.
type Pair struct {
	CertFile, KeyFile string // PEM
	BothFile          string // PEM of the key and the certificate, as Java reads it
	TLS               tls.Certificate
}

// New makes an authority that keeps its files in dir. It is valid for a day.
func New(t TB, dir string) *Authority {
	a := &Authority{t: t, dir: dir}
	a.cert = a.template(pkix.Name{CommonName: "test authority"}, time.Now().Add(24*time.Hour))
	a.cert.IsCA, a.cert.BasicConstraintsValid, a.cert.KeyUsage = true, true, x509.KeyUsageCertSign
	p := a.sign(a.cert, "ca")
	a.File = p.CertFile
	return a
}

// Server returns the certificate of a server that is reached by all of hosts, names or addresses, for a day.
func (a *Authority) Server(hosts ...string) Pair {
	return a.ServerUntil(time.Now().Add(24*time.Hour), hosts...)
}

// ServerUntil is Server with an end, which may be in the past.
func (a *Authority) ServerUntil(until time.Time, hosts ...string) Pair {
	c := a.template(pkix.Name{CommonName: hosts[0]}, until)
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	return a.sign(c, "server-"+hosts[0])
}

// Client returns the certificate of a client; until may be in the past.
func (a *Authority) Client(name string, until time.Time) Pair {
	c := a.template(pkix.Name{CommonName: name}, until)
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.sign(c, "client-"+name)
}

// Pool trusts the authority.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Config trusts the authority.
func (a *Authority) Config() *tls.Config {
	return &tls.Config{RootCAs: a.Pool(), MinVersion: tls.VersionTLS12}
}

func (a *Authority) template(subject pkix.Name, until time.Time) *x509.Certificate {
	a.last++
	return &x509.Certificate{SerialNumber: big.NewInt(a.last), Subject: subject, NotBefore: earlier(time.Now(), until).Add(-time.Hour), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// sign makes a key for the template and signs it, by itself if it is the authority's.
func (a *Authority) sign(c *x509.Certificate, file string) (p Pair) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.check(err)
	if a.key == nil {
		a.key = key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	a.check(err)
	pkcs, err := x509.MarshalPKCS8PrivateKey(key)
	a.check(err)
	cert, secret := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs})
	p.CertFile, p.KeyFile, p.BothFile = a.write(file+".pem", cert), a.write(file+".key", secret), a.write(file+".both", slices.Concat(secret, cert))
	p.TLS, err = tls.X509KeyPair(cert, secret)
	a.check(err)
	if c == a.cert {
		a.cert = p.TLS.Leaf
	}
	return p
}

func (a *Authority) write(name string, content []byte) string {
	path := filepath.Join(a.dir, name)
	a.check(os.WriteFile(path, content, 0o600))
	return path
}

func (a *Authority) check(err error) {
	if err != nil {
		a.t.Fatalf("certificates: %v", err)
	}
}
