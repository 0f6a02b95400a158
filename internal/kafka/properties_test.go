package kafka

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
)

func TestPropertiesAreSpelledInManyWays(t *testing.T) {
	for _, test := range []struct {
		name  string
		props map[string]string
		want  Config
	}{
		{"librdkafka", map[string]string{
			"bootstrap.servers": "a:1, b:2", "security.protocol": "sasl_ssl", "sasl.mechanisms": "scram-sha-512",
			"sasl.username": "u", "sasl.password": "p", "ssl.ca.location": "/ca.pem", "enable.ssl.certificate.verification": "false",
		}, Config{
			Brokers: []string{"a:1", "b:2"}, SASL: SASL{Mechanism: "SCRAM-SHA-512", Username: "u", Password: NewSecret("p")},
			TLS: TLS{Enable: true, CAFile: "/ca.pem", InsecureSkipVerify: true},
		}},
		{"rpk", map[string]string{
			"brokers": "a:1", "tls.enabled": "true", "tls.ca": "/ca", "tls.cert": "/c", "tls.key": "/k",
			"sasl.mechanism": "SCRAM-SHA-256", "user": "u", "pass": "p",
		}, Config{
			Brokers: []string{"a:1"}, SASL: SASL{Mechanism: "SCRAM-SHA-256", Username: "u", Password: NewSecret("p")},
			TLS: TLS{Enable: true, CAFile: "/ca", CertFile: "/c", KeyFile: "/k"},
		}},
		{"Java", map[string]string{
			"security.protocol": "SSL", "ssl.truststore.certificates": "PEM", "ssl.endpoint.identification.algorithm": "",
		}, Config{TLS: TLS{Enable: true, CAPEM: "PEM", AnyHostName: true}}},
		{"a user alone means PLAIN", map[string]string{"sasl.username": "u", "sasl.password": "p"}, Config{SASL: SASL{Mechanism: "PLAIN", Username: "u", Password: NewSecret("p")}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Config{Properties: test.props}.Resolve()
			if err != nil {
				t.Fatal(err)
			}
			if !cmp.Equal(got.Brokers, test.want.Brokers) || got.TLS != test.want.TLS || got.SASL.String() != test.want.SASL.String() || got.SASL.Password.Reveal() != test.want.SASL.Password.Reveal() {
				t.Errorf("got %v %#v %v", got.Brokers, got.TLS, got.SASL)
			}
		})
	}
}

func TestPropertiesReachSarama(t *testing.T) {
	s, err := Config{Brokers: []string{"b:1"}, Properties: map[string]string{
		"client.id": "tally", "session.timeout.ms": "9000", "transaction.timeout.ms": "5000", "compression.codec": "ZSTD",
		"compression.level": "3", "message.max.bytes": "2000000", "Fetch.Max.Bytes": "1048576", "client.rack": "r1",
	}}.Sarama()
	if err != nil {
		t.Fatal(err)
	}
	got := []any{s.ClientID, s.Consumer.Group.Session.Timeout, s.Producer.Transaction.Timeout, s.Producer.Compression,
		s.Producer.CompressionLevel, s.Producer.MaxMessageBytes, s.Consumer.Fetch.MaxBytes, s.RackID}
	want := []any{"tally", 9 * time.Second, 5 * time.Second, sarama.CompressionZSTD, 3, 2000000, int32(1048576), "r1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestPropertiesThatAreRefused(t *testing.T) {
	for _, test := range []struct{ key, value, says string }{
		{"sasl.mechansim", "PLAIN", "did you mean sasl.mechanism?"},
		{"ssl.ca.loction", "x", "did you mean ssl.ca.location?"},
		{"quux", "x", "no such setting"},
		{"sasl.jaas.config", "x", "write sasl.username"},
		{"isolation.level", "read_uncommitted", "would lose or double count"},
		{"acks", "1", "would lose or double count"},
		{"group.id", "g", "--app"},
		{"sasl.mechanism", "GSSAPI", "there are PLAIN"},
		{"security.protocol", "tls", "there are plaintext"},
		{"session.timeout.ms", "fast", "not a number"},
		{"session.timeout.ms", "-1", "not between"},
		{"tls.enabled", "maybe", "neither true nor false"},
		{"compression.type", "brotli", "no codec"},
		{"message.max.bytes", "12", "not between"},
		{"compression.level", "high", "not a number"},
		{"ssl.endpoint.identification.algorithm", "dns", "neither https nor none"},
	} {
		_, err := Config{Properties: map[string]string{test.key: test.value}}.Resolve()
		var e *PropertyError
		if !errors.As(err, &e) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), test.key) {
			t.Errorf("%s=%s: %v, want it to say %q", test.key, test.value, err, test.says)
		}
	}
}
