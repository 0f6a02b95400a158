package views

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"

	"github.com/brotally/brotally/internal/grouptable"
	"github.com/brotally/brotally/internal/kafka"
)

const (
	// topicPoll is how often is looked whether a changelog has come into being.
	topicPoll = 250 * time.Millisecond

	// reconnectStep and reconnectMost are how long a lost connection waits before it is tried again: a step longer each time.
	reconnectStep = 50 * time.Millisecond
	reconnectMost = time.Second

	// rebuildPause is how long a view that failed waits before it is made anew.
	rebuildPause = time.Second

	// stopPatience is how long a view that is stopped may wait for brokers to answer.
	stopPatience = time.Second
)

// follower keeps one View up to date: it waits for the changelog, runs a Goka view over it, and starts over when that ends.
type follower struct {
	view  *View
	kafka kafka.Config
	admin *kafka.Admin
	all   *watches
	log   *slog.Logger
}

// run follows until ctx is done, whose error it returns, or until there is an error that does not pass.
func (f *follower) run(ctx context.Context) error {
	for {
		topic, err := f.awaitTopic(ctx)
		if err == nil {
			f.view.hold(held{state: "is being restored"})
			err = f.follow(ctx, topic)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var denied *kafka.NotAllowed
		if errors.As(err, &denied) {
			return err
		}
		if f.view.retired.Load() {
			<-ctx.Done()
			return ctx.Err()
		}
		// What was held may be half of something: it is given up as a whole.
		f.view.hold(held{state: "is rebuilt: " + err.Error()})
		if errors.Is(err, errGone) {
			f.log.Warn("view starts over", "table", f.view.table.Name, "why", err)
			continue
		}
		f.log.Error("view failed and is rebuilt", "table", f.view.table.Name, "error", err)
		select {
		case <-time.After(rebuildPause):
		case <-ctx.Done():
		}
	}
}

// awaitTopic waits until the changelog exists.
func (f *follower) awaitTopic(ctx context.Context) (kafka.Topic, error) {
	name := f.view.topics.Changelog
	ticker := time.NewTicker(topicPoll)
	defer ticker.Stop()
	for first := true; ; first = false {
		found, err := f.admin.Describe(name)
		if topic, ok := found[name]; ok && err == nil {
			return topic, nil
		}
		if err != nil && !errors.Is(err, kafka.ErrRetry) {
			return kafka.Topic{}, err
		}
		if first {
			f.view.hold(held{state: "waits for topic " + name + ": nothing has counted it yet"})
			f.log.Info("view waits for its changelog", "table", f.view.table.Name, "topic", name)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return kafka.Topic{}, ctx.Err()
		}
	}
}

// follow recovers the table and follows it. It returns when ctx is done or the view cannot go on.
func (f *follower) follow(ctx context.Context, topic kafka.Topic) error {
	// A client of its own: a broker answers one connection's requests one after the other, so that views on one client would
	// wait for each other's fetches.
	// Its connections end after the view, which lets go of its consumers first; a broker that hangs does not hold it up long.
	life, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopPatience, kill) })()
	client, err := kafka.Dial(life, f.kafka)
	if err != nil {
		return err
	}
	defer client.Close() //nolint:errcheck // nothing depends on it
	// Without connections it would still try to get some: Sarama looks for a leader ten times before it lets go.
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopPatience, func() { _ = client.Close() }) })()
	total, err := f.size(topic)
	if err != nil {
		return err
	}
	// The builders of all partitions look for leaders through this client, but fetch on connections of their own.
	store := grouptable.New(grouptable.Config{Client: client, Table: f.view.table, Topic: topic.Name, Budget: f.kafka.Budget(), Log: f.log})
	restoring := held{store: store, partitions: topic.Partitions, total: total, life: lifeOf(topic, f.view.key), state: "is being restored"}
	watch := &watch{admin: f.admin, topic: topic, gone: func(why error) {
		if !f.view.retired.Load() {
			f.view.hold(held{state: "is rebuilt: " + why.Error()}) // at once: these are the rows of a table that is no more
		}
		giveUp(why)
	}}
	defer f.all.add(watch)()
	manager := func([]string) (goka.TopicManager, error) { return topicManager{f.admin.Client(), watch}, nil }
	consumer := newConsumer(ctx, client, store, watch)
	defer consumer.fetcher.Close() // Goka's View.close closes nothing; its topic manager has nothing to close
	log := &gokaLog{ctx: ctx, log: f.log}
	view, err := goka.NewView(f.kafka.Brokers, goka.Table(topic.Name), rowCodec{f.view.table},
		goka.WithViewStorageBuilder(store.Builder(func() context.Context { return ctx })),
		goka.WithViewTopicManagerBuilder(store.TopicManager(manager)),
		goka.WithViewConsumerSaramaBuilder(func([]string, string) (sarama.Consumer, error) { return consumer, nil }),
		goka.WithViewCallback(consumer.take),
		goka.WithViewHasher(kafka.NewHasher),
		goka.WithViewAutoReconnect(),
		goka.WithViewBackoffBuilder(func() (goka.Backoff, error) { return goka.NewSimpleBackoff(reconnectStep, reconnectMost), nil }),
		goka.WithViewBackoffResetTimeout(10*time.Second),
		goka.WithViewLogger(log),
	)
	if err != nil {
		return fmt.Errorf("make view of %s: %w", topic.Name, err)
	}
	f.view.hold(restoring)

	done := make(chan struct{})
	go func() { // awaited below
		defer close(done)
		f.latch(ctx, restoring)
	}()
	err = view.Run(ctx)
	cause := context.Cause(ctx)
	giveUp(nil)
	<-done
	switch {
	case errors.Is(cause, errGone):
		return cause
	case err != nil:
		return fmt.Errorf("follow %s: %w", topic.Name, err)
	case cause != nil:
		return cause
	}
	return fmt.Errorf("follow %s: it ended", topic.Name)
}

// size returns how many offsets there are to read: the sum of the high watermarks.
func (f *follower) size(topic kafka.Topic) (total int64, err error) {
	offsets, err := f.admin.Offsets(topic.Name)
	for _, r := range offsets[topic.Name] {
		total += r.Newest
	}
	return total, err
}

// latch makes the view ready once all partitions are recovered. Goka's own signal does not do: WaitRunning fires and falls
// back to Connecting right afterwards.
func (f *follower) latch(ctx context.Context, h held) {
	for {
		changed := h.store.Changed() // before looking, so that no change is missed
		if h.store.Len() == int(h.partitions) && ctx.Err() == nil {
			h.ready, h.state = true, "ready"
			f.view.hold(h)
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
