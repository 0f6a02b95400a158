package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/brotally/brotally/internal/broker"
)

// cluster is where a script's topics are: a broker of its own, or a prefix of all names on a broker that is there. Scripts
// never see the prefix.
type cluster struct {
	prefix string
	addrs  []string
	broker *broker.Broker // nil: not ours
	client *kgo.Client
	admin  *kadm.Client

	made map[string]bool            // topics that the script has made, with prefix
	ends map[string]map[int32]int64 // next offsets behind what it has produced, by topic and partition
}

var clusters atomic.Int64

func openCluster() (c *cluster, err error) {
	c = &cluster{made: map[string]bool{}, ends: map[string]map[int32]int64{}}
	if theirs := os.Getenv("BROKERS"); theirs != "" {
		c.addrs = strings.Split(theirs, ",")
		c.prefix = fmt.Sprintf("pipe%d_%d_", os.Getpid(), clusters.Add(1))
	} else {
		if c.broker, err = broker.Start(broker.Config{}); err != nil {
			return nil, err
		}
		c.addrs = c.broker.Addrs()
		hurryJoins(c.broker)
	}
	c.client, err = kgo.NewClient(kgo.SeedBrokers(c.addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(10*time.Millisecond), kgo.ProducerBatchMaxBytes(4<<20))
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	c.admin = kadm.NewClient(c.client)
	return c, nil
}

// hurryJoins makes groups wait for two seconds, not thirty, for members that do not join: the embedded broker, unlike Kafka,
// waits for one that was killed in the middle of joining and came back.
func hurryJoins(b *broker.Broker) {
	b.Cluster().ControlKey(int16(kmsg.JoinGroup), func(req kmsg.Request) (kmsg.Response, error, bool) {
		req.(*kmsg.JoinGroupRequest).RebalanceTimeoutMillis = 2000
		return nil, nil, false // the request goes its way
	})
}

// close deletes what the script has left on a broker that stays.
func (c *cluster) close() error {
	var err error
	if c.prefix != "" && c.admin != nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		var topics kadm.TopicDetails
		if topics, err = c.admin.ListTopics(ctx); err == nil {
			_, err = c.admin.DeleteTopics(ctx, c.ours(topics.Names())...)
		}
		if groups, e := c.admin.ListGroups(ctx); e == nil {
			_, _ = c.admin.DeleteGroups(ctx, c.ours(groups.Groups())...) // those of the killed are in use for six seconds
		}
	}
	if c.client != nil {
		c.client.Close()
	}
	if c.broker != nil {
		err = errors.Join(err, c.broker.Close())
	}
	return err
}

// ours returns the names that are the script's, on a broker that has others, too.
func (c *cluster) ours(names []string) []string {
	return slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, c.prefix) || strings.HasPrefix(n, "__") })
}

// makeTopic makes a topic, or adds partitions to one that is there.
func (c *cluster) makeTopic(ctx context.Context, name string, partitions int32, settings map[string]string) error {
	name = c.prefix + name
	config := map[string]*string{}
	for k, v := range settings {
		config[k] = &v
	}
	res, err := c.admin.CreateTopic(ctx, partitions, 1, config, name)
	if errors.Is(err, kerr.TopicAlreadyExists) || errors.Is(res.Err, kerr.TopicAlreadyExists) {
		_, err = c.admin.UpdatePartitions(ctx, int(partitions), name)
	}
	c.made[name] = true
	if err != nil {
		return err
	}
	if c.ends[name] == nil {
		c.ends[name] = map[int32]int64{}
	}
	for p := range partitions {
		c.ends[name][p] += 0 // also of one without records is heard
	}
	// A broker may say that it is done before its metadata shows it.
	return poll(ctx, "topic "+name+" is there", func() (bool, error) {
		topics, err := c.admin.ListTopics(ctx, name)
		return err == nil && topics.Has(name) && len(topics[name].Partitions) == int(partitions), err
	})
}

func (c *cluster) deleteTopic(ctx context.Context, name string) error {
	name = c.prefix + name
	delete(c.made, name)
	delete(c.ends, name)
	if _, err := c.admin.DeleteTopic(ctx, name); err != nil {
		return err
	}
	return poll(ctx, "topic "+name+" is gone", func() (bool, error) {
		topics, err := c.admin.ListTopics(ctx, name)
		return err == nil && !topics.Has(name), err
	})
}

// expire deletes the records of a partition before an offset, as retention does.
func (c *cluster) expire(ctx context.Context, topic string, partition int32, offset int64) error {
	offsets := kadm.Offsets{}
	offsets.AddOffset(c.prefix+topic, partition, offset, -1)
	res, err := c.admin.DeleteRecords(ctx, offsets)
	return errors.Join(err, res.Error())
}

// produce sends values without keys, as Bro's Kafka plugin does; nil is a record without value. at may be zero.
func (c *cluster) produce(ctx context.Context, topic string, partition int32, at time.Time, values [][]byte) error {
	topic = c.prefix + topic
	var records []*kgo.Record
	for _, v := range values {
		records = append(records, &kgo.Record{Topic: topic, Partition: partition, Value: v, Timestamp: at})
	}
	// A topic, or a partition, that was just made shows everywhere only after a while.
	var last error
	err := poll(ctx, fmt.Sprintf("records are in %s/%d", topic, partition), func() (bool, error) {
		if last = c.client.ProduceSync(ctx, records...).FirstErr(); last != nil {
			c.client.PurgeTopicsFromProducing(topic)
		}
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", err, last)
	}
	for _, r := range records {
		c.ends[topic][partition] = max(c.ends[topic][partition], r.Offset+1)
	}
	return nil
}

// records returns what a reader of committed records finds in a topic, up to where it ends now, in the order of partitions
// and offsets. There is nothing in a topic that does not exist.
func (c *cluster) records(ctx context.Context, topic string) ([]*kgo.Record, error) {
	topic = c.prefix + topic
	topics, err := c.admin.ListTopics(ctx, topic)
	if err != nil || !topics.Has(topic) {
		return nil, err
	}
	starts, err := c.admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	ends, err := c.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	left := map[int32]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		if start, ok := starts.Lookup(topic, end.Partition); !ok || start.Offset < end.Offset {
			left[end.Partition] = end.Offset
		}
	})
	// Control records are kept so that the end is seen also where the last offset is a marker.
	client, err := kgo.NewClient(kgo.SeedBrokers(c.addrs...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords(), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var all []*kgo.Record
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return nil, fmt.Errorf("read %s up to %v: %w", topic, left, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if end, ok := left[r.Partition]; ok && r.Offset >= end-1 {
				delete(left, r.Partition)
			}
			if !r.Attrs.IsControl() {
				all = append(all, r)
			}
		})
	}
	slices.SortFunc(all, func(a, b *kgo.Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return all, nil
}

// last returns the last record of each key of a topic, by key.
func (c *cluster) last(ctx context.Context, topic string) (map[string]*kgo.Record, error) {
	all, err := c.records(ctx, topic)
	byKey := map[string]*kgo.Record{}
	for _, r := range all {
		byKey[string(r.Key)] = r
	}
	return byKey, err
}

// produced returns the partitions of a topic that the script has produced to, with the offset behind that.
func (c *cluster) produced(topic string) map[int32]int64 { return maps.Clone(c.ends[topic]) }

// poll waits until check is true; ctx is the patience. An error of check ends it.
func poll(ctx context.Context, what string, check func() (bool, error)) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := check(); err != nil {
			return fmt.Errorf("wait until %s: %w", what, err)
		} else if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("in vain: wait until %s", what)
		case <-tick.C:
		}
	}
}
