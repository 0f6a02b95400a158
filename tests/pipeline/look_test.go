package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/brotally/brotally/tables/sql"
)

// looking are the verbs that look at something.
var looking = map[string]func(*world, context.Context, *part) ([]string, error){
	"expect": (*world).expect, "query": (*world).query, "progress": (*world).progress, "http": (*world).http,
	"result": (*world).result, "dead-letters": (*world).deadLetters, "catalog": (*world).catalog, "topics": (*world).allTopics,
	"groups": (*world).groups, "says": (*world).says, "ends": (*world).ends, "brotally": (*world).brotally,
}

// tableJSON is what GET /api/v1/tables/NAME says, as far as scripts need it.
type tableJSON struct {
	Name    string
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
		Counts    json.RawMessage
	}
}

// counted are the counters of a source partition, in the order in which they are shown.
var counted = []string{"read", "counted", "filtered", "other_feed", "no_time", "dead_lettered", "bad_fields", "overflows", "cut_keys", "lost"}

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
		return w.reached(ctx, t)
	})
	if err != nil {
		return nil, fmt.Errorf("%w; it %s, at %v", err, t.State, t.AsOf)
	}
	return t, nil
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
	for topic, partitions := range produced {
		for partition, end := range partitions {
			if have, ok := t.AsOf[topic][strconv.Itoa(int(partition))]; !ok || have < end {
				return false, nil
			}
		}
	}
	return t.Ready, nil
}

// begun says whether every partition of a table has heard of every partition of its topics: of records it cannot hear.
// HTTP does not tell, the group table does, whose keys of its own begin with \#.
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
		if strings.HasPrefix(string(r.Key), `\#`) {
			heard[strconv.Itoa(int(r.Partition))+string(r.Key)] = true
		}
	}
	return t.Ready && sources > 0 && len(heard) == sources*len(topics[t.Topics.Changelog].Partitions), nil
}

