// Package letters knows what a dead letter looks like on its topic: a record that could not be decoded, where it came from, why,
// and who has missed it. Such a record may come again, through a topic that has the letters of another one:
// see [kafka.Config.ReplayTopic].
package letters

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/brotally/brotally/internal/kafka"
)

// The headers of a letter. Most are named as Kafka Streams names them (KIP-1034).
const (
	prefix    = "__streams.errors."
	Exception = prefix + "exception" // the Go type of the error
	Message   = prefix + "message"   // why it could not be decoded
	Topic     = prefix + "topic"     // where it came from, with the two below
	Partition = prefix + "partition"
	Offset    = prefix + "offset"
	Truncated = prefix + "truncated" // the record's size in bytes, where the letter has only its beginning

	// Origin is the place that a record which comes again had.
	Origin = "brotally.origin"

	// Missing says which tables and streams have missed the record: their [kafka.Entry.Build], with commas between. A record that
	// comes again has it, too: it is for those alone.
	Missing = "brotally.missing"
)

// MaxValue is how many bytes of a record a letter keeps.
const MaxValue = 64 << 10

// Letter is one dead letter.
type Letter struct {
	Key       string // its record's, which no other letter has: [Letter.Place], and the pass behind it where that is not the topic's first
	Topic     string // where the record came from
	Partition int32
	Offset    int64
	At        time.Time // when the letter was written
	Why       string
	Value     []byte // nil: the record had none. Good until the function returns that it was given to
	Size      int64  // of the record, in bytes; more than Value has when that is cut
	Missing   []string
}

// Place is where the record came from, as people write it.
func (l *Letter) Place() string { return Place(l.Topic, l.Partition, l.Offset) }

// Place is topic/partition/offset.
func Place(topic string, partition int32, offset int64) string {
	return topic + "/" + strconv.Itoa(int(partition)) + "/" + strconv.FormatInt(offset, 10)
}

// Cut reports whether the letter has only the beginning of the record.
func (l *Letter) Cut() bool { return l.Size > int64(len(l.Value)) }

// Names returns the tables and streams that have missed the record, as people call them.
func (l *Letter) Names() []string {
	var names []string
	for _, build := range l.Missing {
		name, _, _ := strings.Cut(build, "@")
		names = append(names, name)
	}
	return names
}

// Builds returns what a header [Missing] lists.
func Builds(header []byte) []string {
	if len(header) == 0 {
		return nil
	}
	return strings.Split(string(header), ",")
}

// letter makes one of a record; false for what is none.
func letter(key, value []byte, ms int64, headers map[string]string) (*Letter, bool) {
	partition, err := strconv.ParseInt(headers[Partition], 10, 32)
	offset, failed := strconv.ParseInt(headers[Offset], 10, 64)
	if err != nil || failed != nil || headers[Topic] == "" {
		return nil, false // what somebody else has written here
	}
	l := &Letter{Key: string(key), Topic: headers[Topic], Partition: int32(partition), Offset: offset, At: time.UnixMilli(ms),
		Why: headers[Message], Value: value, Size: int64(len(value)), Missing: Builds([]byte(headers[Missing]))}
	if size, err := strconv.ParseInt(headers[Truncated], 10, 64); err == nil {
		l.Size = size
	}
	return l, true
}

// NoTopic is returned when there is no topic for dead letters.
type NoTopic struct{ Topic, App string }

func (e *NoTopic) Error() string {
	return fmt.Sprintf("there is no topic %s: nothing of app %s has run here", e.Topic, e.App)
}

// Each calls fn with all dead letters of an app that were not replayed, in the order in which they were written. Errors are *[NoTopic],
// those of fn and of package kafka.
func Each(ctx context.Context, admin *kafka.Admin, names kafka.Config, fn func(*Letter) error) error {
	return Last(ctx, admin, names, math.MaxInt64, fn)
}

