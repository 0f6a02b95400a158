package kafka

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/brotally/brotally/internal/broker"
	"github.com/brotally/brotally/internal/testcert"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Every client of ours has to come through: admin, transactional producer, reader.
func useEverything(t *testing.T, props map[string]string) error {
	t.Helper()
	cfg := Config{App: "sec", Instance: "i", Properties: props}
	a, err := NewAdmin(t.Context(), cfg)
	if err != nil {
		return err
	}
	defer a.Close() //nolint:errcheck // what counts was before
	if err := a.Ensure(Topic{Name: "t", Partitions: 1}); err != nil {
		return err
	}
	tx, err := NewTx(t.Context(), cfg, "sec-tx")
	if err != nil {
		return err
	}
	defer tx.Close() //nolint:errcheck // what counts was before
	tx.Send("t", 0, nil, []byte("v"))
	if err := tx.Commit(t.Context(), nil, nil); err != nil {
		return err
	}
	r, err := NewReader(t.Context(), ReaderConfig{Client: a.Client(), Topic: "t", From: sarama.OffsetOldest})
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // always nil
	var got rows
	if _, err := r.Recover(t.Context(), got.take); err != nil {
		return err
	}
	if len(got) == 0 {
		return errors.New("nothing was read")
	}
	return nil
}

func TestSASLOverTLS(t *testing.T) {
	ca := testcert.New(t, t.TempDir())
	b := broker.StartTest(t, broker.Config{
		TLS: &tls.Config{Certificates: []tls.Certificate{ca.Server("127.0.0.1").TLS}},
		Options: []kfake.Opt{
			kfake.EnableSASL(), kfake.Superuser("PLAIN", "plain", "pw1"),
			kfake.Superuser("SCRAM-SHA-256", "scram256", "pw2"), kfake.Superuser("SCRAM-SHA-512", "scram512", "pw3"),
		},
	})
	props := func(kv ...string) map[string]string {
		m := map[string]string{"bootstrap.servers": b.Addrs()[0], "security.protocol": "sasl_ssl", "ssl.ca.location": ca.File}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return m
	}
	for _, test := range []struct{ mechanism, user, password string }{
		{"PLAIN", "plain", "pw1"}, {"SCRAM-SHA-256", "scram256", "pw2"}, {"SCRAM-SHA-512", "scram512", "pw3"},
	} {
		t.Run(test.mechanism, func(t *testing.T) {
			if err := useEverything(t, props("sasl.mechanism", test.mechanism, "sasl.username", test.user, "sasl.password", test.password)); err != nil {
				t.Error(err)
			}
			// kfake hangs up on a wrong password.
			wrong := props("sasl.mechanism", test.mechanism, "sasl.username", test.user, "sasl.password", "wrong-secret")
			err := useEverything(t, wrong)
			var none *ErrNoBroker
			if !errors.As(err, &none) || !strings.Contains(err.Error(), "wrong user, password") || strings.Contains(err.Error(), "wrong-secret") {
				t.Errorf("wrong password: %v, want *ErrNoBroker with a hint", err)
			}
			// Kafka answers SASL_AUTHENTICATION_FAILED.
			b.Cluster().ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
				res := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
				res.ErrorCode = kerr.SaslAuthenticationFailed.Code
				res.ErrorMessage = kmsg.StringPtr("Authentication failed during authentication due to invalid credentials")
				return res, nil, true
			})
			err = useEverything(t, wrong)
			var denied *NotAllowed
			if !errors.As(err, &denied) || !strings.Contains(err.Error(), "log in") || strings.Contains(err.Error(), "wrong-secret") {
				t.Errorf("wrong password: %v, want *NotAllowed", err)
			}
		})
	}
	t.Run("unknown authority", func(t *testing.T) {
		p := props("sasl.mechanism", "PLAIN", "sasl.username", "plain", "sasl.password", "pw1", "ssl.ca.location", testcert.New(t, t.TempDir()).File)
		var none *ErrNoBroker
		if err := useEverything(t, p); !errors.As(err, &none) || !strings.Contains(err.Error(), "unknown authority") {
			t.Errorf("%v, want it to name the certificate", err)
		}
		p["enable.ssl.certificate.verification"] = "false"
		if err := useEverything(t, p); err != nil {
			t.Errorf("not verified: %v", err)
		}
	})
	for name, test := range map[string]struct {
		says  string
		login bool // refused, not unreachable
		props map[string]string
	}{
		"plain text to a TLS port":      {"the port speaks TLS; -X security.protocol=ssl", false, props("security.protocol", "plaintext", "ssl.ca.location", "")},
		"a login in plain text":         {"the port speaks TLS; -X security.protocol=sasl_ssl", false, props("security.protocol", "sasl_plaintext", "ssl.ca.location", "", "sasl.mechanism", "SCRAM-SHA-256", "sasl.username", "scram256", "sasl.password", "pw2")},
		"no login":                      {"it wants a login: -X sasl.mechanism=.. and what belongs to it; it has PLAIN, SCRAM-SHA-256, SCRAM-SHA-512", true, props("security.protocol", "ssl")},
		"an expired server":             {"its certificate was valid from", false, props("security.protocol", "ssl", "bootstrap.servers", expired(t, ca))},
		"a mechanism that is not there": {"does not have this mechanism; it has PLAIN, SCRAM-SHA-256, SCRAM-SHA-512", true, props("sasl.oauthbearer.token.endpoint.url", "https://127.0.0.1:1/token", "sasl.oauthbearer.client.id", "c", "sasl.oauthbearer.client.secret", "s")},
	} {
		t.Run(name, func(t *testing.T) {
			err := useEverything(t, test.props)
			var none *ErrNoBroker
			var denied *NotAllowed
			if errors.As(err, &none) == test.login || errors.As(err, &denied) != test.login || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want it to say %q", err, test.says)
			}
		})
	}
}

