package kafka

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

// PropertyError is a client setting that cannot be used.
type PropertyError struct {
	Key  string
	Why  string
	Hint string // what to write instead; empty if there is nothing to suggest
}

func (e *PropertyError) Error() string {
	s := "-X " + e.Key + ": " + e.Why
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// setter takes a property's value over into c.
type setter func(c *Config, value string) error

// properties are the settings one may give, by the names librdkafka (kcat, most clients), rpk and the Java clients use.
var properties = map[string]setter{
	"bootstrap.servers":    brokers,
	"metadata.broker.list": brokers,
	"brokers":              brokers, // rpk
	"client.id":            text(func(c *Config) *string { return &c.tune.clientID }),
	"client.rack":          text(func(c *Config) *string { return &c.tune.rack }),

	"security.protocol": protocol,
	"sasl.mechanism":    mechanism,
	"sasl.mechanisms":   mechanism, // librdkafka's name
	"sasl.username":     text(func(c *Config) *string { return &c.SASL.Username }),
	"sasl.password":     hidden(func(c *Config) *Secret { return &c.SASL.Password }),
	"user":              text(func(c *Config) *string { return &c.SASL.Username }),   // rpk
	"pass":              hidden(func(c *Config) *Secret { return &c.SASL.Password }), // rpk

	"sasl.password.file": text(func(c *Config) *string { return &c.SASL.PasswordFile }),

	"sasl.oauthbearer.method":             only("oidc"),
	"sasl.oauthbearer.grant.type":         only("client_credentials"),
	"sasl.oauthbearer.token.endpoint.url": text(func(c *Config) *string { return &c.SASL.OAuth.TokenURL }),
	"sasl.oauthbearer.client.id":          text(func(c *Config) *string { return &c.SASL.OAuth.ClientID }),
	"sasl.oauthbearer.client.secret":      hidden(func(c *Config) *Secret { return &c.SASL.OAuth.ClientSecret }),
	"sasl.oauthbearer.client.secret.file": text(func(c *Config) *string { return &c.SASL.OAuth.ClientSecretFile }),
	"sasl.oauthbearer.scope":              text(func(c *Config) *string { return &c.SASL.OAuth.Scope }),
	"sasl.oauthbearer.extensions":         text(func(c *Config) *string { return &c.SASL.OAuth.Extensions }),
	"https.ca.location":                   text(func(c *Config) *string { return &c.SASL.OAuth.CAFile }), // librdkafka's name

	"sasl.oauthbearer.client.credentials.client.id":     text(func(c *Config) *string { return &c.SASL.OAuth.ClientID }),       // Java 4.1 and later
	"sasl.oauthbearer.client.credentials.client.secret": hidden(func(c *Config) *Secret { return &c.SASL.OAuth.ClientSecret }), // as above

	"tls.enabled":              flag(func(c *Config) *bool { return &c.TLS.Enable }),
	"tls.ca":                   text(func(c *Config) *string { return &c.TLS.CAFile }),
	"tls.cert":                 text(func(c *Config) *string { return &c.TLS.CertFile }),
	"tls.key":                  text(func(c *Config) *string { return &c.TLS.KeyFile }),
	"tls.insecure_skip_verify": flag(func(c *Config) *bool { return &c.TLS.InsecureSkipVerify }),
	"tls.server_name":          text(func(c *Config) *string { return &c.TLS.ServerName }),

	"ssl.ca.location":                       text(func(c *Config) *string { return &c.TLS.CAFile }),
	"ssl.certificate.location":              text(func(c *Config) *string { return &c.TLS.CertFile }),
	"ssl.key.location":                      text(func(c *Config) *string { return &c.TLS.KeyFile }),
	"ssl.ca.pem":                            text(func(c *Config) *string { return &c.TLS.CAPEM }),
	"ssl.certificate.pem":                   text(func(c *Config) *string { return &c.TLS.CertPEM }),
	"ssl.key.pem":                           hidden(func(c *Config) *Secret { return &c.TLS.KeyPEM }),
	"ssl.truststore.certificates":           text(func(c *Config) *string { return &c.TLS.CAPEM }),    // Java, PEM
	"ssl.keystore.certificate.chain":        text(func(c *Config) *string { return &c.TLS.CertPEM }),  // Java, PEM
	"ssl.keystore.key":                      hidden(func(c *Config) *Secret { return &c.TLS.KeyPEM }), // Java, PEM
	"enable.ssl.certificate.verification":   verify,
	"ssl.endpoint.identification.algorithm": identification,

	"session.timeout.ms":        millis(func(c *Config) *time.Duration { return &c.tune.session }, 10),
	"heartbeat.interval.ms":     millis(func(c *Config) *time.Duration { return &c.tune.heartbeat }, 1),
	"transaction.timeout.ms":    millis(func(c *Config) *time.Duration { return &c.tune.transaction }, 100),
	"metadata.max.age.ms":       millis(func(c *Config) *time.Duration { return &c.tune.metadataMaxAge }, 1000),
	"socket.timeout.ms":         millis(func(c *Config) *time.Duration { return &c.tune.readTimeout }, 1000),
	"request.timeout.ms":        millis(func(c *Config) *time.Duration { return &c.tune.readTimeout }, 1000),
	"message.max.bytes":         number(func(c *Config) *int { return &c.tune.maxMessage }, 64<<10, 64<<20),
	"max.request.size":          number(func(c *Config) *int { return &c.tune.maxMessage }, 64<<10, 64<<20),
	"fetch.message.max.bytes":   number(func(c *Config) *int32 { return &c.tune.fetchPartition }, 1<<10, 512<<20),
	"max.partition.fetch.bytes": number(func(c *Config) *int32 { return &c.tune.fetchPartition }, 1<<10, 512<<20),
	"fetch.max.bytes":           number(func(c *Config) *int32 { return &c.tune.fetchMax }, 1<<10, 90<<20),
	"compression.codec":         compression,
	"compression.type":          compression,
	"compression.level":         compressionLevel,
}

// refused are settings that people may try and that we must not take over, with the reason.
var refused = map[string]string{
	"sasl.jaas.config":           "is for the Java clients; write sasl.username and sasl.password, or sasl.oauthbearer.client.id and .client.secret",
	"sasl.oauthbearer.config":    "is for tokens that nobody signs; write sasl.oauthbearer.token.endpoint.url, .client.id and .client.secret",
	"sasl.kerberos.service.name": "there is no Kerberos here; there are PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER",
	"ssl.truststore.location":    "is for the Java clients; write ssl.ca.location with a PEM file",
	"ssl.truststore.password":    "is for the Java clients; write ssl.ca.location with a PEM file",
	"ssl.keystore.location":      "is not read; write ssl.certificate.location and ssl.key.location with PEM files",
	"ssl.keystore.password":      "is not read; write ssl.certificate.location and ssl.key.location with PEM files",
	"ssl.key.password":           "encrypted keys are not read; write ssl.key.location with a plain PEM file that only you may read",

	"group.id":                              "is made from --app; two deployments on one cluster need different --app",
	"group.instance.id":                     "is made from --instance",
	"transactional.id":                      "is made from --app and --instance",
	"isolation.level":                       exactness,
	"enable.idempotence":                    exactness,
	"acks":                                  exactness,
	"request.required.acks":                 exactness,
	"enable.auto.commit":                    exactness,
	"auto.commit.interval.ms":               exactness,
	"auto.offset.reset":                     exactness + " (where a table starts is WITH (start = ..))",
	"linger.ms":                             "would only wait: batches grow while the one before is on its way (--commit-interval says how often there is one)",
	"max.in.flight":                         exactness,
	"max.in.flight.requests.per.connection": exactness,
	"retries":                               exactness,
	"partitioner":                           "is murmur2 always, as the Java clients have it",
	"partitioner.class":                     "is murmur2 always, as the Java clients have it",
	"partition.assignment.strategy":         "is fixed: a table's topics must be assigned together",
}

const exactness = "is fixed: another value would lose or double count records"

// PropertyNames returns the names of all settings that [Config.Properties] may have, sorted.
func PropertyNames() []string {
	names := make([]string, 0, len(properties))
	for k := range properties {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

// apply takes props over into c, in the order of their names so that the first error is always the same.
func (c *Config) apply(props map[string]string) error {
	keys := make([]string, 0, len(props))
	for k := range props {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, key := range keys {
		name := strings.ToLower(strings.TrimSpace(key))
		if why, ok := refused[name]; ok {
			return &PropertyError{Key: key, Why: why}
		}
		set, ok := properties[name]
		if !ok {
			e := &PropertyError{Key: key, Why: "no such setting"}
			if near := nearest(name, PropertyNames()); near != "" {
				e.Hint = "did you mean " + near + "?"
			}
			return e
		}
		if err := set(c, strings.TrimSpace(props[key])); err != nil {
			return &PropertyError{Key: key, Why: err.Error()}
		}
	}
	// Credentials without a mechanism mean the simplest one that takes them, as in every client.
	switch {
	case c.SASL.Mechanism != "":
	case c.SASL.OAuth != (OAuth{}):
		c.SASL.Mechanism = sarama.SASLTypeOAuth
	case c.SASL.Username != "", c.tune.login:
		c.SASL.Mechanism = sarama.SASLTypePlaintext
	}
	return nil
}

func brokers(c *Config, v string) error {
	if len(c.Brokers) > 0 {
		return nil // the flag wins: it is the more particular
	}
	for b := range strings.SplitSeq(v, ",") {
		if b = strings.TrimSpace(b); b != "" {
			c.Brokers = append(c.Brokers, b)
		}
	}
	return nil
}

func protocol(c *Config, v string) error {
	switch strings.ToUpper(v) {
	case "PLAINTEXT":
		c.TLS.Enable = false
	case "SSL":
		c.TLS.Enable = true
	case "SASL_PLAINTEXT":
		c.TLS.Enable = false
		c.tune.login = true
	case "SASL_SSL":
		c.TLS.Enable = true
		c.tune.login = true
	default:
		return fmt.Errorf("no security protocol %q; there are plaintext, ssl, sasl_plaintext, sasl_ssl", v)
	}
	return nil
}

func mechanism(c *Config, v string) error {
	m := strings.ToUpper(v)
	if !slices.Contains(mechanisms, m) {
		return fmt.Errorf("no mechanism %q here; there are %s", v, strings.Join(mechanisms, ", "))
	}
	c.SASL.Mechanism = m
	return nil
}

func verify(c *Config, v string) error {
	on, err := strconv.ParseBool(strings.ToLower(v))
	if err != nil {
		return fmt.Errorf("%q is neither true nor false", v)
	}
	c.TLS.InsecureSkipVerify = !on
	return nil
}

func identification(c *Config, v string) error {
	switch strings.ToLower(v) {
	case "https":
		c.TLS.AnyHostName = false
	case "none", "":
		c.TLS.AnyHostName = true
	default:
		return fmt.Errorf("%q is neither https nor none", v)
	}
	return nil
}

func compression(c *Config, v string) error {
	var codec sarama.CompressionCodec
	if err := codec.UnmarshalText([]byte(strings.ToLower(v))); err != nil {
		return fmt.Errorf("no codec %q; there are none, gzip, snappy, lz4, zstd", v)
	}
	c.tune.compression = &codec
	return nil
}

func compressionLevel(c *Config, v string) error {
	n, err := strconv.Atoi(v)
	if err != nil {
		return fmt.Errorf("%q is not a number", v)
	}
	c.tune.level, c.tune.leveled = n, true
	return nil
}

func text(at func(*Config) *string) setter {
	return func(c *Config, v string) error {
		*at(c) = v
		return nil
	}
}

// hidden is text that is not to be printed.
func hidden(at func(*Config) *Secret) setter {
	return func(c *Config, v string) error {
		*at(c) = NewSecret(v)
		return nil
	}
}

// only takes the one value that we do by ourselves.
func only(value string) setter {
	return func(_ *Config, v string) error {
		if !strings.EqualFold(v, value) {
			return fmt.Errorf("%q is not done here, only %s", v, value)
		}
		return nil
	}
}

func flag(at func(*Config) *bool) setter {
	return func(c *Config, v string) error {
		on, err := strconv.ParseBool(strings.ToLower(v))
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", v)
		}
		*at(c) = on
		return nil
	}
}

func millis(at func(*Config) *time.Duration, least int64) setter {
	return func(c *Config, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number of milliseconds", v)
		}
		if n < least || n > int64(24*time.Hour/time.Millisecond) {
			return fmt.Errorf("%d ms is not between %d ms and a day", n, least)
		}
		*at(c) = time.Duration(n) * time.Millisecond
		return nil
	}
}

func number[T int | int32](at func(*Config) *T, least, most int64) setter {
	return func(c *Config, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", v)
		}
		if n < least || n > most {
			return fmt.Errorf("%d is not between %d and %d", n, least, most)
		}
		*at(c) = T(n)
		return nil
	}
}

// nearest returns the name that needs the fewest edits to become s; empty if even that is more than a third of it.
func nearest(s string, names []string) string {
	best, at := "", len(s)/3+1
	for _, n := range names {
		if d := edits(s, n); d < at {
			best, at = n, d
		}
	}
	return best
}

// edits is the Levenshtein distance of a and b.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
