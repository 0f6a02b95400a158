package views

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/brotally/brotally/internal/kafka"
)

// watchEvery is how often is looked whether the changelogs are still the same ones; all of them in two requests.
const watchEvery = 2 * time.Second

// errGone says that the changelog is no longer the one that a view began with.
var errGone = errors.New("the changelog was deleted, or deleted and made anew")

// watch makes sure that a changelog is still the one that a view began with. Offsets of a topic that was made anew would be
// taken for those of the old one, and where there is no topic Goka would try for ever.
type watch struct {
	admin *kafka.Admin
	topic kafka.Topic
	gone  context.CancelCauseFunc // ends the view

	mu    sync.Mutex // guards begun
	begun map[int32]bool
}

// check ends the view when the topic is another one by now.
func (w *watch) check() error {
	found, err := w.admin.Describe(w.topic.Name)
	if err != nil {
		return nil // not known; whoever asked finds out what is wrong
	}
	return w.compare(found)
}

// compare ends the view when the topic is not among those that were found.
func (w *watch) compare(found map[string]kafka.Topic) error {
	now, ok := found[w.topic.Name]
	if ok && now.ID == w.topic.ID && now.Partitions == w.topic.Partitions {
		return nil
	}
	w.gone(errGone)
	return errGone
}

// again reports whether the partition was begun before.
func (w *watch) again(partition int32) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.begun == nil {
		w.begun = map[int32]bool{}
	}
	was := w.begun[partition]
	w.begun[partition] = true
	return was
}

// watches are those of all views that are running.
type watches struct {
	mu sync.Mutex // guards of
	of map[*watch]bool
}

// add adds a watch until the function that it returns is called.
func (ws *watches) add(w *watch) (remove func()) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.of == nil {
		ws.of = map[*watch]bool{}
	}
	ws.of[w] = true
	return func() {
		ws.mu.Lock()
		defer ws.mu.Unlock()
		delete(ws.of, w)
	}
}

// run looks after all of them until ctx is done.
func (ws *watches) run(ctx context.Context, admin *kafka.Admin) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		all := ws.all()
		names := make([]string, len(all))
		for i, w := range all {
			names[i] = w.topic.Name
		}
		found, err := admin.Describe(names...)
		if err != nil {
			continue // the brokers are away, which is for others to say
		}
		for _, w := range all {
			_ = w.compare(found) // it has ended the view
		}
	}
}

func (ws *watches) all() []*watch {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	all := make([]*watch, 0, len(ws.of))
	for w := range ws.of {
		all = append(all, w)
	}
	return all
}
