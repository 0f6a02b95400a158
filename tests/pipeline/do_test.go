package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/testregistry"
	"github.com/brotally/brotally/tables/sql"
)

// doing are the verbs that do something.
var doing = map[string]func(*world, context.Context, *part) error{
	"feed": (*world).feed, "table": (*world).table, "stream": (*world).table, "drop": (*world).drop, "topic": (*world).topic, "delete": (*world).delete,
	"produce": (*world).produce, "start": (*world).start, "stop": (*world).stop, "kill": (*world).kill, "crash": (*world).crash,
	"expire": (*world).expire, "pause": (*world).pause, "resume": (*world).resume, "advance": (*world).advance, "corrupt": (*world).corrupt,
	"schema": (*world).schema,
}

func (w *world) feed(ctx context.Context, p *part) error {
	options, names := p.options()
	if len(names) != 1 {
		return errors.New("want feed NAME")
	}
	topics := []string{names[0] + ":" + or(options["partitions"], "1")}
	if list := options["topics"]; list != "" {
		topics = strings.Split(list, ",")
		w.topics[names[0]] = nil
	}
	for _, topic := range topics {
		name, count, _ := strings.Cut(topic, ":")
		partitions, err := strconv.ParseInt(or(count, "1"), 10, 32)
		if err != nil {
			return err
		}
		if err := w.cluster.makeTopic(ctx, name, int32(partitions), nil); err != nil {
			return err
		}
		if options["topics"] != "" {
			w.topics[names[0]] = append(w.topics[names[0]], name)
		}
	}
	return nil
}

// schema makes a registry, if there is none yet, and puts a schema there: the first has id 1.
func (w *world) schema(_ context.Context, p *part) error {
	if w.registry == nil {
		w.registry = testregistry.New()
	}
	subject, text, _ := strings.Cut(p.args, " ")
	_, _, err := w.registry.RegisterSchema(subject, sr.Schema{Schema: text})
	return err
}

// feedFlags returns --feed for the feeds whose topics are not called like them: with a prefix, all of them.
func (w *world) feedFlags() (flags []string) {
	names := slices.Collect(maps.Keys(w.topics))
	if w.cluster.prefix != "" && w.topics["*"] == nil {
		for _, f := range feeds.All() {
			names = append(names, f.Name)
		}
		for _, d := range w.definitions {
			names = append(names, d.feed)
		}
	}
	slices.Sort(names)
	for _, feed := range slices.Compact(names) {
		if feed == "" {
			continue // of a definition that cannot be parsed
		}
		topics := w.topics[feed]
		if topics == nil {
			topics = []string{feed}
		}
		flags = append(flags, "--feed", feed+"="+w.cluster.prefix+strings.Join(topics, ","+w.cluster.prefix))
	}
	return flags
}

var (
	created  = regexp.MustCompile(`(?i)CREATE\s+(?:TABLE|STREAM)\s+"?([A-Za-z0-9_-]+)"?`)
	optioned = regexp.MustCompile(`(?i)\b((?:feed_)?topic\s*=\s*)'([^']*)'`)
	results  = regexp.MustCompile(`(?i)[^_]\btopic\s*=`)
	with     = regexp.MustCompile(`(?i)(\bWITH\s*\([^)]*)\)`)
)

// table puts a definition of either kind into the file. Its topics get the cluster's prefix, its result with an option if need be.
func (w *world) table(_ context.Context, p *part) error {
	text := strings.Join(p.input(p.args), "\n")
	name := created.FindStringSubmatch(text)
	if name == nil {
		return errors.New("want table CREATE TABLE .. or stream CREATE STREAM ..")
	}
	d := definition{name: name[1], text: text, stream: p.verb == "stream"}
	if prefix := w.cluster.prefix; prefix != "" {
		d.text = optioned.ReplaceAllStringFunc(text, func(option string) string {
			m := optioned.FindStringSubmatch(option)
			return m[1] + "'" + prefix + strings.ReplaceAll(m[2], ",", ","+prefix) + "'"
		})
		option := "topic = '" + prefix + d.name + "'"
		switch {
		case results.MatchString(text):
		case with.MatchString(text):
			d.text = with.ReplaceAllString(d.text, "${1}, "+option+")")
		default:
			d.text = created.ReplaceAllString(d.text, "${0} WITH ("+option+")")
		}
	}
	if statements, err := sql.Parse(definitionsFile, text); err == nil && len(statements) == 1 {
		switch create := statements[0].(type) {
		case *sql.CreateTable:
			d.feed = create.Query.From.Text
		case *sql.CreateStream:
			d.feed = create.Query.From.Text
		}
	}
	if at := w.defined(d.name); at >= 0 {
		w.definitions[at], w.changed = d, true
	} else {
		w.definitions = append(w.definitions, d)
	}
	return w.writeDefinitions()
}

