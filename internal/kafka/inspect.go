package kafka

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Inspector looks at a cluster for things that Sarama has no requests for, or leaves half of the answer out. It changes nothing,
// whatever it may. It is franz-go's client with the settings of ours; see docs/decisions/0006-doctor.md. Close it.
type Inspector struct {
	cl   *kgo.Client
	conf *sarama.Config
}

// NewInspector returns an Inspector. It asks nobody yet: that brokers answer is for [Dial] to say, which says why not.
func NewInspector(c Config) (*Inspector, error) {
	c, err := c.Resolve()
	if err != nil {
		return nil, err
	}
	conf, err := c.Sarama()
	if err != nil {
		return nil, err
	}
	opts := []kgo.Opt{kgo.SeedBrokers(c.Brokers...), kgo.ClientID(conf.ClientID), kgo.DialTimeout(dialTimeout),
		kgo.RetryTimeout(patience), kgo.RequestTimeoutOverhead(patience)}
	if conf.Net.TLS.Enable {
		opts = append(opts, kgo.DialTLSConfig(conf.Net.TLS.Config))
	}
	if m := mechanismOf(conf); m != nil {
		opts = append(opts, kgo.SASL(m))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("client settings: %w", err)
	}
	return &Inspector{cl, conf}, nil
}

// mechanismOf is the login of conf in franz-go's terms; nil for none.
func mechanismOf(conf *sarama.Config) sasl.Mechanism {
	n := conf.Net.SASL
	switch {
	case !n.Enable:
		return nil
	case n.Mechanism == sarama.SASLTypePlaintext:
		return plain.Auth{User: n.User, Pass: n.Password}.AsMechanism()
	case n.Mechanism == sarama.SASLTypeSCRAMSHA256:
		return scram.Auth{User: n.User, Pass: n.Password}.AsSha256Mechanism()
	case n.Mechanism == sarama.SASLTypeSCRAMSHA512:
		return scram.Auth{User: n.User, Pass: n.Password}.AsSha512Mechanism()
	}
	return oauth.Oauth(func(context.Context) (oauth.Auth, error) {
		t, err := n.TokenProvider.Token()
		if err != nil {
			return oauth.Auth{}, err
		}
		return oauth.Auth{Token: t.Token, Extensions: t.Extensions}, nil
	})
}

// Close closes the connections.
func (i *Inspector) Close() { i.cl.Close() }

// Principal is [Principal].
func (i *Inspector) Principal() string { return Principal(i.conf) }

// Cluster is what a cluster says of itself.
type Cluster struct {
	ID         string
	Controller int32
	Brokers    map[int32]string // host:port, by id
	Version    string           // a guess by what it understands: "4.1", "at least 4.1"; empty for no release that we know
	Lacks      []string         // what we need and it does not have
	may        int32            // what we may do to the cluster, as Kafka has it
	versions   *kversion.Versions
}

// needed are requests in the least version that exactly once takes, and what they are for.
var needed = []struct {
	key     kmsg.Key
	version int16
	what    string
}{
	{kmsg.TxnOffsetCommit, 3, "transactions by a group's generation (KIP-447, Kafka 2.5)"},
	{kmsg.EndTxn, 0, "transactions (Kafka 0.11)"},
	{kmsg.Metadata, 10, "topic ids (Kafka 2.8)"},
	{kmsg.OffsetFetch, 7, "stable offsets (KIP-447, Kafka 2.5)"},
	{kmsg.JoinGroup, 5, "static members (Kafka 2.3)"},
	{kmsg.DeleteRecords, 0, "deleting records (Kafka 0.11)"},
}

