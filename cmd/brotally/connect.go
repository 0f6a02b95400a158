package main

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/registry"
)

// connection is the flags of commands that talk to a cluster.
type connection struct {
	brokers    []string
	app        string
	instance   string
	properties *pairs
	tls        kafka.TLS
	schemas    string // the registry's URL
	registry   registry.Config
}

func (c *connection) register(cmd *cobra.Command) {
	f := cmd.Flags()
	c.properties = newPairs("key=value")
	f.StringSliceVarP(&c.brokers, "brokers", "b", []string{"localhost:9092"}, "`HOST:PORT` of some brokers; also --bootstrap-server")
	f.StringVar(&c.app, "app", "brotally", "namespace of one deployment: begins the names of its groups and topics")
	f.StringVar(&c.instance, "instance", "", "`NAME` of this instance, the same over restarts (default the host name)")
	f.VarP(c.properties, "property", "X", "client setting as librdkafka, rpk or the Java clients name it: sasl.mechanism=SCRAM-SHA-256")
	f.StringVar(&c.schemas, "schema-registry", "", "`URL` of the schema registry, for records in Avro; several of one registry with commas")
	f.BoolVar(&c.tls.Enable, "tls", false, "encrypt connections")
	f.StringVar(&c.tls.CAFile, "tls-ca", "", "PEM `FILE` of the authorities to trust (default the system's)")
	f.StringVar(&c.tls.CertFile, "tls-cert", "", "PEM `FILE` of our own certificate")
	f.StringVar(&c.tls.KeyFile, "tls-key", "", "PEM `FILE` of its key")
	f.StringVar(&c.tls.ServerName, "tls-server-name", "", "`NAME` that the brokers' certificates are for, if not their host's")
	f.BoolVar(&c.tls.InsecureSkipVerify, "tls-insecure", false, "take every certificate: whoever sits in between can read and change everything")
	complete(cmd, "property", propertyCompletions()...)
}

func propertyCompletions() []string {
	names := propertyNames()
	for i := range names {
		names[i] += "="
	}
	return names
}

// propertyNames are those of the Kafka clients and of the schema registry's.
func propertyNames() []string { return append(kafka.PropertyNames(), registry.PropertyNames()...) }

// config returns the settings of the clients, checked as far as possible without a connection.
func (c *connection) config() (kafka.Config, error) {
	of, properties, err := registry.Split(c.schemas, c.properties.values)
	if err != nil {
		return kafka.Config{}, &usageError{err}
	}
	c.registry = of
	cfg := kafka.Config{App: c.app, Instance: c.instance, TLS: c.tls, Properties: properties}
	for _, b := range c.brokers {
		if b = strings.TrimSpace(b); b != "" {
			cfg.Brokers = append(cfg.Brokers, withPort(b))
		}
	}
	// Naming a file of TLS is asking for TLS.
	if c.tls != (kafka.TLS{}) {
		cfg.TLS.Enable = true
	}
	cfg, err = cfg.Resolve()
	if err == nil {
		_, err = cfg.Sarama()
	}
	if err != nil {
		return kafka.Config{}, &usageError{err}
	}
	if err := checkApp(cfg.App); err != nil {
		return kafka.Config{}, &usageError{err}
	}
	return cfg, nil
}

// registryClient returns a client of the schema registry, nil when none is set. The settings are those that config has read.
func (c *connection) registryClient(log *slog.Logger) (*registry.Client, error) {
	if len(c.registry.URLs) == 0 {
		return nil, nil
	}
	cl, err := registry.New(c.registry, log)
	if err != nil {
		return nil, &usageError{err}
	}
	return cl, nil
}

// withPort adds Kafka's port to a broker's address that has none.
func withPort(broker string) string {
	if strings.Contains(broker, ":") && !strings.HasSuffix(broker, "]") {
		return broker
	}
	return broker + ":9092"
}

// checkApp refuses names that topics cannot begin with.
func checkApp(app string) error {
	if !beginsTopics(app) {
		return fmt.Errorf("--app %q: letters, digits, dot, _ and - only: topics begin with it", app)
	}
	return nil
}

// beginsTopics says whether topics' names can begin with a text, or hold it.
func beginsTopics(name string) bool {
	for _, r := range name {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' || r == '.' {
			continue
		}
		return false
	}
	return true
}
