package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

// patience is how long an administrative request is tried again while brokers say that it may work in a moment.
const patience = 15 * time.Second

// Topic is one topic, wanted or found.
type Topic struct {
	Name        string
	Partitions  int32             // > 0
	Replication int16             // wanted: 0 or -1 is the broker's default
	Config      map[string]string // wanted: what to set; found: all that is in force, nil if we may not see it
	ID          string            // found: changes when the topic is deleted and made again; as kafka-topics prints it
}

// Compacted says whether the topic keeps the last record of each key.
func (t Topic) Compacted() bool {
	return slices.Contains(policies(t.Config["cleanup.policy"]), "compact")
}

// TopicMismatch is returned when a topic is there but not as it must be.
type TopicMismatch struct {
	Topic string
	What  string // "partitions", or the name of a setting
	Want  string
	Have  string
	Mend  string // a command that mends it
}

func (e *TopicMismatch) Error() string {
	s := fmt.Sprintf("topic %s: %s is %s, not %s", e.Topic, e.What, or(e.Have, "empty"), e.Want)
	if e.Mend != "" {
		s += "; mend it: " + e.Mend
	}
	return s
}

// Is says that trying again does not help.
func (e *TopicMismatch) Is(target error) bool { return target == ErrFatal }

// Admin describes and changes topics, offsets and groups. It is safe for concurrent use; close it.
//
// It is made of Sarama's ClusterAdmin and, where that hides something (topic ids, stable offsets), of Sarama's requests, which have
// all that running asks for. What looking at a cluster takes beside that is the [Inspector]'s.
type Admin struct {
	ctx     context.Context // of the client: ends it, and every wait of ours
	client  sarama.Client
	admin   sarama.ClusterAdmin
	brokers []string
}

// NewAdmin connects; errors as [Dial]. When ctx is done all that the Admin does fails at once.
func NewAdmin(ctx context.Context, c Config) (*Admin, error) {
	cl, err := Dial(ctx, c)
	if err != nil {
		return nil, err
	}
	a, err := sarama.NewClusterAdminFromClient(cl)
	if err != nil {
		cl.Close() //nolint:errcheck // the first error counts
		return nil, Fail("connect", err)
	}
	c, _ = c.Resolve() // it did in Dial
	return &Admin{ctx: ctx, client: cl, admin: a, brokers: c.Brokers}, nil
}

// Client returns the client under the Admin, for a [Reader] or a [Catalog]. It closes with the Admin.
func (a *Admin) Client() sarama.Client { return a.client }

// Close closes the connections.
func (a *Admin) Close() error { return a.admin.Close() }

// List returns all topics that we may see, with their partitions, replication and id, but without settings.
func (a *Admin) List() (map[string]Topic, error) { return a.metadata("list topics", nil) }

// Describe returns those of the topics that exist, with their settings.
func (a *Admin) Describe(names ...string) (map[string]Topic, error) {
	if len(names) == 0 {
		return map[string]Topic{}, nil
	}
	op := "describe " + strings.Join(names, ", ")
	found, err := a.metadata(op, names)
	if err != nil || len(found) == 0 {
		return found, err
	}
	resources := make([]*sarama.ConfigResource, 0, len(found))
	for n := range found {
		resources = append(resources, &sarama.ConfigResource{Type: sarama.TopicResource, Name: n})
	}
	err = a.try(op, func() error {
		rs, err := a.admin.DescribeConfigs(resources, sarama.DescribeConfigsOptions{})
		if err != nil {
			return err
		}
		for _, r := range rs {
			switch k := r.ErrorCode; k {
			case sarama.ErrNoError:
			case sarama.ErrTopicAuthorizationFailed, sarama.ErrClusterAuthorizationFailed:
				continue // reading a topic does not need the right to see its settings
			case sarama.ErrUnknownTopicOrPartition:
				delete(found, r.Name) // deleted since
				continue
			default:
				return k
			}
			t := found[r.Name]
			t.Config = make(map[string]string, len(r.Configs))
			for _, c := range r.Configs {
				t.Config[c.Name] = c.Value
			}
			found[r.Name] = t
		}
		return nil
	})
	return found, err
}