// expired is the address of a broker whose certificate is of no use any more.
func expired(t *testing.T, ca *testcert.Authority) string {
	old := ca.ServerUntil(time.Now().Add(-time.Hour), "127.0.0.1").TLS
	return broker.StartTest(t, broker.Config{TLS: &tls.Config{Certificates: []tls.Certificate{old}}}).Addrs()[0]
}

func TestClientCertificate(t *testing.T) {
	ca := testcert.New(t, t.TempDir())
	b := broker.StartTest(t, broker.Config{TLS: &tls.Config{
		Certificates: []tls.Certificate{ca.Server("kafka.example").TLS}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool(),
	}})
	own := ca.Client("brotally", time.Now().Add(time.Hour))
	cert, key := own.CertFile, own.KeyFile
	p := map[string]string{"brokers": b.Addrs()[0], "tls.enabled": "true", "tls.ca": ca.File, "tls.cert": cert, "tls.key": key}
	if err := useEverything(t, p); err == nil || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("certificate for another host: %v", err)
	}
	p["tls.server_name"] = "kafka.example"
	if err := useEverything(t, p); err != nil {
		t.Errorf("with the name given: %v", err)
	}
	delete(p, "tls.server_name")
	p["ssl.endpoint.identification.algorithm"] = "none"
	if err := useEverything(t, p); err != nil {
		t.Errorf("for any host: %v", err)
	}
	p["tls.ca"] = testcert.New(t, t.TempDir()).File
	if err := useEverything(t, p); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("any host, but of another authority: %v", err)
	}
	p["tls.ca"] = ca.File
	delete(p, "tls.cert")
	delete(p, "tls.key")
	if err := useEverything(t, p); err == nil || !strings.Contains(err.Error(), "it asks for one: -X ssl.certificate.location=FILE") {
		t.Errorf("without a certificate of our own: %v", err)
	}
	old := ca.Client("brotally", time.Now().Add(-time.Hour))
	p["tls.cert"], p["tls.key"] = old.CertFile, old.KeyFile
	if err := useEverything(t, p); err == nil || !strings.Contains(err.Error(), "that of CN=brotally was valid from") {
		t.Errorf("with an expired one: %v", err)
	}
}

