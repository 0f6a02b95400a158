package kafka

import (
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

// mechanisms are the SASL mechanisms we speak.
var mechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", sarama.SASLTypeOAuth}

// SASL says who we are. The zero value is nobody.
type SASL struct {
	// Mechanism is PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER; empty for none. PLAIN and OAUTHBEARER send what whoever
	// listens could use, so they need TLS.
	Mechanism string

	// Username and Password are for all but OAUTHBEARER.
	Username string
	Password Secret

	// PasswordFile is a file with the password, read whenever clients are made. Password wins.
	PasswordFile string

	// OAuth is where OAUTHBEARER gets its tokens.
	OAuth OAuth
}

// String leaves the password out.
func (a SASL) String() string {
	s := fmt.Sprintf("mechanism=%s user=%s", a.Mechanism, a.Username)
	switch {
	case a.Password != (Secret{}):
		s += " password=" + redacted
	case a.PasswordFile != "":
		s += " password-file=" + a.PasswordFile
	}
	if a.OAuth != (OAuth{}) {
		s += " oauth={" + a.OAuth.String() + "}"
	}
	return s
}

// GoString is String.
func (a SASL) GoString() string { return a.String() }

// apply sets up s, whose TLS is set up. Errors are *[PropertyError] where one setting is to blame.
func (a SASL) apply(s *sarama.Config, tokens *tokens) error {
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
	n := &s.Net.SASL
	n.Enable = true
	n.Mechanism = sarama.SASLMechanism(m)
	if m == sarama.SASLTypeOAuth {
		if !s.Net.TLS.Enable {
			return errors.New("sasl: OAUTHBEARER sends a token that whoever listens could use, so it needs TLS: -X security.protocol=sasl_ssl, or --tls")
		}
		n.TokenProvider = tokens
		return a.OAuth.check()
	}
	if m == sarama.SASLTypePlaintext && !s.Net.TLS.Enable {
		return errors.New("sasl: PLAIN sends the password as it is, so it needs TLS: -X security.protocol=sasl_ssl, or --tls; without TLS there is -X sasl.mechanism=SCRAM-SHA-512")
	}
	password, err := fromFile(a.Password, a.PasswordFile)
	if err != nil {
		return fmt.Errorf("sasl.password.file: %w", err)
	}
	if a.Username == "" || password == (Secret{}) {
		return fmt.Errorf("sasl: %s needs sasl.username and sasl.password (or sasl.password.file)", m)
	}
	n.User = a.Username
	n.Password = password.Reveal()
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