// settleAll waits until all instances have everything, as far as they can.
func (w *world) settleAll(ctx context.Context) error {
	for _, i := range w.answering() {
		for _, d := range w.definitions {
			if _, err := w.settled(ctx, i, d.name); err != nil {
				return err
			}
		}
	}
	return nil
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

// rowsJSON are rows as HTTP gives them.
type rowsJSON struct{ Rows [][]json.RawMessage }

func (r rowsJSON) lines() []string {
	var cells [][]string
	for _, row := range r.Rows {
		var line []string
		for _, v := range row {
			line = append(line, cell(v))
		}
		cells = append(cells, line)
	}
	return aligned(cells)
}

func (w *world) expect(ctx context.Context, p *part) ([]string, error) {
	return w.agreed(ctx, p.args, func(i *instance, t *tableJSON) ([]string, error) {
		path := "/api/v1/tables/" + p.args + "/rows"
		for _, c := range t.Columns {
			if c.Key {
				path += "?order=" + url.QueryEscape(c.Name)
				break // the others follow: an order leaves no two rows equal
			}
		}
		status, answer, err := w.request(ctx, i, http.MethodGet, path, "")
		if err != nil {
			return nil, err
		}
		var rows rowsJSON
		if err := json.Unmarshal(answer, &rows); err != nil || status != http.StatusOK {
			return nil, fmt.Errorf("%d %s", status, answer)
		}
		return rows.lines(), nil
	})
}

func (w *world) query(ctx context.Context, p *part) ([]string, error) {
	table, ordered := "", false
	if statement, err := sql.ParseStatement("", p.args); err == nil {
		if query, ok := statement.(*sql.Select); ok && w.defined(query.From.Text) >= 0 {
			table, ordered = query.From.Text, len(query.OrderBy) > 0
		}
	}
	body, err := json.Marshal(map[string]string{"sql": p.args})
	if err != nil {
		return nil, err
	}
	return w.agreed(ctx, table, func(i *instance, _ *tableJSON) ([]string, error) {
		status, answer, err := w.request(ctx, i, http.MethodPost, "/api/v1/query", string(body))
		if err != nil {
			return nil, err
		}
		var said struct {
			rowsJSON
			Error struct{ Message, Hint, Text string }
		}
		if err := json.Unmarshal(answer, &said); err != nil {
			return nil, fmt.Errorf("%d %s", status, answer)
		}
		if status != http.StatusOK {
			return split(or(said.Error.Text, said.Error.Message)), nil
		}
		lines := said.lines()
		if !ordered {
			slices.Sort(lines)
		}
		return lines, nil
	})
}

func (w *world) progress(ctx context.Context, p *part) ([]string, error) {
	return w.agreed(ctx, p.args, func(_ *instance, t *tableJSON) ([]string, error) {
		if !t.AddsUp {
			return nil, fmt.Errorf("the counts of %s do not add up", t.Name)
		}
		var cells [][]string
		for _, source := range t.Progress {
			var counts map[string]int64
			if err := json.Unmarshal(source.Counts, &counts); err != nil {
				return nil, err
			}
			words := []string{fmt.Sprintf("upto=%d", source.Offset)}
			for _, name := range counted {
				if counts[name] != 0 {
					words = append(words, fmt.Sprintf("%s=%d", name, counts[name]))
				}
				delete(counts, name)
			}
			if len(counts) > 0 {
				return nil, fmt.Errorf("counters that scripts do not know: %v", counts)
			}
			if source.EventTime != nil {
				words = append(words, "newest="+*source.EventTime)
			}
			cells = append(cells, []string{w.plain(source.Topic) + "/" + strconv.Itoa(int(source.Partition)), strings.Join(words, " ")})
		}
		return aligned(cells), nil
	})
}

func (w *world) http(ctx context.Context, p *part) ([]string, error) {
	method, rest, _ := strings.Cut(p.args, " ")
	path, rest, _ := strings.Cut(rest, " ")
	var body json.RawMessage
	if strings.HasPrefix(rest, "{") {
		rest = bytesOf(rest)
		d := json.NewDecoder(strings.NewReader(rest))
		if err := d.Decode(&body); err != nil {
			return nil, err
		}
		rest = rest[d.InputOffset():]
	}
	pointers := strings.Fields(rest)
	table := ""
	for _, m := range []string{path, string(body)} {
		if name := asked.FindStringSubmatch(m); name != nil && w.defined(name[1]) >= 0 {
			table = name[1]
		}
	}
	if table == "" {
		if err := w.settleAll(ctx); err != nil {
			return nil, err
		}
	}
	return w.agreed(ctx, table, func(i *instance, _ *tableJSON) ([]string, error) {
		status, answer, err := w.request(ctx, i, method, path, string(body))
		if err != nil {
			return nil, err
		}
		lines := []string{strconv.Itoa(status)}
		if len(pointers) == 0 {
			for _, line := range split(string(answer)) {
				lines = append(lines, visible(line))
			}
			return lines, nil
		}
		for _, pointer := range pointers {
			found, err := find(answer, pointer)
			if err != nil {
				return nil, err
			}
			lines = append(lines, pointer+" "+visible(string(found)))
		}
		return lines, nil
	})
}

// asked finds the table that a path or a query speaks of.
var asked = regexp.MustCompile(`(?i)(?:/tables/|\bFROM\s+)([A-Za-z0-9_-]+)`)

// find returns what a JSON pointer (RFC 6901) points at.
func find(value json.RawMessage, pointer string) (json.RawMessage, error) {
	for name := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
		var object map[string]json.RawMessage
		var array []json.RawMessage
		switch n, err := strconv.Atoi(name); {
		case json.Unmarshal(value, &object) == nil && object[name] != nil:
			value = object[name]
		case json.Unmarshal(value, &array) == nil && err == nil && n >= 0 && n < len(array):
			value = array[n]
		default:
			return nil, fmt.Errorf("nothing at %s in %s", pointer, value)
		}
	}
	return value, nil
}

// hasher puts keys where Java's default partitioner does.
var hasher = kgo.StickyKeyPartitioner(nil)

func (w *world) result(ctx context.Context, p *part) ([]string, error) {
	if err := w.settleAll(ctx); err != nil {
		return nil, err
	}
	topic := p.args
	last, err := w.cluster.last(ctx, topic)
	if err != nil {
		return nil, err
	}
	ends, err := w.cluster.admin.ListEndOffsets(ctx, w.cluster.prefix+topic)
	if err != nil {
		return nil, err
	}
	partitions := len(ends[w.cluster.prefix+topic])
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(last)) {
		r := last[key]
		if want := hasher.ForTopic(r.Topic).Partition(r, partitions); int(r.Partition) != want {
			return nil, fmt.Errorf("key %s lies in partition %d, Java's partitioner says %d", visible(key), r.Partition, want)
		}
		value := "(gone)"
		if r.Value != nil {
			value = visible(string(r.Value))
			if !json.Valid(r.Value) {
				return nil, fmt.Errorf("key %s: %s is no JSON", visible(key), value)
			}
		}
		lines = append(lines, or(visible(key), "<empty>")+" => "+value)
	}
	return lines, nil
}

