package testkafka

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/brotally/brotally/internal/testcert"
)

// Secured is a real broker with an authorizer that allows nothing unless told to, and a listener for each way to log in.
type Secured struct {
	SCRAM  string // SASL_SSL, SCRAM-SHA-256 alone: admin may do everything, the other users of StartSecured nothing; passwords are name and "-secret"
	Mutual string // SSL that asks for a certificate: User:CN=name
	OAuth  string // SASL_SSL, OAUTHBEARER; tokens need no signature
	Plain  string // plain text, where everybody may do everything: for Kafka's tools

	Authority *testcert.Authority
	node      []string // environment of kafka.sh
}

// StartSecured starts a secured broker with some users that ends with the test, beside any other. It needs what [Brokers] needs
// to start one, and is skipped as that is.
func StartSecured(t testing.TB, users ...string) *Secured {
	t.Helper()
	if os.Getenv("BROTALLY_REQUIRE_KAFKA") != "1" {
		t.Skipf("no Kafka: set BROKERS=host:port, or run make test-kafka")
	}
	ports := freePorts(t, 5)
	s := &Secured{Authority: testcert.New(t, t.TempDir())}
	s.SCRAM, s.Mutual, s.OAuth, s.Plain = at(ports[0]), at(ports[1]), at(ports[2]), at(ports[3])
	server := s.Authority.Server("localhost", "127.0.0.1")

	settings := []string{
		"controller.quorum.voters=1@" + at(ports[4]),
		"listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT,SCRAM:SASL_SSL,MUTUAL:SSL,OAUTH:SASL_SSL",
		fmt.Sprintf("listeners=SCRAM://%s,MUTUAL://%s,OAUTH://%s,CLIENTS://%s,CONTROLLER://%s", s.SCRAM, s.Mutual, s.OAuth, s.Plain, at(ports[4])),
		fmt.Sprintf("advertised.listeners=SCRAM://%s,MUTUAL://%s,OAUTH://%s,CLIENTS://%s", s.SCRAM, s.Mutual, s.OAuth, s.Plain),
		"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users=User:admin;User:ANONYMOUS",
		"ssl.keystore.type=PEM", "ssl.keystore.location=" + server.BothFile,
		"ssl.truststore.type=PEM", "ssl.truststore.location=" + s.Authority.File,
		"listener.name.mutual.ssl.client.auth=required",
		"listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-256",
		"listener.name.scram.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
		"listener.name.oauth.sasl.enabled.mechanisms=OAUTHBEARER",
		"listener.name.oauth.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;",
	}
	format := []string{}
	for _, user := range append([]string{"admin"}, users...) {
		format = append(format, "--add-scram", fmt.Sprintf("SCRAM-SHA-256=[name=%s,password=%s-secret]", user, user))
	}
	_, port, _ := net.SplitHostPort(s.SCRAM)
	s.node = append(os.Environ(), "KAFKA_PORT="+port, "KAFKA_HEAP=384m", "KAFKA_SETTINGS="+strings.Join(settings, "\n"), "KAFKA_FORMAT="+strings.Join(format, "\n"))
	t.Cleanup(func() {
		if _, err := script(s.node, "wipe"); err != nil {
			t.Errorf("stop the secured broker: %v", err)
		}
	})
	if _, err := script(s.node, "up"); err != nil {
		t.Fatalf("no secured broker: %v", err)
	}
	return s
}

// Expired returns a certificate of the authority that is of no use any more.
func (s *Secured) Expired() testcert.Pair {
	return s.Authority.Client("expired", time.Now().Add(-time.Hour))
}

// freePorts returns ports of 127.0.0.1 that nobody listens on.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() //nolint:errcheck // all at once, so that none comes twice
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports
}

func at(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Log is where the broker writes what it has to say.
func (s *Secured) Log() string {
	_, port, _ := net.SplitHostPort(s.SCRAM)
	return filepath.Join(root(), port, "broker.log")
}
