package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tableJSON is what GET /api/v1/tables/NAME says, as far as scripts need it.
type tableJSON struct {
	Name    string
	SQL     string
	Ready   bool
	State   string
	AddsUp  bool                        `json:"adds_up"`
	AsOf    map[string]map[string]int64 `json:"as_of"`
	Columns []struct {
		Name string
		Key  bool
	}
	Topics struct {
		Feed      []string
		Changelog string
	}
	Progress []struct {
		Topic     string
		Partition int32
		Offset    int64
		EventTime *string `json:"event_time"`
		Heard     *time.Time
		Counts    json.RawMessage
	}
}

// request asks an instance over HTTP.
func (w *world) request(ctx context.Context, i *instance, method, path, body string) (status int, answer []byte, err error) {
	if err := poll(ctx, i.name+" listens", func() (bool, error) { return i.address() != "", i.ended() }); err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, i.address()+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	return res.StatusCode, answer, err
}

// client keeps no connections: the processes at their other ends are killed.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// settled waits until the instance's table reflects everything that the script has produced, or, when that is nothing,
// until it has begun. It does not wait for a table whose topics are not all there.
func (w *world) settled(ctx context.Context, i *instance, table string) (*tableJSON, error) {
	t := &tableJSON{}
	err := poll(ctx, i.name+" has all of "+table, func() (bool, error) {
		status, answer, err := w.request(ctx, i, http.MethodGet, "/api/v1/tables/"+table, "")
		if err != nil {
			return false, errors.Join(err, i.ended())
		}
		t = &tableJSON{}
		if err := json.Unmarshal(answer, t); err != nil || status != http.StatusOK {
			return false, fmt.Errorf("%d %s", status, answer)
		}
		if ok, err := w.current(ctx, t); err != nil || !ok {
			return false, err
		}
		return w.reached(ctx, t)
	})
	if err != nil {
		return nil, fmt.Errorf("%w; it %s, at %v", err, t.State, t.AsOf)
	}
	return t, nil
}

// current reports whether a table is answered for as the catalog has it.
func (w *world) current(ctx context.Context, t *tableJSON) (bool, error) {
	if !w.changed {
		return true, nil
	}
	last, err := w.cluster.last(ctx, "brotally-catalog")
	if err != nil || last[t.Name] == nil {
		return err == nil, err
	}
	var e struct {
		SQL  string
		Next json.RawMessage
	}
	err = json.Unmarshal(last[t.Name].Value, &e)
	return err == nil && e.Next == nil && e.SQL == t.SQL, err
}

func (w *world) reached(ctx context.Context, t *tableJSON) (bool, error) {
	produced := map[string]map[int32]int64{}
	total := int64(0)
	for _, topic := range t.Topics.Feed {
		if !w.cluster.made[topic] {
			return true, nil // it waits
		}
		produced[topic] = w.cluster.produced(topic)
		for _, end := range produced[topic] {
			total += end
		}
	}
	if total == 0 {
		return w.begun(ctx, t)
	}
	if !w.advanced.IsZero() {
		if begun, err := w.begun(ctx, t); err != nil || !begun {
			return false, err
		}
		for _, source := range t.Progress {
			if source.Heard == nil || source.Heard.Before(w.advanced) {
				return false, nil
			}
		}
	}
	for topic, partitions := range produced {
		for partition, end := range partitions {
			if have, ok := t.AsOf[topic][strconv.Itoa(int(partition))]; !ok || have < end {
				return false, nil
			}
		}
	}
	if again, err := w.hasAgain(ctx, t); err != nil || !again {
		return false, err
	}
	return t.Ready, nil
}

// hasAgain reports whether a table has the dead letters that have come again for it.
func (w *world) hasAgain(ctx context.Context, t *tableJSON) (bool, error) {
	if !w.replayed {
		return true, nil
	}
	last, err := w.cluster.last(ctx, "brotally-catalog")
	if err != nil || last[t.Name] == nil {
		return err == nil, err
	}
	var e struct {
		Sources map[string]struct{ Letters string }
	}
	if err := json.Unmarshal(last[t.Name].Value, &e); err != nil {
		return false, err
	}
	for topic, source := range e.Sources {
		if source.Letters == "" {
			continue
		}
		ends, err := w.cluster.admin.ListEndOffsets(ctx, topic) // behind the marker: it is passed, too
		if err != nil {
			return false, err
		}
		if end, ok := ends.Lookup(topic, 0); !ok || t.AsOf[topic]["0"] < end.Offset {
			return false, nil
		}
	}
	return true, nil
}

