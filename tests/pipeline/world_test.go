package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/internal/testregistry"
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
	changed     bool                // a definition has taken another one's place
	topics      map[string][]string // of feeds that are not called like their topic, without prefix
	instances   []*instance         // that were started; those that have ended, too
	launched    int
	ahead       time.Duration          // of the time of day is the instances' clock
	advanced    time.Time              // where it stood when it was last moved, or an instance was started since
	registry    *testregistry.Registry // nil: the script has none
	replayed    bool                   // dead letters have come again
}

// definition is a table or a stream as the script has it.
type definition struct {
	name   string
	text   string // with the cluster's prefix in the names of topics
	feed   string
	stream bool
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
		if w.registry != nil {
			w.registry.Close()
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
var ending = map[string]bool{"stop": true, "kill": true}

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