func (w *world) defined(name string) int {
	return slices.IndexFunc(w.definitions, func(d definition) bool { return d.name == name })
}

// isTable says whether a name is that of a table as the script has it.
func (w *world) isTable(name string) bool {
	at := w.defined(name)
	return at >= 0 && !w.definitions[at].stream
}

func (w *world) drop(_ context.Context, p *part) error {
	at := w.defined(p.args)
	if at < 0 {
		return errors.New("no such table")
	}
	w.definitions = slices.Delete(w.definitions, at, at+1)
	return w.writeDefinitions()
}

func (w *world) writeDefinitions() error {
	var b strings.Builder
	for _, d := range w.definitions {
		fmt.Fprintf(&b, "%s;\n", d.text)
	}
	return os.WriteFile(filepath.Join(w.dir, definitionsFile), []byte(b.String()), 0o600)
}

func (w *world) topic(ctx context.Context, p *part) error {
	settings, names := p.options()
	if len(names) != 1 {
		return errors.New("want topic NAME")
	}
	partitions, err := strconv.ParseInt(or(settings["partitions"], "1"), 10, 32)
	if err != nil {
		return err
	}
	delete(settings, "partitions")
	return w.cluster.makeTopic(ctx, names[0], int32(partitions), settings)
}

func (w *world) delete(ctx context.Context, p *part) error { return w.cluster.deleteTopic(ctx, p.args) }

func (w *world) produce(ctx context.Context, p *part) error {
	// A record may begin on the first line: blanks separate it from what comes before.
	target, rest, _ := strings.Cut(p.args, " ")
	var at time.Time
	if option, after, _ := strings.Cut(strings.TrimSpace(rest), " "); strings.HasPrefix(option, "at=") {
		var err error
		if at, err = time.Parse(time.RFC3339, option[len("at="):]); err != nil {
			return err
		}
		rest = after
	}
	topic, partition, err := source(target)
	if err != nil {
		return err
	}
	var values [][]byte
	for _, line := range p.input(strings.TrimSpace(rest)) {
		switch line {
		case "<null>":
			values = append(values, nil)
		case "<empty>":
			values = append(values, []byte{})
		default:
			values = append(values, []byte(bytesOf(line)))
		}
	}
	if len(values) == 0 {
		return errors.New("no records")
	}
	return w.cluster.produce(ctx, topic, partition, at, values)
}

// source reads TOPIC/PARTITION.
func source(text string) (topic string, partition int32, err error) {
	topic, number, ok := strings.Cut(text, "/")
	n, err := strconv.ParseInt(number, 10, 32)
	if !ok || err != nil {
		return "", 0, fmt.Errorf("%s is not TOPIC/PARTITION", text)
	}
	return topic, int32(n), nil
}

// nameAnd splits [NAME] REST: the name defaults to "a".
func nameAnd(words []string, isName func(string) bool) (name string, rest []string) {
	if len(words) > 0 && isName(words[0]) {
		return words[0], words[1:]
	}
	return "a", words
}

func noFlag(word string) bool { return !strings.HasPrefix(word, "-") }

func (w *world) start(ctx context.Context, p *part) error {
	name, flags := nameAnd(p.words(), noFlag)
	i, err := w.launch(name, flags)
	if err != nil {
		return err
	}
	return w.awaitReading(ctx, i)
}

