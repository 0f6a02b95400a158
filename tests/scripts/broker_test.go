package scripts

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
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/brotally/brotally/internal/broker"
	"github.com/brotally/brotally/internal/testregistry"
)

// startBroker starts an embedded broker. A secure one speaks TLS, with its certificate in ca.pem, and SCRAM-SHA-256: admin
// may do everything, guest nothing; their passwords are their names.
func startBroker(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 || len(args) == 1 && args[0] != "secure" {
		ts.Fatalf("usage: broker [secure]")
	}
	var c broker.Config
	if len(args) == 1 {
		c.TLS = selfSigned(ts)
		c.Options = []kfake.Opt{
			kfake.EnableSASL(), kfake.EnableACLs(),
			kfake.Superuser("SCRAM-SHA-256", "admin", "admin"), kfake.User("SCRAM-SHA-256", "guest", "guest"),
		}
	}
	b, err := broker.Start(c)
	ts.Check(err)
	ts.Defer(func() { ts.Check(b.Close()) })
	_, port, err := net.SplitHostPort(b.Addrs()[0])
	ts.Check(err)
	ts.Setenv("BROKER", b.Addrs()[0])
	ts.Setenv("BROKERPORT", port)
}

// startRegistry starts a schema registry in process.
func startRegistry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: registry")
	}
	r := testregistry.New()
	ts.Defer(r.Close)
	ts.Setenv("REGISTRY", r.URL())
}

// selfSigned returns the settings of a server on 127.0.0.1 and writes its certificate to ca.pem.
func selfSigned(ts *testscript.TestScript) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "embedded broker"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}
