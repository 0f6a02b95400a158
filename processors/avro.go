package processors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/internal/registry"
	"github.com/brotally/brotally/tables"
)

// avroTopic is a topic that one stage, or one pass of several, writes in Avro.
type avroTopic struct {
	topic      string
	format     *codecs.AvroFormat
	key, value int // ids of its schemas; set by register, before the stage is built
}

// tableAvro returns how a table's result topic is written in Avro, nil when it is JSON.
func tableAvro(t *tables.Table, topic string) (*avroTopic, error) {
	if t.Options.Format != tables.FormatAvro {
		return nil, nil
	}
	format, err := codecs.NewTableAvro(t, topic)
	return &avroTopic{topic: topic, format: format}, err
}

// streamAvro is tableAvro for a stream's topic.
func streamAvro(s *tables.Stream, topic string) (*avroTopic, error) {
	if s.Options.Format != tables.FormatAvro {
		return nil, nil
	}
	format, err := codecs.NewStreamAvro(s, topic)
	return &avroTopic{topic: topic, format: format}, err
}

// checkAvro checks that what is to be written in Avro can be.
func (c *Config) checkAvro() error {
	check := func(d *tables.Definition, a *avroTopic, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("%s %s: %w", d.Kind, d.Name, err)
		case a != nil && c.Registry == nil:
			return fmt.Errorf("%s %s has format = 'avro', and no schema registry is set: --schema-registry URL", d.Kind, d.Name)
		}
		return nil
	}
	for _, t := range c.Tables {
		a, err := tableAvro(t, t.Topic())
		if err := check(&t.Definition, a, err); err != nil {
			return err
		}
	}
	for _, s := range c.Streams {
		a, err := streamAvro(s, s.Topic())
		if err := check(&s.Definition, a, err); err != nil {
			return err
		}
	}
	return nil
}

// schemas returns what readers of Avro ask; it is nil, and not a nil client, when there is no registry.
func (c *Config) schemas() codecs.Schemas {
	if c.Registry == nil {
		return nil
	}
	return c.Registry
}

// register registers the topic's schemas, and waits while the registry does not answer: what else runs goes on. The error is a
// *Refusal when the registry does not take them.
func (a *avroTopic) register(ctx context.Context, c *registry.Client, d *tables.Definition) (err error) {
	if a.key, err = c.Register(ctx, a.topic+"-key", a.format.Key()); err == nil {
		a.value, err = c.Register(ctx, a.topic+"-value", a.format.Value())
	}
	var refused *registry.Refused
	if errors.As(err, &refused) {
		return refusal(d, fmt.Sprintf("cannot write to topic %s: the schema registry refuses the schema of %s: %s", a.topic, refused.Subject, refused.Why), refused.WayOut)
	}
	return err
}

// sayNoRegistry is how often the log says that there are records in Avro and no registry.
const sayNoRegistry = time.Minute

// noRegistry tells the log of records that are dead letters because no registry is set.
type noRegistry struct {
	mu   sync.Mutex // guards said
	said time.Time
}

func (n *noRegistry) say(log *slog.Logger, topic string, records int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if records == 0 || time.Since(n.said) < sayNoRegistry {
		return
	}
	n.said = time.Now()
	log.Warn("records are Avro and no schema registry is set: they are dead letters", "topic", topic, "records", records,
		"hint", "set --schema-registry URL, and `brotally reset` the tables that are to have them")
}

// writer returns a writer of the topic's records, nil when they are JSON.
func (a *avroTopic) writer() *codecs.AvroWriter {
	if a == nil {
		return nil
	}
	return a.format.Writer(a.key, a.value)
}

// readyGroup is what a group stage waits for: its schemas.
func (p *Processors) readyGroup(ctx context.Context, t *placedTable) error {
	return p.ready(ctx, t.avro, &t.Definition)
}

// ready registers the schemas of a topic in Avro; nil is none. An instance without a registry leaves what writes Avro to those that
// have one: the catalog may have it from them.
func (p *Processors) ready(ctx context.Context, a *avroTopic, d *tables.Definition) error {
	if a == nil {
		return nil
	}
	if p.config.Registry == nil {
		p.config.Log.Warn("it writes Avro and no schema registry is set: other instances have to", string(d.Kind), d.Name, "hint", "--schema-registry URL")
		<-ctx.Done()
		return nil
	}
	return unlessDone(ctx, a.register(ctx, p.config.Registry, d))
}

// readyStreams registers the schemas of a pass's streams.
func (p *Processors) readyStreams(ctx context.Context, pass *pass) error {
	for _, sink := range pass.streams {
		if err := p.ready(ctx, sink.avro, &sink.stream.Definition); err != nil || ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// unlessDone returns err, but nil when ctx is done: then that is why.
func unlessDone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