func TestTLSSettingsThatCannotBe(t *testing.T) {
	ca := testcert.New(t, t.TempDir())
	own := ca.Client("brotally", time.Now().Add(time.Hour))
	cert, key := own.CertFile, own.KeyFile
	for _, test := range []struct {
		says  string
		props map[string]string
	}{
		{"needs its key", map[string]string{"tls.enabled": "true", "tls.cert": cert}},
		{"needs its certificate", map[string]string{"tls.enabled": "true", "tls.key": key}},
		{"no such file", map[string]string{"tls.enabled": "true", "tls.ca": "/nowhere/ca.pem"}},
		{"no PEM certificate", map[string]string{"tls.enabled": "true", "tls.ca": key}},
		{"say security.protocol", map[string]string{"tls.ca": ca.File}},
		{"needs sasl.username", map[string]string{"sasl.mechanism": "SCRAM-SHA-256"}},
		{"needs TLS", map[string]string{"sasl.mechanism": "PLAIN", "sasl.username": "u", "sasl.password": "p"}},
		{"needs TLS", map[string]string{"security.protocol": "sasl_plaintext", "sasl.username": "u", "sasl.password": "p"}},
		{"needs TLS", map[string]string{"sasl.mechanism": "OAUTHBEARER"}},
		{"no such file", map[string]string{"sasl.mechanism": "SCRAM-SHA-256", "sasl.username": "u", "sasl.password.file": "/nowhere"}},
		{"needs sasl.oauthbearer.token.endpoint.url", map[string]string{"security.protocol": "sasl_ssl", "sasl.mechanism": "OAUTHBEARER"}},
		{"want https", map[string]string{"security.protocol": "sasl_ssl", "sasl.oauthbearer.token.endpoint.url": "http://idp.example/token", "sasl.oauthbearer.client.id": "c", "sasl.oauthbearer.client.secret": "s"}},
		{"without user and password", map[string]string{"security.protocol": "sasl_ssl", "sasl.oauthbearer.token.endpoint.url": "https://u:p@idp.example/token", "sasl.oauthbearer.client.id": "c", "sasl.oauthbearer.client.secret": "s"}},
		{"is no name=value", map[string]string{"security.protocol": "sasl_ssl", "sasl.oauthbearer.token.endpoint.url": "https://idp.example/token", "sasl.oauthbearer.client.id": "c", "sasl.oauthbearer.client.secret": "s", "sasl.oauthbearer.extensions": "x"}},
		{"not done here", map[string]string{"sasl.oauthbearer.method": "default"}},
	} {
		_, err := Config{Brokers: []string{"b:1"}, Properties: test.props}.Sarama()
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%v: %v, want it to say %q", test.props, err, test.says)
		}
	}
}

func TestRightsThatAreMissing(t *testing.T) {
	allow := func(r kmsg.ACLResourceType, name string, ops ...kmsg.ACLOperation) (acls []kfake.ACL) {
		for _, op := range ops {
			acls = append(acls, kfake.ACL{Resource: r, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true})
		}
		return acls
	}
	acls := allow(kmsg.ACLResourceTypeTopic, "readable", kmsg.ACLOperationRead, kmsg.ACLOperationDescribe)
	acls = append(acls, allow(kmsg.ACLResourceTypeTopic, "writable", kmsg.ACLOperationWrite)...)
	acls = append(acls, allow(kmsg.ACLResourceTypeTransactionalId, "allowed", kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe)...)
	b := broker.StartTest(t, broker.Config{Options: []kfake.Opt{
		kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("SCRAM-SHA-256", "root", "root"), kfake.User("SCRAM-SHA-256", "zeek", "zeek", acls...),
		kfake.SeedTopics(1, "readable", "secret", "writable"),
	}})
	cfg := Config{Brokers: b.Addrs(), SASL: SASL{Mechanism: "SCRAM-SHA-256", Username: "zeek", Password: NewSecret("zeek")}}
	a, err := NewAdmin(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()

	denied := func(what string, err error, resource string) {
		t.Helper()
		var e *NotAllowed
		if !errors.As(err, &e) || !strings.Contains(err.Error(), resource) {
			t.Errorf("%s: %v, want *NotAllowed that names %q", what, err, resource)
		}
	}
	found, err := a.Describe("readable")
	if err != nil || found["readable"].Partitions != 1 || found["readable"].Config != nil {
		t.Errorf("a topic whose settings are not ours to see: %+v, %v", found, err)
	}
	denied("create", a.Ensure(Topic{Name: "mine", Partitions: 1}), "topic mine")
	_, err = a.CommittedOffsets("g")
	denied("group", err, "group g")
	_, err = NewTx(t.Context(), cfg, "forbidden")
	denied("transactional id", err, "transactional id forbidden")

	tx, err := NewTx(t.Context(), cfg, "allowed")
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	tx.Send("readable", 0, nil, []byte("x"))
	denied("write", tx.Commit(t.Context(), nil, nil), "Write on topic readable")
	// Of several topics in one transaction the broker takes none, and Sarama tells of any of them.
	for range 3 {
		if err := tx.Abort(); err != nil {
			t.Fatal(err)
		}
		for _, topic := range []string{"writable", "readable"} {
			tx.Send(topic, 0, nil, []byte("x"))
		}
		denied("write to both", tx.Commit(t.Context(), nil, nil), "Write on topic readable")
	}
}
