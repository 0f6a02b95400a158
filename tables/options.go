package tables

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// Options are the WITH settings of a table or a stream. The zero value of each is its default.
type Options struct {
	// Topic is the result topic, or the stream's. Defaults to the definition's name.
	Topic string
	// Partitions is how many partitions its topics get. Defaults to as many as the feed's topic has.
	Partitions int32
	// Start is where it begins to read its feed. Defaults to the oldest record.
	Start Start
	// FeedTopics are the topics that carry the feed. Defaults to what the deployment says, which defaults to the feed's name.
	FeedTopics []string
	// MixedTopics are those of them that the deployment says carry other feeds too: a record there that does not say what
	// it is has to be told, see [feeds.KeySet].
	MixedTopics []string
	// Format is how the topic holds keys and values. Defaults to JSON.
	Format Format
	// Key is the column of a stream whose text is its records' key. Defaults to none: the source record's place.
	Key string
}

// Format is how a definition's topic holds its records.
type Format string

// Results are JSON, or Avro with the schemas in a registry.
const (
	FormatJSON Format = ""
	FormatAvro Format = "avro"
)

// Start is where a table begins: at the oldest record (the zero value), behind the newest, or at a time.
type Start struct {
	Latest bool
	At     time.Time     // records with a Kafka timestamp at or after it; zero: not by time
	Ago    time.Duration // that long before the table is made; 0: not by time
}

// Time returns the time that it is by when the table is made now; ok is false where it is by none.
func (s Start) Time(now time.Time) (at time.Time, ok bool) {
	if s.Ago > 0 {
		return now.Add(-s.Ago), true
	}
	return s.At, !s.At.IsZero()
}

var optionNames = []string{"topic", "partitions", "start", "feed_topic", "format"}

func compileOptions(kind Kind, src *sql.Source, with []sql.Option) (o Options, err error) {
	seen := map[string]bool{}
	for _, opt := range with {
		name := strings.ToLower(opt.Name.Text)
		if seen[name] {
			return o, src.Error(opt.Name.At, "option "+name+" is given twice", "")
		}
		seen[name] = true
		if name == "key" {
			if o.Key, err = keyOption(kind, src, opt); err != nil {
				return o, err
			}
			continue
		}
		if err := o.set(src, opt, name); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (o *Options) set(src *sql.Source, opt sql.Option, name string) (err error) {
	at := opt.Value.Pos()
	switch name {
	case "topic":
		o.Topic, err = topicOption(src, opt)
	case "partitions":
		n, ok := opt.Value.(*sql.Number)
		var count int64
		if ok {
			count, err = strconv.ParseInt(n.Text, 10, 32)
		}
		if !ok || err != nil || count < 1 {
			return src.Error(at, "partitions must be a number from 1", "write partitions = 4")
		}
		o.Partitions = int32(count)
	case "start":
		o.Start, err = startOption(src, opt)
	case "feed_topic":
		text, ok := opt.Value.(*sql.String)
		if !ok {
			return src.Error(at, "feed_topic must be a 'string'", "write 'topic' or 'topic1,topic2'")
		}
		for topic := range strings.SplitSeq(text.Value, ",") {
			topic = strings.TrimSpace(topic)
			if why := checkTopic(topic); why != "" {
				return src.Error(at, "feed_topic "+why, "")
			}
			o.FeedTopics = append(o.FeedTopics, topic)
		}
	case "format":
		text, ok := opt.Value.(*sql.String)
		switch {
		case ok && strings.EqualFold(text.Value, "json"):
		case ok && strings.EqualFold(text.Value, "avro"):
			o.Format = FormatAvro
		default:
			return src.Error(at, "format must be 'json' or 'avro'", "")
		}
	case "feed_format":
		return src.Error(opt.Name.At, "no option feed_format", "leave it out: each record of a feed says itself whether it is JSON or Avro")
	default:
		// ksqlDB's are called kafka_topic, value_format and the like.
		hint := sql.DidYouMean(strings.TrimPrefix(strings.TrimPrefix(name, "kafka_"), "value_"), append(slices.Clone(optionNames), "key"))
		if hint == "" {
			hint = "the options are " + strings.Join(optionNames, ", ")
		}
		return src.Error(opt.Name.At, "no option "+name, hint)
	}
	return err
}

func topicOption(src *sql.Source, opt sql.Option) (string, error) {
	text, ok := opt.Value.(*sql.String)
	if !ok {
		return "", src.Error(opt.Value.Pos(), "topic must be a 'string'", "")
	}
	if why := checkTopic(text.Value); why != "" {
		return "", src.Error(text.At, "topic "+why, "")
	}
	return text.Value, nil
}

// checkTopic says why Kafka would not take a topic's name; empty: it would.
func checkTopic(name string) (why string) {
	switch {
	case name == "":
		return "is empty"
	case name == "." || name == ".." || len(name) > 249:
		return strconv.Quote(name) + " is no topic's name"
	case strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "":
		return strconv.Quote(name) + " may have letters, digits, dot, _ and - only"
	}
	for _, r := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", r) {
			return strconv.Quote(name) + " may have letters, digits, dot, _ and - only"
		}
	}
	return ""
}

// startOption reads 'earliest', 'latest', a timestamp, or a length of time before now: '-7 days'.
func startOption(src *sql.Source, opt sql.Option) (Start, error) {
	const hint = "write 'earliest', 'latest', '2026-11-23T00:00:00Z' or '-7 days'"
	text, ok := opt.Value.(*sql.String)
	if !ok {
		return Start{}, src.Error(opt.Value.Pos(), "start must be a 'string'", hint)
	}
	switch strings.ToLower(text.Value) {
	case "earliest":
		return Start{}, nil
	case "latest":
		return Start{Latest: true}, nil
	}
	if v, why := parseValue(text.Value, feeds.T(feeds.Timestamp)); why == "" {
		return Start{At: time.UnixMicro(v.Micros()).UTC()}, nil
	}
	seconds, why := parseInterval(text.Value)
	if why != "" || seconds >= 0 || seconds < -math.MaxInt64/1e9 {
		return Start{}, src.Error(text.At, "start "+sql.Format(text)+" is neither a time nor a length of time before now", hint)
	}
	return Start{Ago: time.Duration(-seconds * float64(time.Second))}, nil
}
