package kafka

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

// Times and sizes that other packages have to know of. They are what [Config.Sarama] sets unless a property says otherwise.
const (
	// TransactionTimeout is when the broker aborts a transaction that its producer does not end. Who takes over a dead
	// instance's partitions waits at most this long. It must stay above the longest commit interval.
	TransactionTimeout = 10 * time.Second

	// SessionTimeout is when a consumer group gives up a member that is silent (Kafka's own lower limit).
	SessionTimeout = 6 * time.Second

	// HeartbeatInterval is also how late a member notices that its group rebalances, and so how late results are when an instance
	// joins or leaves.
	HeartbeatInterval = 150 * time.Millisecond

	// MaxMessageBytes is the largest record or batch that is sent, before compression. Brokers take 1,048,588 bytes unless
	// set otherwise (message.max.bytes).
	MaxMessageBytes = 1_000_000

	// MaxBatchBytes is how far a compressed batch may inflate when it is read: a few kilobytes could else ask for gigabytes.
	MaxBatchBytes = 256 << 20

	// fetchPartition is how many bytes are asked for of one partition at a time, fetchMax of all together.
	fetchPartition int32 = 1 << 20
	fetchMax       int32 = 8 << 20

	// dialTimeout is how long one connection may take to open, pingTimeout how long all brokers together may take to answer
	// before nobody is there: ten seconds are promised.
	dialTimeout = 3 * time.Second
	pingTimeout = 9 * time.Second
)

func init() {
	// Sarama has this as a global, without a limit by default. Set once, before any client can read it.
	sarama.MaxDecompressedBatchSize = MaxBatchBytes
}

// Config says which cluster to talk to and as whom. The zero value of each field but Brokers works.
// It prints without its secrets.
type Config struct {
	// Brokers are host:port of some brokers of the cluster, the others are found through them. The property
	// bootstrap.servers stands in when it is empty.
	Brokers []string

	// App is the namespace of one deployment: its name begins the names of our groups, topics and transactional ids.
	// It is the client id, too, unless the property client.id says otherwise. Defaults to "brotally".
	App string

	// Instance tells the instances of one App apart and stays the same over restarts: a name that comes back resolves the
	// transaction it left open at once. Defaults to the host name.
	Instance string

	TLS  TLS
	SASL SASL

	// Properties are further client settings, in the spellings of librdkafka, rpk or the Java clients; they win over the
	// fields above. An unknown key is an error that suggests the nearest known one, see [Config.Resolve].
	Properties map[string]string

	tune tuning
}

// tuning is what properties change besides the fields of Config; zero means our default.
type tuning struct {
	clientID       string
	rack           string
	session        time.Duration
	heartbeat      time.Duration
	transaction    time.Duration
	metadataMaxAge time.Duration
	readTimeout    time.Duration
	maxMessage     int
	fetchPartition int32
	fetchMax       int32
	compression    *sarama.CompressionCodec
	level          int
	leveled        bool
	login          bool    // security.protocol asks for one
	tokens         *tokens // for OAUTHBEARER
	budget         *Budget // of all who have this Config
}

// Resolve applies the defaults and the properties: what it returns has no Properties left. It opens no file and no
// connection. Errors are *[PropertyError].
func (c Config) Resolve() (Config, error) {
	r := c
	r.Brokers = slices.Clone(c.Brokers)
	r.Properties = nil
	if err := r.apply(c.Properties); err != nil {
		return Config{}, err
	}
	if r.App == "" {
		r.App = "brotally"
	}
	if r.Instance == "" {
		host, err := os.Hostname()
		if err != nil {
			return Config{}, fmt.Errorf("name of this instance: %w", err)
		}
		r.Instance = host
	}
	if t := r.tune.tokens; r.SASL.OAuth != (OAuth{}) && (t == nil || t.oauth != r.SASL.OAuth) {
		r.tune.tokens = &tokens{oauth: r.SASL.OAuth}
	}
	if r.tune.budget == nil {
		r.tune.budget = NewBudget(or(r.tune.fetchMax, fetchMax))
	}
	return r, nil
}

// Budget is what those who recover group tables share who were given one resolved Config, or copies of it; nil before
// [Config.Resolve].
func (c Config) Budget() *Budget { return c.tune.budget }