// Last is [Each] for those among the last records of the dead-letter topic: at most so many offsets.
func Last(ctx context.Context, admin *kafka.Admin, names kafka.Config, most int64, fn func(*Letter) error) error {
	topic := names.DeadLetterTopic()
	there, err := admin.Describe(topic)
	if err != nil {
		return err
	}
	if _, ok := there[topic]; !ok {
		return &NoTopic{topic, names.App}
	}
	offsets, err := admin.Offsets(topic)
	if err != nil {
		return err
	}
	held := offsets[topic][0]
	from := kafka.Oldest
	if held.Newest-held.Oldest > most {
		from = held.Newest - most
	}
	replayed := map[string]int64{} // offsets of tombstones, by key; they are behind what they are for
	err = records(ctx, admin, topic, from, func(offset int64, key, value []byte, _ int64, headers map[string]string) error {
		if value == nil && len(headers) == 0 {
			replayed[string(key)] = offset
		}
		return nil
	})
	if err != nil {
		return err
	}
	return records(ctx, admin, topic, from, func(offset int64, key, value []byte, ms int64, headers map[string]string) error {
		l, ok := letter(key, value, ms, headers)
		if !ok || replayed[l.Key] > offset {
			return nil
		}
		return fn(l)
	})
}

// Again is a record that came again.
type Again struct {
	Place   string // where the original was
	Missing []string
}

// EachAgain calls fn with what was replayed through a topic, as far as it is still there.
func EachAgain(ctx context.Context, admin *kafka.Admin, topic string, fn func(Again)) error {
	return records(ctx, admin, topic, kafka.Oldest, func(_ int64, key, _ []byte, _ int64, headers map[string]string) error {
		fn(Again{headers[Origin], Builds([]byte(headers[Missing]))})
		return nil
	})
}

// records reads the records of a topic that has one partition, from an offset on.
func records(ctx context.Context, admin *kafka.Admin, topic string, from int64, fn func(offset int64, key, value []byte, ms int64, headers map[string]string) error) error {
	headers := map[string]string{}
	reader, err := kafka.NewReader(ctx, kafka.ReaderConfig{Client: admin.Client(), Topic: topic, From: from, Header: func(key, value []byte) {
		headers[string(key)] = string(value)
	}})
	if err != nil {
		return err
	}
	defer reader.Close() //nolint:errcheck // always nil
	_, err = reader.Recover(ctx, func(offset int64, key, value []byte, ms int64) error {
		defer clear(headers)
		return fn(offset, key, value, ms, headers)
	})
	return err
}

// Gone says why a record cannot be had any more.
type Gone struct {
	Place string
	Why   string
}

func (e *Gone) Error() string { return e.Place + ": " + e.Why }

// Record returns the whole record of a letter: its copy, or, where that was cut, the original, if it is still where it came from. The
// error is a *[Gone] when it is not.
func Record(ctx context.Context, admin *kafka.Admin, l *Letter) ([]byte, error) {
	if !l.Cut() {
		return bytes.Clone(l.Value), nil // byte by byte what came
	}
	gone := func(why string) error {
		return &Gone{l.Place(), fmt.Sprintf("the letter has %d of its %d bytes, and %s", len(l.Value), l.Size, why)}
	}
	there, err := admin.Describe(l.Topic)
	if err != nil {
		return nil, err
	}
	if topic, ok := there[l.Topic]; !ok || topic.Partitions <= l.Partition {
		return nil, gone("its topic is not there any more")
	}
	offsets, err := admin.Offsets(l.Topic)
	if err != nil {
		return nil, err
	}
	if held := offsets[l.Topic][l.Partition]; l.Offset < held.Oldest || l.Offset >= held.Newest {
		return nil, gone(fmt.Sprintf("%s/%d has offsets %d to %d now", l.Topic, l.Partition, held.Oldest, held.Newest))
	}
	reader, err := kafka.NewReader(ctx, kafka.ReaderConfig{Client: admin.Client(), Topic: l.Topic, Partition: l.Partition, From: l.Offset})
	if err != nil {
		return nil, err
	}
	defer reader.Close() //nolint:errcheck // always nil
	var value []byte
	_, err = reader.ReadTo(ctx, l.Offset+1, func(offset int64, _, record []byte, _ int64) error {
		if offset == l.Offset {
			value = bytes.Clone(record)
		}
		return nil
	})
	if err == nil && (int64(len(value)) != l.Size || !bytes.HasPrefix(value, l.Value)) {
		err = gone("what is in its place now is not that record: was its topic made anew?")
	}
	return value, err
}
