package kafka

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

const redacted = "[hidden]"

// mechanisms are the SASL mechanisms we speak.
var mechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}

// secret says whether the property name holds something that must not be printed.
func secret(name string) bool {
	n := strings.ToLower(name)
	return strings.Contains(n, "pass") || strings.HasSuffix(n, ".key") || strings.HasSuffix(n, ".pem") || n == "sasl.jaas.config"
}

// TLS says how connections are encrypted and whom we trust. The zero value is plain text.
type TLS struct {
	Enable bool

	// CAFile is a PEM file of the authorities that may have signed the brokers' certificates, CAPEM the same as text.
	// Empty means the system's authorities.
	CAFile, CAPEM string

	// CertFile and KeyFile are PEM files of our own certificate and its key, for brokers that ask for one; CertPEM and KeyPEM
	// the same as text.
	CertFile, KeyFile string
	CertPEM, KeyPEM   string

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
	key, err := readPEM(t.KeyFile, t.KeyPEM)
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

// SASL says who we are. The zero value is nobody.
type SASL struct {
	Mechanism string // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty for none
	Username  string
	Password  string
}

// String leaves the password out.
func (a SASL) String() string {
	s := fmt.Sprintf("mechanism=%s user=%s", a.Mechanism, a.Username)
	if a.Password != "" {
		s += " password=" + redacted
	}
	return s
}

// GoString is String.
func (a SASL) GoString() string { return a.String() }

func (a SASL) apply(s *sarama.Config) error {
	m := strings.ToUpper(a.Mechanism)
	if m == "" {
		if a != (SASL{}) {
			return fmt.Errorf("sasl: a user needs a mechanism: %s", strings.Join(mechanisms, ", "))
		}
		return nil
	}
	if !slices.Contains(mechanisms, m) {
		return fmt.Errorf("sasl: no mechanism %q here; there are %s", a.Mechanism, strings.Join(mechanisms, ", "))
	}
	if a.Username == "" || a.Password == "" {
		return fmt.Errorf("sasl: %s needs sasl.username and sasl.password", m)
	}
	n := &s.Net.SASL
	n.Enable = true
	n.Mechanism = sarama.SASLMechanism(m)
	n.User = a.Username
	n.Password = a.Password
	switch m {
	case sarama.SASLTypeSCRAMSHA256:
		n.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scramClient{hash: sha256.New} }
	case sarama.SASLTypeSCRAMSHA512:
		n.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scramClient{hash: sha512.New} }
	}
	return nil
}

// scramClient is one SCRAM conversation (RFC 5802), as Sarama wants to hold it.
type scramClient struct {
	hash scram.HashGeneratorFcn
	talk *scram.ClientConversation
}

func (x *scramClient) Begin(user, password, authzID string) error {
	c, err := x.hash.NewClient(user, password, authzID)
	if err != nil {
		return err
	}
	x.talk = c.NewConversation()
	return nil
}

func (x *scramClient) Step(challenge string) (string, error) { return x.talk.Step(challenge) }
func (x *scramClient) Done() bool                            { return x.talk.Done() }