// Sarama returns settings for every client of ours, valid and safe to change (the caller owns them).
// Who hands them to Goka, or writes a consumer group or producer of its own, adds the few things only it can know:
//
//   - goka.ReplaceGlobalConfig(cfg) before any processor, view or emitter is made; Goka's own default is acks=1 at protocol 2.0;
//   - Consumer.Group.Rebalance.GroupStrategies = {goka.CopartitioningStrategy} for a processor with several inputs;
//   - goka.WithHasher(NewHasher) and its siblings for views and emitters: Goka's default is FNV, which no other client knows;
//   - topics are made by [Admin.Ensure] before Goka looks for them: its topic manager would make them with two replicas, and
//     streams with one hour of retention;
//   - Errors() of consumers is to be drained (Consumer.Return.Errors is on, as Goka expects);
//   - Producer.Transaction.ID for a producer that is not a [Tx].
func (c Config) Sarama() (*sarama.Config, error) {
	c, err := c.Resolve()
	if err != nil {
		return nil, err
	}
	s := sarama.NewConfig()
	t := c.tune

	// 2.8 is the least that has topic ids and producer fencing by name, and every broker since speaks it.
	s.Version = sarama.V2_8_0_0
	s.ClientID = or(t.clientID, c.App)
	s.RackID = t.rack
	s.ChannelBufferSize = 1024
	s.MetricRegistry = unmeasured{} // a nil registry panics in the middle of a fetch

	// A request may wait for the whole of a rebalance (JoinGroup), so reads need patience; connecting does not.
	s.Net.DialTimeout = dialTimeout
	s.Net.ReadTimeout = or(t.readTimeout, 30*time.Second)
	s.Net.WriteTimeout = 10 * time.Second
	s.Net.MaxOpenRequests = 1 // more would let a retried batch overtake its successor

	s.Metadata.Retry.Max = 10
	s.Metadata.Retry.Backoff = 250 * time.Millisecond
	s.Metadata.Timeout = 6 * time.Second // and one dial more: an unreachable broker is an error within ten seconds
	s.Metadata.RefreshFrequency = or(t.metadataMaxAge, time.Minute)
	s.Metadata.AllowAutoTopicCreation = false // waiting for an input topic must not create it

	s.Admin.Timeout = 10 * time.Second
	s.Admin.Retry.Max = 20
	s.Admin.Retry.Backoff = 100 * time.Millisecond

	p := &s.Producer
	p.Idempotent = true
	p.RequiredAcks = sarama.WaitForAll
	p.Timeout = 10 * time.Second
	p.Retry.Max = 100 // for as long as the transaction lives: a broker that restarts within that costs nothing but time
	p.Retry.Backoff = TransactionTimeout / 100
	p.MaxMessageBytes = or(t.maxMessage, MaxMessageBytes)
	p.Compression = sarama.CompressionSnappy
	if t.compression != nil {
		p.Compression = *t.compression
	}
	if t.leveled {
		p.CompressionLevel = t.level
	}
	p.Partitioner = func(string) sarama.Partitioner { return presetPartitioner{} }
	p.Flush.Frequency = 0 // a wait here is latency in every commit; batches grow while the previous one is on its way
	p.Flush.Bytes = 0
	p.Flush.Messages = 0
	p.Return.Successes = false // the commit is the acknowledgement
	p.Return.Errors = true
	p.Transaction.Timeout = or(t.transaction, TransactionTimeout)
	// CONCURRENT_TRANSACTIONS is the normal answer for a millisecond or two after each commit. Sarama waits 20 to 100 ms then,
	// which would be most of a commit's time. In all: 0.2 s of quick tries, then 30 s of slow ones.
	p.Transaction.Retry.Max = 700
	p.Transaction.Retry.BackoffFunc = func(retries, _ int) time.Duration {
		if retries < 100 {
			return 2 * time.Millisecond
		}
		return 50 * time.Millisecond
	}

	r := &s.Consumer
	r.IsolationLevel = sarama.ReadCommitted
	r.Offsets.Initial = sarama.OffsetOldest
	r.Offsets.AutoCommit.Enable = false
	r.Offsets.Retry.Max = 10
	r.Return.Errors = true
	r.Retry.Backoff = 100 * time.Millisecond
	r.MaxWaitTime = 250 * time.Millisecond
	r.MaxProcessingTime = time.Second
	r.Fetch.Default = or(t.fetchPartition, fetchPartition)
	r.Fetch.MaxBytes = or(t.fetchMax, fetchMax)
	r.Group.ResetInvalidOffsets = false // a topic made anew would silently be read again
	r.Group.Session.Timeout = or(t.session, SessionTimeout)
	r.Group.Heartbeat.Interval = or(t.heartbeat, HeartbeatInterval)
	// Who has not joined again by then is out. It must stay below the read timeout, or all who wait for him give up with him.
	r.Group.Rebalance.Timeout = 10 * time.Second
	r.Group.Rebalance.Retry.Max = 100
	r.Group.Rebalance.Retry.Backoff = 100 * time.Millisecond

	if err := c.TLS.apply(s); err != nil {
		return nil, err
	}
	if err := c.SASL.apply(s, t.tokens); err != nil {
		return nil, err
	}
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("client settings: %w", err)
	}
	return s, nil
}

// String shows the settings without passwords, keys or certificates.
func (c Config) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "brokers=%s app=%s instance=%s", strings.Join(c.Brokers, ","), c.App, c.Instance)
	if c.TLS.Enable {
		fmt.Fprintf(&b, " tls={%s}", c.TLS)
	}
	if c.SASL.Mechanism != "" {
		fmt.Fprintf(&b, " sasl={%s}", c.SASL)
	}
	keys := make([]string, 0, len(c.Properties))
	for k := range c.Properties {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		v := c.Properties[k]
		if secret(k) {
			v = redacted
		}
		fmt.Fprintf(&b, " %s=%s", k, v)
	}
	return b.String()
}

// GoString is String: %#v must not show secrets either.
func (c Config) GoString() string { return c.String() }

// MarshalText is String: neither JSON nor a log shows secrets.
func (c Config) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// presetPartitioner sends a message where its Partition says. All our senders choose the partition themselves, see [Partition].
type presetPartitioner struct{}

func (presetPartitioner) Partition(m *sarama.ProducerMessage, n int32) (int32, error) {
	if m.Partition < 0 || m.Partition >= n {
		return 0, fmt.Errorf("send to %s/%d: the topic has %d partitions: %w", m.Topic, m.Partition, n, sarama.ErrInvalidPartition)
	}
	return m.Partition, nil
}

func (presetPartitioner) RequiresConsistency() bool { return true }

// or returns v unless it is zero.
func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
