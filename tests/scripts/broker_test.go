package scripts

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/brotally/brotally/internal/broker"
	"github.com/brotally/brotally/internal/testcert"
	"github.com/brotally/brotally/internal/testregistry"
)

// startBroker starts an embedded broker, with settings of the broker if there are any. A secure one speaks TLS, with its
// authority in ca.pem, and SCRAM-SHA-256: admin may do everything, guest nothing; their passwords are their names.
func startBroker(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: broker [secure|NAME=VALUE]..")
	}
	var c broker.Config
	for _, arg := range args {
		if name, value, ok := strings.Cut(arg, "="); ok {
			c.Options = append(c.Options, kfake.BrokerConfigs(map[string]string{name: value}))
			continue
		}
		if arg != "secure" {
			ts.Fatalf("usage: broker [secure|NAME=VALUE]..")
		}
		ca := testcert.New(ts, ts.Getenv("WORK"))
		ts.Check(os.Rename(ca.File, ts.MkAbs("ca.pem")))
		c.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Server("127.0.0.1").TLS}}
		c.Options = append(c.Options,
			kfake.EnableSASL(), kfake.EnableACLs(),
			kfake.Superuser("SCRAM-SHA-256", "admin", "admin"), kfake.User("SCRAM-SHA-256", "guest", "guest"),
		)
	}
	b, err := broker.Start(c)
	ts.Check(err)
	ts.Defer(func() { ts.Check(b.Close()) })
	_, port, err := net.SplitHostPort(b.Addrs()[0])
	ts.Check(err)
	ts.Setenv("BROKER", b.Addrs()[0])
	ts.Setenv("BROKERPORT", port)
}

// certificate writes a server's certificate for this machine into cert.pem and key.pem, and its authority into ca.pem.
func certificate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: certificate")
	}
	ca := testcert.New(ts, ts.Getenv("WORK"))
	server := ca.Server("127.0.0.1")
	for from, to := range map[string]string{ca.File: "ca.pem", server.CertFile: "cert.pem", server.KeyFile: "key.pem"} {
		if to = ts.MkAbs(to); from != to {
			ts.Check(os.Rename(from, to))
		}
	}
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

// admin returns a client of the script's broker.
func admin(ts *testscript.TestScript) *kadm.Client {
	client, err := kgo.NewClient(kgo.SeedBrokers(ts.Getenv("BROKER")))
	ts.Check(err)
	ts.Defer(client.Close)
	return kadm.NewClient(client)
}

func alterTopic(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: alter TOPIC NAME=VALUE..")
	}
	var changes []kadm.AlterConfig
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		changes = append(changes, kadm.AlterConfig{Name: name, Value: &value})
	}
	done, err := admin(ts).AlterTopicConfigs(context.Background(), changes, args[0])
	ts.Check(err)
	for _, d := range done {
		ts.Check(d.Err)
	}
}

func deleteTopic(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: delete TOPIC")
	}
	done, err := admin(ts).DeleteTopics(context.Background(), args[0])
	ts.Check(err)
	ts.Check(done.Error())
}
