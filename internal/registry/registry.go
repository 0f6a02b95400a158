// Package registry asks a schema registry, as Confluent's and those that speak like it are (Apicurio, Karapace, Redpanda),
// for schemas, and registers ours.
//
// A registry that is down, slow or not one at all never loses a record: whoever needs an answer waits for it, and the log
// says so. What it has answered once is not asked again.
package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/brotally/brotally/codecs"
)

const (
	// sayEvery is how often the log repeats that somebody waits.
	sayEvery = time.Minute

	// leastPause and mostPause are between two tries.
	leastPause, mostPause = 100 * time.Millisecond, 5 * time.Second

	// asked is how often a registry must have said that there is no such schema: of several instances one may not have heard yet
	// of what was registered with another a moment ago.
	asked = 3

	// forgetAfter is how long a schema that does not exist is not asked for again.
	forgetAfter = time.Minute

	// mostDoubted is how many ids in a minute are asked for so often. Beyond, they are rubbish that somebody sends, which is not to
	// hold a partition up: one answer is enough.
	mostDoubted = 20

	// mostAbsent is how many ids without a schema are remembered.
	mostAbsent = 2_000
)

// Client asks one registry. It is safe for concurrent use.
type Client struct {
	config    Config
	sr        *sr.Client
	transport *http.Transport
	log       *slog.Logger

	mu      sync.Mutex          // guards all below
	schemas map[int]answer      // by id
	ids     map[subjectText]int // of what we registered
	said    time.Time           // when the log was last told that somebody waits
	absent  int                 // ids in schemas that have none
	doubted int                 // ids that turned out to have none since the time below
	since   time.Time
}

// answer is what the registry says of an id.
type answer struct {
	texts []string
	err   error
	until time.Time // zero: for ever
}

type subjectText struct{ subject, schema string }

// New returns a client. It opens no connection. log may be nil.
func New(c Config, log *slog.Logger) (*Client, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	cl, transport, err := c.client()
	if err != nil {
		return nil, err
	}
	return &Client{config: c, sr: cl, transport: transport, log: log, schemas: map[int]answer{}, ids: map[subjectText]int{}}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Schema is that of [codecs.Schemas]: it says what is known without asking.
func (c *Client) Schema(id int) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.schemas[id]
	if !ok || !a.until.IsZero() && time.Now().After(a.until) {
		return nil, codecs.ErrAskSchema
	}
	return a.texts, a.err
}

// Ask asks for a schema until the registry has answered, so that Schema knows it, or knows that there is none. where is what
// waits for it, for the log. The only error is that ctx is done.
func (c *Client) Ask(ctx context.Context, id int, where string) error {
	no := 0
	return c.insist(ctx, fmt.Sprintf("schema %d of %s", id, where), func() error {
		if _, err := c.Schema(id); !errors.Is(err, codecs.ErrAskSchema) {
			return nil // somebody else has asked meanwhile
		}
		texts, err := c.fetch(ctx, id)
		a := answer{texts: texts}
		var other *otherKind
		switch {
		case errors.As(err, &other):
			a.err = other
		case isUnknown(err):
			if no++; no < asked && c.doubts() {
				return err
			}
			c.noSchema(id)
			return nil
		case err != nil:
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.schemas[id] = a
		return nil
	})
}

// doubts says whether an id that the registry does not know is to be asked for again.
func (c *Client) doubts() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.since) > time.Minute {
		c.doubted, c.since = 0, time.Now()
	}
	return c.doubted < mostDoubted
}

// noSchema notes that an id has no schema.
func (c *Client) noSchema(id int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doubted++
	if c.absent++; c.absent > mostAbsent {
		maps.DeleteFunc(c.schemas, func(_ int, a answer) bool { return !a.until.IsZero() })
		c.absent = 1
	}
	c.schemas[id] = answer{err: codecs.ErrNoSchema, until: time.Now().Add(forgetAfter)}
}

// ErrNoAnswer says that the registry gave no answer, or none of a schema registry's.
var ErrNoAnswer = errors.New("no answer of the schema registry")