func (w *world) deadLetters(ctx context.Context, _ *part) ([]string, error) {
	if err := w.settleAll(ctx); err != nil {
		return nil, err
	}
	letters, err := w.cluster.records(ctx, "brotally-dead-letter")
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, l := range letters {
		reason := ""
		for _, h := range l.Headers {
			if h.Key == "__streams.errors.message" {
				reason = string(h.Value)
			}
		}
		value := "<null>"
		if l.Value != nil {
			value = or(visible(string(l.Value)), "<empty>")
		}
		lines = append(lines, string(l.Key)+": "+visible(reason)+": "+value)
	}
	slices.Sort(lines) // partitions are read in any order
	return lines, nil
}

func (w *world) catalog(ctx context.Context, _ *part) ([]string, error) {
	last, err := w.cluster.last(ctx, "brotally-catalog")
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(last)) {
		if last[name].Value == nil {
			continue
		}
		var e struct {
			Feed, Result string
			Partitions   int32
			Sources      map[string]struct {
				Partitions int32
				Start      map[int32]int64
				Pass       string
			}
		}
		if err := json.Unmarshal(last[name].Value, &e); err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprintf("%s: feed=%s result=%s partitions=%d", name, e.Feed, e.Result, e.Partitions))
		for _, topic := range slices.Sorted(maps.Keys(e.Sources)) {
			source := e.Sources[topic]
			var starts []string
			for _, partition := range slices.Sorted(maps.Keys(source.Start)) {
				starts = append(starts, fmt.Sprintf("%d:%d", partition, source.Start[partition]))
			}
			lines = append(lines, fmt.Sprintf("  %s: pass=%s partitions=%d start=%s", topic, source.Pass, source.Partitions, strings.Join(starts, ",")))
		}
	}
	return lines, nil
}

func (w *world) allTopics(ctx context.Context, _ *part) ([]string, error) {
	topics, err := w.cluster.admin.ListTopics(ctx)
	if err != nil {
		return nil, err
	}
	names := slices.DeleteFunc(w.cluster.ours(topics.Names()), func(n string) bool { return w.cluster.made[n] })
	if len(names) == 0 {
		return nil, nil
	}
	slices.Sort(names)
	configs, err := w.cluster.admin.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, err
	}
	var cells [][]string
	for _, name := range names {
		config, err := configs.On(name, nil)
		if err != nil {
			return nil, err
		}
		var words []string
		for _, c := range config.Configs {
			if c.Source == kmsg.ConfigSourceDynamicTopicConfig && c.Value != nil {
				words = append(words, c.Key+"="+strings.Join(slices.Sorted(strings.SplitSeq(*c.Value, ",")), ","))
			}
		}
		slices.Sort(words)
		cells = append(cells, []string{w.plain(name), strconv.Itoa(len(topics[name].Partitions)), strings.Join(words, " ")})
	}
	return aligned(cells), nil
}

func (w *world) groups(ctx context.Context, _ *part) ([]string, error) {
	groups, err := w.cluster.admin.ListGroups(ctx)
	if err != nil {
		return nil, err
	}
	return w.cluster.ours(groups.Groups()), nil
}

func (w *world) says(ctx context.Context, p *part) ([]string, error) {
	name, text, _ := strings.Cut(p.args, " ")
	return nil, poll(ctx, name+" says "+text, func() (bool, error) {
		i, err := w.named(name)
		if err != nil {
			return false, err
		}
		return slices.ContainsFunc(i.lines(), func(line string) bool { return strings.Contains(w.plain(line), text) }), i.ended()
	})
}

func (w *world) ends(ctx context.Context, p *part) ([]string, error) {
	name, _ := nameAnd(p.words(), noFlag)
	i, err := w.named(name)
	if err != nil {
		return nil, err
	}
	if err := i.wait(ctx); err != nil {
		return nil, err
	}
	// What it said at last: lines behind its log.
	lines := i.lines()
	last := len(lines)
	for last > 0 && !strings.HasPrefix(lines[last-1], "time=") {
		last--
	}
	return append([]string{"exit " + strconv.Itoa(i.cmd.ProcessState.ExitCode())}, lines[last:]...), nil
}

func (w *world) brotally(ctx context.Context, p *part) ([]string, error) {
	words := p.words()
	if len(words) == 0 {
		return nil, errors.New("want brotally COMMAND")
	}
	args := words[:1:1]
	switch words[0] {
	case "run":
		args = append(append(args, definitionsFile, "--listen", "127.0.0.1:0", "--log-level", "error"), w.common("run")...)
	case "reset":
		args = append(args, w.common("reset")...)
	}
	code, output, err := w.run(ctx, append(args, words[1:]...))
	if err != nil {
		return nil, err
	}
	return append([]string{"exit " + strconv.Itoa(code)}, split(output)...), nil
}

// split returns the lines of a text, without empty ones.
func split(text string) (lines []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\n "); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}
