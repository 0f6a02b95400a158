package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/brotally/brotally/tables/sql"
)

// looking are the verbs that look at something.
var looking = map[string]func(*world, context.Context, *part) ([]string, error){
	"expect": (*world).expect, "query": (*world).query, "progress": (*world).progress, "http": (*world).http,
	"result": (*world).result, "dead-letters": (*world).deadLetters, "catalog": (*world).catalog, "topics": (*world).allTopics,
	"groups": (*world).groups, "records": (*world).recordsOf, "says": (*world).says, "brotally": (*world).brotally,
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
		if query, ok := statement.(*sql.Select); ok && w.isTable(query.From.Text) {
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

// counted are the counters of a source partition, in the order in which they are shown.
var counted = []string{"read", "counted", "filtered", "other_feed", "no_time", "dead_lettered", "bad_fields", "overflows", "cut_keys", "lost", "skewed", "late"}

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
		if name := asked.FindStringSubmatch(m); name != nil && w.isTable(name[1]) {
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

func (w *world) brotally(ctx context.Context, p *part) ([]string, error) {
	words := p.words()
	if len(words) == 0 {
		return nil, errors.New("want brotally COMMAND")
	}
	args := words[:1:1]
	switch words[0] {
	case "run":
		args = append(append(args, definitionsFile, "--listen", "127.0.0.1:0", "--log-level", "error"), w.common("run")...)
	case "reset", "verify":
		args = append(args, w.common(words[0])...)
	}
	rest := words[1:]
	if words[0] == "dead-letters" && len(rest) > 0 {
		args, rest = append(append(args, rest[0]), w.common("dead-letters")...), slices.Clone(rest[1:])
		for i, arg := range rest {
			if strings.Contains(arg, "/") || i > 0 && rest[i-1] == "--topic" {
				rest[i] = w.cluster.prefix + arg
			}
		}
		w.replayed = w.replayed || args[1] == "replay"
	}
	code, output, err := w.run(ctx, append(args, rest...))
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