// Cluster asks one of the brokers.
func (i *Inspector) Cluster(ctx context.Context) (c Cluster, err error) {
	about := kmsg.NewPtrMetadataRequest()
	about.Topics, about.IncludeClusterAuthorizedOperations = []kmsg.MetadataRequestTopic{}, true
	m, err := about.RequestWith(ctx, i.cl)
	if err != nil {
		return c, i.fail("describe the cluster", err)
	}
	c.Controller, c.Brokers, c.may = m.ControllerID, map[int32]string{}, m.AuthorizedOperations
	if m.ClusterID != nil {
		c.ID = *m.ClusterID
	}
	for _, b := range m.Brokers {
		c.Brokers[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	}
	if d, err := describeCluster(ctx, i.cl); err == nil { // newer brokers say there what we may
		c.may = d.ClusterAuthorizedOperations
	}
	ask := kmsg.NewPtrApiVersionsRequest()
	ask.ClientSoftwareName, ask.ClientSoftwareVersion = "brotally", "doctor"
	v, err := ask.RequestWith(ctx, i.cl)
	if err != nil {
		return c, i.fail("versions", err)
	}
	has := kversion.FromApiVersionsResponse(v)
	c.versions = has
	if guess := has.VersionGuess(); strings.HasPrefix(guess, "v") || strings.HasPrefix(guess, "at least") {
		c.Version = strings.Replace(guess, "v", "", 1)
	}
	for _, n := range needed {
		if most, ok := has.LookupMaxKeyVersion(int16(n.key)); !ok || most < n.version {
			c.Lacks = append(c.Lacks, n.what)
		}
	}
	return c, nil
}

func describeCluster(ctx context.Context, cl *kgo.Client) (*kmsg.DescribeClusterResponse, error) {
	ask := kmsg.NewPtrDescribeClusterRequest()
	ask.IncludeClusterAuthorizedOperations = true
	d, err := ask.RequestWith(ctx, cl)
	if err != nil {
		return nil, err
	}
	return d, kerr.ErrorForCode(d.ErrorCode)
}

// fail is [Fail] for franz-go's errors: their codes are Kafka's, as Sarama's are.
func (i *Inspector) fail(op string, err error, rights ...Right) error {
	var coded *kerr.Error
	if errors.As(err, &coded) {
		err = sarama.KError(coded.Code)
	}
	return as(i.conf, Fail(op, err, rights...))
}

// Handshake returns what TLS agreed on with a broker.
func (i *Inspector) Handshake(ctx context.Context, addr string) (tls.ConnectionState, error) {
	own := i.conf.Net.TLS.Config.Clone()
	if host, _, err := net.SplitHostPort(addr); err == nil && own.ServerName == "" {
		own.ServerName = host
	}
	raw, err := dialer{ctx: ctx}.Dial("tcp", addr)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	c := tls.Client(raw, own)
	defer c.Close() //nolint:errcheck // nothing was sent
	if err := c.HandshakeContext(ctx); err != nil {
		return tls.ConnectionState{}, explain(ctx, addr, i.conf, err)
	}
	return c.ConnectionState(), nil
}

// Settings returns a broker's settings, of which secret ones are empty. *[NotAllowed] without DescribeConfigs on the cluster.
func (i *Inspector) Settings(ctx context.Context, broker int32) (map[string]string, error) {
	op := fmt.Sprintf("settings of broker %d", broker)
	right := Right{Operation: "DescribeConfigs", Kind: KindCluster}
	ask := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeBroker, strconv.Itoa(int(broker))
	ask.Resources = append(ask.Resources, r)
	res, err := ask.RequestWith(ctx, i.cl)
	if err != nil {
		return nil, i.fail(op, err, right)
	}
	all := map[string]string{}
	for _, r := range res.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return nil, i.fail(op, err, right)
		}
		for _, c := range r.Configs {
			if c.Value != nil {
				all[c.Name] = *c.Value
			}
		}
	}
	return all, nil
}

// Disk is one folder of a broker.
type Disk struct {
	Broker      int32
	Path        string
	Total, Free int64            // bytes; -1 where the broker does not say (before Kafka 3.3)
	Topics      map[string]int64 // bytes, by topic
	Err         error            // what is wrong with it
}

// Disks returns all folders of all brokers. *[NotAllowed] without Describe on the cluster.
func (i *Inspector) Disks(ctx context.Context) ([]Disk, error) {
	const op = "sizes on disk"
	right := Right{Operation: "Describe", Kind: KindCluster}
	var all []Disk
	for _, shard := range i.cl.RequestSharded(ctx, kmsg.NewPtrDescribeLogDirsRequest()) {
		if shard.Err != nil {
			return nil, i.fail(op, shard.Err, right)
		}
		res := shard.Resp.(*kmsg.DescribeLogDirsResponse)
		if err := kerr.ErrorForCode(res.ErrorCode); err != nil {
			return nil, i.fail(op, err, right)
		}
		for _, dir := range res.Dirs {
			d := Disk{Broker: shard.Meta.NodeID, Path: dir.Dir, Total: dir.TotalBytes, Free: dir.UsableBytes, Topics: map[string]int64{}, Err: kerr.ErrorForCode(dir.ErrorCode)}
			for _, t := range dir.Topics {
				for _, p := range t.Partitions {
					d.Topics[t.Topic] += p.Size
				}
			}
			all = append(all, d)
		}
		if len(res.Dirs) == 0 && res.Version < 3 { // what brokers before Kafka 3.2 say instead of a code
			return nil, denied(op, right, sarama.ErrClusterAuthorizationFailed)
		}
	}
	slices.SortFunc(all, func(a, b Disk) int { return cmp.Or(cmp.Compare(a.Broker, b.Broker), cmp.Compare(a.Path, b.Path)) })
	return all, nil
}