// Fetch is Ask for who does not wait: one try, whose error wraps [ErrNoAnswer].
func (c *Client) Fetch(ctx context.Context, id int) error {
	texts, err := c.fetch(ctx, id)
	a := answer{texts: texts}
	var other *otherKind
	switch {
	case errors.As(err, &other):
		a.err = other
	case isUnknown(err):
		c.noSchema(id)
		return nil
	case err != nil:
		return fmt.Errorf("%w: schema %d of %s: %s", ErrNoAnswer, id, c.config.URLs[0], oneLine(err.Error()))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.schemas[id] = a
	return nil
}

// otherKind says that a schema is not Avro's.
type otherKind struct{ kind sr.SchemaType }

func (e *otherKind) Error() string { return fmt.Sprintf("the schema is of %v, not Avro", e.kind) }

// maxReferences bounds how many schemas one may be made of.
const maxReferences = 200

// fetch asks once for a schema and those that it refers to.
func (c *Client) fetch(ctx context.Context, id int) (texts []string, err error) {
	s, err := c.sr.SchemaByID(ctx, id)
	if err != nil {
		return nil, err
	}
	seen := map[sr.SchemaReference]bool{}
	var add func(s sr.Schema) error
	add = func(s sr.Schema) error {
		if s.Type != sr.TypeAvro {
			return &otherKind{s.Type}
		}
		for _, r := range s.References {
			r.Name = "" // the same schema may be known under several
			if seen[r] {
				continue
			}
			if seen[r] = true; len(seen) > maxReferences {
				return fmt.Errorf("it refers to more than %d others", maxReferences)
			}
			inner, err := c.sr.SchemaByVersion(ctx, r.Subject, r.Version)
			if err != nil {
				return fmt.Errorf("%s, version %d, which it refers to: %w", r.Subject, r.Version, err)
			}
			if err := add(inner.Schema); err != nil {
				return err
			}
		}
		texts = append(texts, s.Schema)
		return nil
	}
	return texts, add(s)
}

// isUnknown says whether the registry knows for certain that there is no such schema, or none of those that it refers to: it
// gives a code of its own with it (40403, 40401, 40402). A 404 of something else does not count.
func isUnknown(err error) bool {
	var e *sr.ResponseError
	return errors.As(err, &e) && e.StatusCode == http.StatusNotFound && e.ErrorCode/100 == http.StatusNotFound
}

// Refused says that the registry does not take a schema of ours.
type Refused struct {
	Subject string
	Why     string // in its words
	WayOut  string
}

func (e *Refused) Error() string {
	return fmt.Sprintf("the schema registry refuses the schema of %s: %s; %s", e.Subject, e.Why, e.WayOut)
}

// Register registers a schema under a subject and returns its id. It goes on until the registry has answered; errors are
// *[Refused] and ctx's.
func (c *Client) Register(ctx context.Context, subject, schema string) (id int, err error) {
	key := subjectText{subject, schema}
	c.mu.Lock()
	id, known := c.ids[key]
	c.mu.Unlock()
	if known {
		return id, nil
	}
	err = c.insist(ctx, "subject "+subject, func() error {
		var err error
		if id, err = c.sr.RegisterSchema(ctx, subject, sr.Schema{Schema: schema}, -1, -1); err != nil {
			return c.refused(subject, err)
		}
		if id <= 0 {
			return errors.New("an answer without an id")
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids[key] = id
	c.schemas[id] = answer{texts: []string{schema}}
	return id, nil
}

// refused returns err as *[Refused] when another try cannot mend it.
func (c *Client) refused(subject string, err error) error {
	var e *sr.ResponseError
	if !errors.As(err, &e) || e.StatusCode != http.StatusConflict && e.StatusCode != http.StatusUnprocessableEntity {
		return err
	}
	way := "mend that there, or write to another topic with WITH (topic = '..')"
	if e.StatusCode == http.StatusConflict {
		way = fmt.Sprintf("write to another topic with WITH (topic = '..'), or, if nobody needs the old records, delete the subject: curl -X DELETE %s/subjects/%s", c.config.URLs[0], subject)
	}
	return &Refused{Subject: subject, Why: oneLine(e.Error()), WayOut: way}
}

// insist tries until it succeeds, is *[Refused], or ctx is done, and says what it is waiting for.
func (c *Client) insist(ctx context.Context, what string, try func() error) error {
	pause := leastPause
	waited := false
	for {
		err := try()
		var no *Refused
		switch {
		case err == nil:
			if waited {
				c.answered(what)
			}
			return nil
		case errors.As(err, &no):
			return no
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		}
		if !isUnknown(err) {
			waited = true
			c.say(what, err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		}
		pause = min(2*pause, mostPause)
	}
}

// say tells the log that somebody waits, now and then.
func (c *Client) say(what string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.said) < sayEvery {
		return
	}
	c.said = time.Now()
	log := c.log
	if hint := hint(err); hint != "" {
		log = log.With("hint", hint)
	}
	log.Warn("waiting for the schema registry: nothing is lost, but what needs its answer stands still", "url", strings.Join(c.config.URLs, ","), "for", what, "why", oneLine(err.Error()))
}

// answered tells the log that somebody waits no more.
func (c *Client) answered(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.said.IsZero() {
		c.log.Info("the schema registry has answered", "for", what)
	}
	c.said = time.Time{}
}

// hint says what may be wrong.
func hint(err error) string {
	var e *sr.ResponseError
	if !errors.As(err, &e) {
		if strings.Contains(err.Error(), "unable to decode") {
			return "is that the URL of a schema registry? its answer is not one"
		}
		return "is the URL right (--schema-registry), and is the registry up?"
	}
	switch {
	case e.StatusCode == http.StatusUnauthorized, e.StatusCode == http.StatusForbidden:
		return "say who you are: -X " + Prefix + "basic.auth.user.info=USER:PASSWORD or -X " + Prefix + "bearer.auth.token=.."
	case e.StatusCode == http.StatusNotFound && e.ErrorCode == 0:
		return "is that the URL of a schema registry? Apicurio's ends in /apis/ccompat/v7"
	}
	return ""
}

// oneLine cuts what a registry, or what took its place, said: it may be a page of HTML.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 300 {
		return string(r[:300]) + " .."
	}
	return s
}