func (w *world) stop(ctx context.Context, p *part) error {
	name, _ := nameAnd(p.words(), noFlag)
	i, err := w.named(name)
	if err == nil {
		err = w.settledCatalog(ctx) // or what follows would depend on when it was
	}
	if err != nil {
		return err
	}
	return i.stop(ctx)
}

func (w *world) kill(_ context.Context, p *part) error {
	name, _ := nameAnd(p.words(), noFlag)
	i, err := w.named(name)
	if err == nil {
		i.kill()
	}
	return err
}

func (w *world) pause(_ context.Context, p *part) error  { return w.signal(p, syscall.SIGSTOP) }
func (w *world) resume(_ context.Context, p *part) error { return w.signal(p, syscall.SIGCONT) }

func (w *world) signal(p *part, s syscall.Signal) error {
	name, _ := nameAnd(p.words(), noFlag)
	i, err := w.named(name)
	if err != nil {
		return err
	}
	i.paused = s == syscall.SIGSTOP
	return i.cmd.Process.Signal(s)
}

func (w *world) expire(ctx context.Context, p *part) error {
	words := p.words()
	if len(words) != 2 {
		return errors.New("want expire TOPIC/PARTITION OFFSET")
	}
	topic, partition, err := source(words[0])
	if err != nil {
		return err
	}
	offset, err := strconv.ParseInt(words[1], 10, 64)
	if err != nil {
		return err
	}
	return w.cluster.expire(ctx, topic, partition, offset)
}

// advance moves the instances' clock. What they say afterwards waits until all of a table has heard of it.
func (w *world) advance(_ context.Context, p *part) error {
	by, err := time.ParseDuration(p.args)
	if err != nil || by <= 0 {
		return errors.New("want advance DURATION")
	}
	w.ahead += by
	// They may be reading it.
	next := w.clockFile() + ".next"
	if err := os.WriteFile(next, []byte(w.ahead.String()), 0o600); err != nil {
		return err
	}
	w.advanced = time.Now().Add(w.ahead)
	return os.Rename(next, w.clockFile())
}

// corrupt gives one row of a changelog the value of another one, behind the back of whoever runs.
func (w *world) corrupt(ctx context.Context, p *part) error {
	words := p.words()
	if len(words) != 3 {
		return errors.New("want corrupt TABLE KEY KEY")
	}
	last, err := w.cluster.last(ctx, "brotally-"+words[0]+"-table")
	if err != nil {
		return err
	}
	find := func(text string) (found *kgo.Record, err error) {
		for key, r := range last {
			if strings.HasPrefix(key, `\#`) || !strings.Contains(key, text) {
				continue
			}
			if found != nil {
				return nil, fmt.Errorf("several rows have %s in their keys", text)
			}
			found = r
		}
		if found == nil {
			err = fmt.Errorf("no row has %s in its key", text)
		}
		return found, err
	}
	to, err := find(words[1])
	if err != nil {
		return err
	}
	from, err := find(words[2])
	if err != nil {
		return err
	}
	return w.cluster.client.ProduceSync(ctx, &kgo.Record{Topic: to.Topic, Partition: to.Partition, Key: to.Key, Value: from.Value}).FirstErr()
}

func (w *world) clockFile() string { return filepath.Join(w.dir, "clock") }

func (w *world) crash(ctx context.Context, p *part) error {
	name, rest := nameAnd(p.words(), func(word string) bool { return !strings.Contains(word, ":") })
	if len(rest) == 0 {
		return errors.New("want crash STAGE:POINT")
	}
	point := strings.Split(rest[0], ":")
	if len(point) == 2 {
		point = append(point, "1")
	}
	i, err := w.launch(name, rest[1:], "BROTALLY_FAULT="+strings.Join(point, ":"))
	if err != nil {
		return err
	}
	if err := i.wait(ctx); err != nil {
		return err
	}
	if lines := i.lines(); len(lines) == 0 || !slices.Contains(lines, "fault: killed at "+point[0]+":"+point[1]) {
		return fmt.Errorf("%s ended otherwise: %v", name, i.cmd.ProcessState)
	}
	return nil
}