// Clock returns how far the controller's clock is ahead of ours, and how exactly that is known. Kafka's answers carry no time
// of day but one: how far the controllers are with each other (KIP-836), which has the leader's own clock.
// *[NotAllowed] without Describe on the cluster, [ErrNoClock] where there is no such answer.
func (i *Inspector) Clock(ctx context.Context, c Cluster) (ahead, within time.Duration, err error) {
	const op = "clock"
	if most, ok := c.versions.LookupMaxKeyVersion(int16(kmsg.DescribeQuorum)); !ok || most < 1 {
		return 0, 0, ErrNoClock
	}
	for range 3 { // the first one opens connections, here and between broker and controller
		ask := kmsg.NewPtrDescribeQuorumRequest()
		topic, partition := kmsg.NewDescribeQuorumRequestTopic(), kmsg.NewDescribeQuorumRequestTopicPartition()
		topic.Topic, topic.Partitions = "__cluster_metadata", append(topic.Partitions, partition)
		ask.Topics = append(ask.Topics, topic)
		sent := time.Now()
		res, e := ask.RequestWith(ctx, i.cl)
		took := time.Since(sent)
		if e == nil {
			e = kerr.ErrorForCode(res.ErrorCode)
		}
		if e != nil {
			return 0, 0, i.fail(op, e, Right{Operation: "Describe", Kind: KindCluster})
		}
		at, ok := leaderClock(res)
		if !ok {
			return 0, 0, ErrNoClock
		}
		// It was read somewhere between sending and receiving, and cut to milliseconds.
		if half := took/2 + time.Millisecond; within == 0 || half < within {
			ahead, within = at.Sub(sent.Add(took/2)), half
		}
	}
	return ahead, within, nil
}

// ErrNoClock is returned where brokers have no answer with a time of day.
var ErrNoClock = errors.New("its answers carry no time of day (that takes KRaft and Kafka 3.3)")

// leaderClock finds the time at which the leader of the controllers answered: of itself it says that it is up to date now.
func leaderClock(res *kmsg.DescribeQuorumResponse) (time.Time, bool) {
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			for _, v := range p.CurrentVoters {
				if v.ReplicaID == p.LeaderID && v.LastCaughtUpTimestamp > 0 {
					return time.UnixMilli(v.LastCaughtUpTimestamp), true
				}
			}
		}
	}
	return time.Time{}, false
}

// OpenTransaction is one that a partition has and that is not decided. Readers of committed records stop before it.
type OpenTransaction struct {
	Topic      string
	Partition  int32
	Offset     int64 // of its first record
	ProducerID int64
	Last       time.Time // of its last record, by its writer's clock
}

// OpenTransactions returns the open transactions of topics, whose partitions are given by name. Topics that we may not read are
// left out, and those that are not there.
func (i *Inspector) OpenTransactions(ctx context.Context, topics map[string]int32) ([]OpenTransaction, error) {
	ask := kmsg.NewPtrDescribeProducersRequest()
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		t := kmsg.NewDescribeProducersRequestTopic()
		t.Topic = name
		for p := range topics[name] {
			t.Partitions = append(t.Partitions, p)
		}
		ask.Topics = append(ask.Topics, t)
	}
	if len(ask.Topics) == 0 {
		return nil, nil
	}
	var open []OpenTransaction
	for _, shard := range i.cl.RequestSharded(ctx, ask) {
		if errors.Is(shard.Err, kerr.UnknownTopicOrPartition) || errors.Is(shard.Err, kerr.TopicAuthorizationFailed) {
			continue // deleted since, or not ours to read
		}
		if shard.Err != nil {
			return nil, i.fail("open transactions", shard.Err)
		}
		for _, t := range shard.Resp.(*kmsg.DescribeProducersResponse).Topics {
			for _, p := range t.Partitions {
				for _, by := range p.ActiveProducers {
					if by.CurrentTxnStartOffset >= 0 {
						open = append(open, OpenTransaction{t.Topic, p.Partition, by.CurrentTxnStartOffset, by.ProducerID, time.UnixMilli(by.LastTimestamp)})
					}
				}
			}
		}
	}
	slices.SortFunc(open, func(a, b OpenTransaction) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return open, nil
}