// metadata asks for the named topics, nil for all.
func (a *Admin) metadata(op string, names []string) (map[string]Topic, error) {
	found := map[string]Topic{}
	err := a.try(op, func() error {
		clear(found)
		b, err := a.anyBroker()
		if err != nil {
			return err
		}
		// Version 10 is the first with topic ids.
		res, err := b.GetMetadata(sarama.NewMetadataRequest(sarama.V2_8_0_0, names))
		if err != nil {
			return err
		}
		for _, t := range res.Topics {
			switch t.Err {
			case sarama.ErrNoError:
			case sarama.ErrUnknownTopicOrPartition:
				continue
			case sarama.ErrTopicAuthorizationFailed:
				return &missing{onTopic("Describe", t.Name), t.Err}
			default:
				return t.Err
			}
			f := Topic{Name: t.Name, Partitions: int32(len(t.Partitions)), ID: t.Uuid.String()}
			for _, p := range t.Partitions {
				if p.Err == sarama.ErrLeaderNotAvailable && names != nil {
					return p.Err // being made, or being moved: soon over
				}
				f.Replication = max(f.Replication, int16(len(p.Replicas)))
			}
			found[t.Name] = f
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Ensure makes the topic, or checks the one that is there: its number of partitions, and of the settings wanted those that
// decide what is kept (cleanup.policy, retention.ms, retention.bytes, max.message.bytes). The error is then *[TopicMismatch];
// nothing is changed. It returns when all partitions of a new topic have a leader.
func (a *Admin) Ensure(t Topic) error {
	if t.Partitions <= 0 {
		return fmt.Errorf("create topic %s: %d partitions", t.Name, t.Partitions)
	}
	found, err := a.Describe(t.Name)
	if err != nil {
		return err
	}
	have, ok := found[t.Name]
	if !ok {
		if err := a.create(t); err != nil {
			return err
		}
		if have, err = a.await(t.Name); err != nil {
			return err
		}
	}
	return a.Check(t, have)
}

func (a *Admin) create(t Topic) error {
	detail := &sarama.TopicDetail{NumPartitions: t.Partitions, ReplicationFactor: or(t.Replication, -1), ConfigEntries: map[string]*string{}}
	for k, v := range t.Config {
		detail.ConfigEntries[k] = &v
	}
	return a.try("create topic "+t.Name, func() error {
		err := a.admin.CreateTopic(t.Name, detail, false)
		if errors.Is(err, sarama.ErrTopicAlreadyExists) {
			return nil // another instance was faster, or our own answer was lost: what counts is the check
		}
		return err
	}, onTopic("Create", t.Name))
}

// await waits until a topic that was just made shows everywhere we look.
func (a *Admin) await(name string) (Topic, error) {
	var t Topic
	err := a.try("create topic "+name, func() error {
		found, err := a.Describe(name)
		if err != nil {
			return err
		}
		var ok bool
		if t, ok = found[name]; !ok {
			return sarama.ErrUnknownTopicOrPartition
		}
		return a.client.RefreshMetadata(name)
	})
	return t, err
}

// kept are the settings that decide which records a topic keeps or takes.
var kept = []string{"cleanup.policy", "retention.ms", "retention.bytes", "max.message.bytes"}

// Check compares a topic that is there with one that is wanted, see [Admin.Ensure]. The error is *[TopicMismatch].
func (a *Admin) Check(want, have Topic) error {
	at := "--bootstrap-server " + strings.Join(a.brokers, ",")
	if want.Partitions != have.Partitions {
		// Keys would be looked for in other partitions than they were written to, so only an empty topic can get more.
		mend := fmt.Sprintf("kafka-topics %s --delete --topic %s", at, want.Name)
		if have.Partitions < want.Partitions && a.empty(want.Name) {
			mend = fmt.Sprintf("kafka-topics %s --alter --topic %s --partitions %d", at, want.Name, want.Partitions)
		}
		return &TopicMismatch{Topic: want.Name, What: "partitions", Want: strconv.Itoa(int(want.Partitions)), Have: strconv.Itoa(int(have.Partitions)), Mend: mend}
	}
	if have.Config == nil {
		return nil // not ours to see
	}
	for _, k := range kept {
		w, ok := want.Config[k]
		h := have.Config[k]
		if !ok || w == h || k == "cleanup.policy" && slices.Equal(policies(w), policies(h)) || k == "max.message.bytes" && atLeast(h, w) {
			continue
		}
		return &TopicMismatch{Topic: want.Name, What: k, Want: w, Have: h,
			Mend: fmt.Sprintf("kafka-configs %s --alter --entity-type topics --entity-name %s --add-config %s=%s", at, want.Name, k, bracket(w))}
	}
	return nil
}

// empty says whether the topic never held a record; in doubt it did.
func (a *Admin) empty(topic string) bool {
	offs, err := a.Offsets(topic)
	if err != nil {
		return false
	}
	for _, r := range offs[topic] {
		if r.Newest > 0 {
			return false
		}
	}
	return true
}

// policies splits a cleanup policy, sorted.
func policies(s string) []string {
	var ps []string
	for p := range strings.SplitSeq(s, ",") {
		if p = strings.TrimSpace(p); p != "" {
			ps = append(ps, p)
		}
	}
	slices.Sort(ps)
	return ps
}

// bracket keeps kafka-configs from splitting a list at its comma.
func bracket(v string) string {
	if strings.Contains(v, ",") {
		return "[" + v + "]"
	}
	return v
}

func atLeast(have, want string) bool {
	h, err1 := strconv.ParseInt(have, 10, 64)
	w, err2 := strconv.ParseInt(want, 10, 64)
	return err1 == nil && err2 == nil && h >= w
}

// DeleteTopics deletes those of the topics that exist and returns when they are gone.
func (a *Admin) DeleteTopics(names ...string) error {
	for _, n := range names {
		err := a.try("delete topic "+n, func() error {
			err := a.admin.DeleteTopic(n)
			if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
				return nil
			}
			return err
		}, onTopic("Delete", n))
		if err != nil {
			return err
		}
	}
	return a.try("delete topics", func() error {
		found, err := a.metadata("delete topics", names)
		if err == nil && len(found) > 0 && len(names) > 0 {
			err = fmt.Errorf("still there: %s: %w", strings.Join(slices.Sorted(maps.Keys(found)), ", "), sarama.ErrRequestTimedOut)
		}
		return err
	})
}

// TopicBytes returns what a topic takes on the brokers' disks, its replicas counted once.
func (a *Admin) TopicBytes(topic string) (total int64, err error) {
	err = a.try("size of "+topic, func() error {
		var brokers []int32
		for _, b := range a.client.Brokers() {
			brokers = append(brokers, b.ID())
		}
		if len(brokers) == 0 { // since a moment ago
			return sarama.ErrOutOfBrokers
		}
		dirs, err := a.admin.DescribeLogDirs(brokers)
		if err != nil {
			return err
		}
		largest := map[int32]int64{} // by partition: replicas that lag have less
		for _, of := range dirs {
			for _, dir := range of {
				if dir.ErrorCode != sarama.ErrNoError {
					return dir.ErrorCode
				}
				for _, t := range dir.Topics {
					if t.Topic != topic {
						continue
					}
					for _, p := range t.Partitions {
						largest[p.PartitionID] = max(largest[p.PartitionID], p.Size)
					}
				}
			}
		}
		total = 0
		for _, n := range largest {
			total += n
		}
		return nil
	}, Right{Operation: "Describe", Kind: KindCluster})
	return total, err
}

// DeleteRecords deletes the records of topic before the given offset of each partition; -1 is the high watermark.
// Offsets that are gone already are fine.
func (a *Admin) DeleteRecords(topic string, before map[int32]int64) error {
	op := "delete records of " + topic
	for len(before) > 0 {
		err := a.try(op, func() error { return a.admin.DeleteRecords(topic, before) }, onTopic("Delete", topic))
		if !errors.Is(err, sarama.ErrOffsetOutOfRange) {
			return err
		}
		// Not every broker takes it well when there is nothing left to delete. What can be too low is, what is too high stays
		// an error.
		offs, e := a.Offsets(topic)
		if e != nil {
			return errors.Join(err, e)
		}
		rest := make(map[int32]int64, len(before))
		for p, o := range before {
			if o < 0 || o > offs[topic][p].Oldest {
				rest[p] = o
			}
		}
		if len(rest) == len(before) {
			return err
		}
		before = rest
	}
	return nil
}

// anyBroker returns the controller, or whichever broker is there.
func (a *Admin) anyBroker() (*sarama.Broker, error) {
	if b, err := a.client.Controller(); err == nil {
		return b, nil
	}
	if b := a.client.LeastLoadedBroker(); b != nil {
		_ = b.Open(a.client.Config()) // it may be open
		return b, nil
	}
	return nil, sarama.ErrOutOfBrokers
}

// try runs fn until it works, for as long as its errors say that it may, at most for patience. rights are what it needs, see
// [Fail].
func (a *Admin) try(op string, fn func() error, rights ...Right) error {
	end := time.Now().Add(patience)
	for attempt := 0; ; attempt++ {
		var err error
		if attempt > 0 || len(a.client.Brokers()) == 0 {
			// Brokers and the controller may be what changed.
			_, err = a.client.RefreshController()
		}
		// A cluster that names no broker for a moment is not one without groups or logs: Sarama asks all the brokers that it knows.
		// Where there are none, err says why.
		if err == nil || len(a.client.Brokers()) > 0 {
			err = fn()
		}
		if err == nil {
			return nil
		}
		if e := a.ctx.Err(); e != nil {
			return fmt.Errorf("%s: %w", op, e)
		}
		err = a.Fail(op, err, rights...)
		if !errors.Is(err, ErrRetry) || time.Now().After(end) {
			return err
		}
		if e := sleep(a.ctx, backoff(attempt)); e != nil {
			return fmt.Errorf("%s: %w (%w)", op, e, err)
		}
	}
}