// begun says whether every partition of a table has heard of every partition of its topics: of records it cannot hear.
// HTTP does not tell, the group table does, which has a record of each.
func (w *world) begun(ctx context.Context, t *tableJSON) (bool, error) {
	topics, err := w.cluster.admin.ListTopics(ctx, append(t.Topics.Feed, t.Topics.Changelog)...)
	if err != nil {
		return false, err
	}
	sources, heard := 0, map[string]bool{}
	for _, topic := range t.Topics.Feed {
		sources += len(topics[topic].Partitions)
	}
	rows, err := w.cluster.records(ctx, strings.TrimPrefix(t.Topics.Changelog, w.cluster.prefix))
	if err != nil {
		return false, err
	}
	for _, r := range rows {
		if strings.HasPrefix(string(r.Key), `\#progress/`) {
			heard[strconv.Itoa(int(r.Partition))+string(r.Key)] = true
		}
	}
	return t.Ready && sources > 0 && len(heard) == sources*len(topics[t.Topics.Changelog].Partitions), nil
}

// settleAll waits until all instances have everything, as far as they can.
func (w *world) settleAll(ctx context.Context) error {
	if w.changed {
		if err := w.settledCatalog(ctx); err != nil {
			return err
		}
	}
	for _, i := range w.answering() {
		for _, d := range w.definitions {
			if d.stream {
				continue
			}
			if _, err := w.settled(ctx, i, d.name); err != nil {
				return err
			}
		}
	}
	return w.settleStreams(ctx)
}

// settledCatalog waits until no instance has anything more to do about the catalog: nothing is being built, merged or cleared
// away, and what reads one feed of a topic does so in one pass. Where nothing runs, nothing changes.
func (w *world) settledCatalog(ctx context.Context) error {
	if len(w.running()) == 0 || !slices.ContainsFunc(w.running(), func(i *instance) bool { return !slices.Contains(i.flags, "--only=serve") }) {
		return nil
	}
	return poll(ctx, "the catalog is settled", func() (bool, error) {
		last, err := w.cluster.last(ctx, "brotally-catalog")
		if err != nil {
			return false, err
		}
		passes := map[string]string{}
		for name, r := range last {
			var e struct {
				Kind, Feed    string
				SQL, Result   string
				Generation    int
				Partitions    int32
				Next, Retired json.RawMessage
				Dropped       bool
				Sources       map[string]struct {
					Pass, Merge string
					Mixed       bool
				}
			}
			if r.Value == nil {
				continue
			}
			if err := json.Unmarshal(r.Value, &e); err != nil {
				return false, err
			}
			if e.Next != nil || e.Retired != nil || e.Dropped {
				return false, nil
			}
			for topic, s := range e.Sources {
				of := fmt.Sprint(topic, e.Feed, s.Mixed)
				if s.Merge != "" || passes[of] != "" && passes[of] != s.Pass {
					return false, nil
				}
				passes[of] = s.Pass
			}
			if own := name; w.changed && e.Kind == "" {
				if e.Generation > 0 {
					own = fmt.Sprintf("%s.%d", name, e.Generation+1)
				}
				if ok, err := w.published(ctx, own, e.SQL, e.Result, e.Partitions); err != nil || !ok {
					return false, err
				}
			}
		}
		return true, nil
	})
}

// published reports whether the result topic has a definition's results, by the marks in its changelog.
func (w *world) published(ctx context.Context, own, text, result string, partitions int32) (bool, error) {
	rows, err := w.cluster.records(ctx, "brotally-"+own+"-table")
	if err != nil {
		return false, err
	}
	sum := sha256.Sum256([]byte(own + "\n" + text + "\n" + result))
	marks := map[int32]bool{}
	for _, r := range rows {
		if string(r.Key) == `\#published` {
			marks[r.Partition] = len(r.Value) > 0 && string(r.Value[1:]) == hex.EncodeToString(sum[:12])
		}
	}
	return len(marks) == int(partitions) && !slices.Contains(slices.Collect(maps.Values(marks)), false), nil
}

// answering returns the instances that answer.
func (w *world) answering() []*instance {
	return slices.DeleteFunc(w.running(), func(i *instance) bool { return slices.Contains(i.flags, "--only=process") })
}

// agreed asks every running instance, each as soon as it has all of the table ("" is none in particular); they must say the same.
func (w *world) agreed(ctx context.Context, table string, ask func(*instance, *tableJSON) ([]string, error)) ([]string, error) {
	running := w.answering()
	if len(running) == 0 {
		return nil, errors.New("nothing runs that answers")
	}
	var first []string
	for n, i := range running {
		var t *tableJSON
		if table != "" {
			var err error
			if t, err = w.settled(ctx, i, table); err != nil {
				return nil, err
			}
		}
		told, err := ask(i, t)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			first = told
		} else if diff := cmp.Diff(first, told); diff != "" {
			return nil, fmt.Errorf("%s and %s do not say the same:\n%s", running[0].name, i.name, diff)
		}
	}
	return first, nil
}
