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

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// world is what one run of a script does its steps in.
type world struct {
	script   *script
	binary   string
	crashing bool     // kill and start again between any two steps
	env      []string // of the instances

	cluster     *cluster
	dir         string
	definitions []definition
	topics      map[string][]string // of feeds that are not called like their topic, without prefix
	instances   []*instance         // that were started; those that have ended, too
	launched    int
}

// definition is a table as the script has it.
type definition struct {
	name string
	text string // with the cluster's prefix in the names of topics
	feed string
}

const definitionsFile = "tables.sql"

// mismatch says where a script was told something else than it expects.
type mismatch struct {
	place string
	step  string
	diff  string // -want +got
}

// play runs the script. What is not as expected is returned, and what could not be done is an error. With update what the
// script expects becomes what it is told.
func (w *world) play(update bool) (wrong []mismatch, err error) {
	w.topics = map[string][]string{}
	if w.dir, err = os.MkdirTemp("", "brotally-pipeline-"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(w.dir)) }()
	if w.cluster, err = openCluster(); err != nil {
		return nil, err
	}
	defer func() {
		for _, i := range w.instances {
			i.kill()
		}
		if len(wrong) > 0 || err != nil {
			err = errors.Join(err, w.logs())
		}
		err = errors.Join(err, w.cluster.close())
	}()
	for at := range w.script.parts {
		p := &w.script.parts[at]
		if p.verb == "" {
			continue
		}
		place := fmt.Sprintf("%s:%d", filepath.Base(w.script.file), p.line)
		told, err := w.step(p)
		if err != nil {
			return wrong, fmt.Errorf("%s: %s: %w", place, p.text, err)
		}
		if told == nil {
			continue
		}
		if diff := cmp.Diff(strings.Join(p.body, "\n"), strings.Join(told, "\n")); update {
			p.body = told
		} else if diff != "" {
			wrong = append(wrong, mismatch{place, p.text, diff})
		}
	}
	return wrong, nil
}

// logs returns what the instances have said, as an error.
func (w *world) logs() error {
	const most = 12
	var all []error
	for _, i := range w.instances {
		lines := i.lines()
		all = append(all, fmt.Errorf("log of %s:\n  %s", filepath.Base(i.log), strings.Join(lines[max(0, len(lines)-most):], "\n  ")))
	}
	return errors.Join(all[max(0, len(all)-2):]...)
}

// step does one step. What a looking one was told is not nil.
func (w *world) step(p *part) (told []string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if w.crashing && !ending[p.verb] {
		if err := w.crashAll(ctx); err != nil {
			return nil, err
		}
	}
	if do, ok := doing[p.verb]; ok {
		return nil, do(w, ctx, p)
	}
	look, ok := looking[p.verb]
	if !ok {
		return nil, fmt.Errorf("no verb %s", p.verb)
	}
	lines, err := look(w, ctx, p)
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 && p.verb != "says" {
		lines = []string{"(nothing)"}
	}
	for i := range lines {
		lines[i] = w.plain(lines[i])
	}
	if lines == nil {
		lines = p.body
	}
	return lines, nil
}

// ending are the verbs before which nothing is killed: what they are about is an instance that has been there for a while.
var ending = map[string]bool{"stop": true, "kill": true, "ends": true}

// crashAll kills every instance that runs, then starts them again.
func (w *world) crashAll(ctx context.Context) error {
	running := w.running()
	for _, i := range running {
		i.kill()
	}
	for _, i := range running {
		again, err := w.launch(i.name, i.flags)
		if err == nil {
			err = w.awaitReading(ctx, again)
		}
		if err != nil {
			return fmt.Errorf("start %s again: %w", i.name, err)
		}
	}
	return nil
}

// running returns the instances that run, and are not paused.
func (w *world) running() (all []*instance) {
	for _, i := range w.instances {
		if i.alive() && !i.paused {
			all = append(all, i)
		}
	}
	return all
}

// named returns the newest instance of that name.
func (w *world) named(name string) (*instance, error) {
	for _, i := range slices.Backward(w.instances) {
		if i.name == name {
			return i, nil
		}
	}
	return nil, fmt.Errorf("%s was never started", name)
}

// doing are the verbs that do something.
var doing = map[string]func(*world, context.Context, *part) error{
	"feed": (*world).feed, "table": (*world).table, "drop": (*world).drop, "topic": (*world).topic, "delete": (*world).delete,
	"produce": (*world).produce, "start": (*world).start, "stop": (*world).stop, "kill": (*world).kill, "crash": (*world).crash,
	"expire": (*world).expire, "pause": (*world).pause, "resume": (*world).resume,
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

// feedFlags returns --feed for the feeds whose topics are not called like them: with a prefix, all of them.
func (w *world) feedFlags() (flags []string) {
	names := slices.Collect(maps.Keys(w.topics))
	if w.cluster.prefix != "" {
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
	created  = regexp.MustCompile(`(?i)CREATE\s+TABLE\s+"?([A-Za-z0-9_-]+)"?`)
	optioned = regexp.MustCompile(`(?i)\b((?:feed_)?topic\s*=\s*)'([^']*)'`)
	results  = regexp.MustCompile(`(?i)[^_]\btopic\s*=`)
	with     = regexp.MustCompile(`(?i)(\bWITH\s*\([^)]*)\)`)
)

// table puts a definition into the file. Its topics get the cluster's prefix, its result with an option if need be.
func (w *world) table(_ context.Context, p *part) error {
	text := strings.Join(p.input(p.args), "\n")
	name := created.FindStringSubmatch(text)
	if name == nil {
		return errors.New("want table CREATE TABLE ..")
	}
	d := definition{name: name[1], text: text}
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
		if create, ok := statements[0].(*sql.CreateTable); ok {
			d.feed = create.Query.From.Text
		}
	}
	if at := w.defined(d.name); at >= 0 {
		w.definitions[at] = d
	} else {
		w.definitions = append(w.definitions, d)
	}
	return w.writeDefinitions()
}

func (w *world) defined(name string) int {
	return slices.IndexFunc(w.definitions, func(d definition) bool { return d.name == name })
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

// app is the name of the deployment.
func (w *world) app() string { return w.cluster.prefix + "brotally" }

var volatile = []struct {
	is *regexp.Regexp
	as string
}{
	{regexp.MustCompile(`\bid [A-Za-z0-9_-]{22}`), "id ID"},
	{regexp.MustCompile(`@127\.0\.0\.1(:[0-9]+)?`), "@HOST"},
	{regexp.MustCompile(`"took_ms":[0-9.]+`), `"took_ms":..`},
	{regexp.MustCompile(`"(heard|created)":"[^"]*"`), `"$1":".."`},
}

// plain takes out of a line what differs from run to run.
func (w *world) plain(line string) string {
	if prefix := w.cluster.prefix; prefix != "" {
		for _, d := range w.definitions {
			option := "topic = '" + prefix + d.name + "'"
			line = strings.NewReplacer(" WITH ("+option+")", "", ", "+option, "").Replace(line)
		}
		line = strings.ReplaceAll(line, prefix, "")
	}
	line = strings.ReplaceAll(line, strings.Join(w.cluster.addrs, ","), "BROKERS")
	for _, v := range volatile {
		line = v.is.ReplaceAllString(line, v.as)
	}
	return strings.TrimRight(line, " ")
}

// or returns v unless it is zero.
func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
