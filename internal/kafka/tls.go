package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/IBM/sarama"
)

// TLS says how connections are encrypted and whom we trust. The zero value is plain text.
type TLS struct {
	Enable bool

	// CAFile is a PEM file of the authorities that may have signed the brokers' certificates, CAPEM the same as text.
	// Empty means the system's authorities.
	CAFile, CAPEM string

	// CertFile and KeyFile are PEM files of our own certificate and its key, for brokers that ask for one; CertPEM and KeyPEM
	// the same as text.
	CertFile, KeyFile string
	CertPEM           string
	KeyPEM            Secret

	// ServerName is the name the brokers' certificates must be for, if it is not the host they are reached by.
	ServerName string

	// AnyHostName takes a certificate of a trusted authority for any host.
	AnyHostName bool

	// InsecureSkipVerify takes every certificate: whoever sits in between can read and change everything.
	InsecureSkipVerify bool
}

// String leaves keys and certificates out.
func (t TLS) String() string {
	s := fmt.Sprintf("enable=%t ca=%s cert=%s key=%s", t.Enable, t.CAFile, t.CertFile, t.KeyFile)
	if t.InsecureSkipVerify {
		s += " insecure"
	}
	return s
}

// GoString is String.
func (t TLS) GoString() string { return t.String() }

func (t TLS) apply(s *sarama.Config) error {
	if !t.Enable {
		if t != (TLS{}) {
			return errors.New("TLS settings without TLS: say security.protocol=ssl, sasl_ssl or tls.enabled=true")
		}
		return nil
	}
	c, err := t.config()
	if err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	s.Net.TLS.Enable = true
	s.Net.TLS.Config = c
	return nil
}

// Client returns the settings of a TLS client that speaks something else than Kafka.
func (t TLS) Client() (*tls.Config, error) { return t.config() }

func (t TLS) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	ca, err := readPEM(t.CAFile, t.CAPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate authorities: %w", err)
	}
	if ca != nil {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(ca) {
			return nil, fmt.Errorf("certificate authorities: no PEM certificate in %s", or(t.CAFile, "the text given"))
		}
	}
	cert, err := readPEM(t.CertFile, t.CertPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	key, err := readPEM(t.KeyFile, t.KeyPEM.Reveal())
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	switch {
	case cert != nil && key != nil:
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("certificate %s with key %s: %w", t.CertFile, t.KeyFile, err)
		}
		c.Certificates = []tls.Certificate{pair}
	case cert != nil:
		return nil, errors.New("a certificate needs its key (ssl.key.location)")
	case key != nil:
		return nil, errors.New("a key needs its certificate (ssl.certificate.location)")
	}
	switch {
	case t.InsecureSkipVerify:
		c.InsecureSkipVerify = true
	case t.AnyHostName:
		// Go verifies chain and name together or not at all: switch both off, and the chain on again.
		c.InsecureSkipVerify = true
		c.VerifyConnection = func(state tls.ConnectionState) error {
			o := x509.VerifyOptions{Roots: c.RootCAs, Intermediates: x509.NewCertPool()}
			for _, i := range state.PeerCertificates[1:] {
				o.Intermediates.AddCert(i)
			}
			_, err := state.PeerCertificates[0].Verify(o)
			return err
		}
	}
	return c, nil
}

// readPEM returns the text, or else what is in the file; nil if neither is given.
func readPEM(file, text string) ([]byte, error) {
	switch {
	case text != "":
		return []byte(text), nil
	case file != "":
		return os.ReadFile(file)
	}
	return nil, nil
}
