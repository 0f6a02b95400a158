package registry_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/registry"
	"github.com/brotally/brotally/internal/testregistry"
)

const (
	countsV1 = `{"type":"record","name":"counts","fields":[{"name":"n","type":["null","long"],"default":null}]}`
	countsV2 = `{"type":"record","name":"counts","fields":[{"name":"n","type":["null","long"],"default":null},{"name":"m","type":["null","string"],"default":null}]}`
	countsV3 = `{"type":"record","name":"counts","fields":[{"name":"n","type":["null","string"],"default":null}]}`
)

// journal is a log that tests read.
type journal struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

func client(t *testing.T, url string, props map[string]string) (*registry.Client, *journal) {
	t.Helper()
	c, _, err := registry.Split(url, props)
	if err != nil {
		t.Fatal(err)
	}
	j := &journal{}
	cl, err := registry.New(c, slog.New(slog.NewTextHandler(j, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl, j
}

func TestSchemasAreAskedForOnce(t *testing.T) {
	t.Parallel()
	r := testregistry.Start(t)
	id := r.Add(t, "dns-value", countsV1)
	c, _ := client(t, r.URL(), nil)
	if _, err := c.Schema(id); !errors.Is(err, codecs.ErrAskSchema) {
		t.Fatalf("before it is asked for: %v", err)
	}
	for range 3 {
		if err := c.Ask(t.Context(), id, "dns/0"); err != nil {
			t.Fatal(err)
		}
	}
	if texts, err := c.Schema(id); err != nil || !slices.Equal(texts, []string{countsV1}) {
		t.Errorf("%v, %v", texts, err)
	}
	if n := r.Asked(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestReferences(t *testing.T) {
	t.Parallel()
	r := testregistry.Start(t)
	const host, conn = `{"type":"record","name":"host","fields":[{"name":"orig_h","type":"string"}]}`, `{"type":"record","name":"conn","fields":[{"name":"id","type":"host"}]}`
	r.Add(t, "host", host)
	id := r.Add(t, "conn-value", conn, sr.SchemaReference{Name: "host", Subject: "host", Version: 1})
	c, _ := client(t, r.URL(), nil)
	if err := c.Ask(t.Context(), id, "dns/0"); err != nil {
		t.Fatal(err)
	}
	if texts, err := c.Schema(id); err != nil || !slices.Equal(texts, []string{host, conn}) {
		t.Errorf("%v, %v", texts, err)
	}
}

func TestASchemaThatDoesNotExist(t *testing.T) {
	t.Parallel()
	r := testregistry.Start(t)
	c, log := client(t, r.URL(), nil)
	if err := c.Ask(t.Context(), 99, "dns/0"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Schema(99); !errors.Is(err, codecs.ErrNoSchema) {
		t.Errorf("%v", err)
	}
	if n := r.Asked(); n != 3 {
		t.Errorf("it was asked %d times: an instance of the registry may not have heard of it yet", n)
	}
	if log.String() != "" {
		t.Errorf("the log says %s", log)
	}
	if _, _, err := r.RegisterSchema("dns-value", sr.Schema{Schema: countsV1, Type: sr.TypeJSON}); err != nil {
		t.Fatal(err)
	}
	if err := c.Ask(t.Context(), 1, "dns/0"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Schema(1); err == nil || err.Error() != "the schema is of JSON, not Avro" {
		t.Errorf("%v", err)
	}
}

// Who sends rubbish is not to hold a partition up, nor to fill our memory.
func TestManySchemasThatDoNotExist(t *testing.T) {
	t.Parallel()
	r := testregistry.Start(t)
	c, _ := client(t, r.URL(), nil)
	var all sync.WaitGroup
	for id := range 20 {
		all.Go(func() {
			if err := c.Ask(t.Context(), 1000+id, "dns/0"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	before := r.Asked()
	for id := range 2_500 {
		if err := c.Ask(t.Context(), 5000+id, "dns/0"); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.Asked() - before; n != 2_500 {
		t.Errorf("%d requests for 2,500 ids", n)
	}
	if _, err := c.Schema(1000); !errors.Is(err, codecs.ErrAskSchema) {
		t.Errorf("the first is still remembered: %v", err)
	}
	if _, err := c.Schema(7499); !errors.Is(err, codecs.ErrNoSchema) {
		t.Errorf("the last: %v", err)
	}
}

// Whatever is wrong with the registry, who asks waits, and gets the answer when it is back.
func TestTheRegistryIsNotThere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		broken http.HandlerFunc
		says   string
	}{
		{"internal error", testregistry.Answers(500, "application/json", `{"error_code":50001,"message":"Error in the backend data store"}`), "Error in the backend data store"},
		{"a page", testregistry.Answers(200, "text/html", "<html><body>It works!"), "is that the URL of a schema registry?"},
		{"a page that is not there", testregistry.Answers(404, "text/html", "<html>\n<body>404 Not Found"), "is that the URL of a schema registry?"},
		{"unauthorized", testregistry.Answers(401, "application/json", `{"error_code":401,"message":"Unauthorized"}`), "basic.auth.user.info"},
		{"too many requests", testregistry.Answers(429, "text/plain", "slow down"), "slow down"},
		{"an answer without end", func(w http.ResponseWriter, _ *http.Request) {
			chunk := bytes.Repeat([]byte(`{"schema":"`), 1<<16)
			for range 100 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, "request body too large"},
		{"no answer in time", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then the server notices that who asked has gone
			<-r.Context().Done()
		}, "is the URL right"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := testregistry.Start(t)
			id := r.Add(t, "dns-value", countsV1)
			r.Break(c.broken)
			timeout := "300"
			if c.says == "request body too large" {
				timeout = "20000" // it is not to be cut for its slowness
			}
			cl, log := client(t, r.URL(), map[string]string{"schema.registry.request.timeout.ms": timeout})
			asked := make(chan error, 2)
			go func() { asked <- cl.Ask(t.Context(), id, "dns/0") }() // awaited below
			go func() {                                               // the same
				_, err := cl.Register(t.Context(), "counts-value", countsV1)
				asked <- err
			}()
			await(t, "the log says why", func() bool { return strings.Contains(log.String(), c.says) })
			if _, err := cl.Schema(id); !errors.Is(err, codecs.ErrAskSchema) {
				t.Errorf("meanwhile: %v", err)
			}
			if n := strings.Count(log.String(), "waiting for the schema registry"); n != 1 {
				t.Errorf("the log says it %d times:\n%s", n, log)
			}
			r.Break(nil)
			for range 2 {
				if err := <-asked; err != nil {
					t.Error(err)
				}
			}
			if texts, err := cl.Schema(id); err != nil || len(texts) != 1 {
				t.Errorf("%v, %v", texts, err)
			}
			if !strings.Contains(log.String(), "the schema registry has answered") {
				t.Errorf("the log does not say that it is over:\n%s", log)
			}
		})
	}
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	c, _ := client(t, "http://127.0.0.1:1", nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("rebalance")
	cancel(why)
	if err := c.Ask(ctx, 1, "dns/0"); !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
	if _, err := c.Register(ctx, "s", countsV1); !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
}

func TestRegister(t *testing.T) {
	t.Parallel()
	r := testregistry.Start(t)
	c, _ := client(t, r.URL(), nil)
	register := func(schema string) (int, error) { return c.Register(t.Context(), "counts-value", schema) }
	first, err := register(countsV1)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := register(countsV1); err != nil || again != first || r.Asked() != 1 {
		t.Errorf("again: %d, %v, %d requests", again, err, r.Asked())
	}
	if texts, err := c.Schema(first); err != nil || texts[0] != countsV1 {
		t.Errorf("what we registered we know: %v, %v", texts, err)
	}
	if second, err := register(countsV2); err != nil || second == first {
		t.Errorf("a column more: %d, %v", second, err)
	}
	_, err = register(countsV3)
	var refused *registry.Refused
	if !errors.As(err, &refused) || refused.Subject != "counts-value" || !strings.Contains(refused.Why, "incompatible") || !strings.Contains(err.Error(), "curl -X DELETE "+r.URL()+"/subjects/counts-value") {
		t.Errorf("another type: %v", err)
	}
	if _, err = register(`{"type":"record"}`); !errors.As(err, &refused) {
		t.Errorf("no schema: %v", err)
	}
}

// A real registry says the same things as the one in process.
func TestRealRegistry(t *testing.T) {
	t.Parallel()
	r := testregistry.StartApicurio(t)
	c, _ := client(t, r.URL, nil)
	register := func(schema string) (int, error) { return c.Register(t.Context(), "counts-value", schema) }
	first, err := register(countsV1)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := client(t, r.URL, nil)
	if again, err := other.Register(t.Context(), "counts-value", countsV1); err != nil || again != first {
		t.Errorf("another client: %d, %v, want %d", again, err, first)
	}
	if _, err := other.Register(t.Context(), "empty-key", `{"type":"record","name":"counts_key","namespace":"brotally","fields":[]}`); err != nil {
		t.Errorf("a record without fields: %v", err)
	}
	if second, err := register(countsV2); err != nil || second == first {
		t.Errorf("a column more: %d, %v", second, err)
	}
	var refused *registry.Refused
	if _, err := register(countsV3); !errors.As(err, &refused) || !strings.Contains(strings.ToLower(refused.Why), "incompatible") {
		t.Errorf("another type: %v", err)
	}
	third, _ := client(t, r.URL, nil)
	for id, want := range map[int]error{first: nil, 123456: codecs.ErrNoSchema} {
		if err := third.Ask(t.Context(), id, "dns/0"); err != nil {
			t.Fatal(err)
		}
		if _, err := third.Schema(id); !errors.Is(err, want) {
			t.Errorf("schema %d: %v, want %v", id, err, want)
		}
	}
	wrong, _ := client(t, strings.TrimSuffix(r.URL, "/apis/ccompat/v7"), nil)
	if err := wrong.Fetch(t.Context(), first); !errors.Is(err, registry.ErrNoAnswer) {
		t.Errorf("at a URL that is not the registry's: %v", err)
	}
}

// A registry behind TLS is trusted by the file that one names, and not without.
func TestTLS(t *testing.T) {
	t.Parallel()
	r := testregistry.Start(t)
	id := r.Add(t, "dns-value", countsV1)
	server := httptest.NewUnstartedServer(r.Handler())
	server.Config.ErrorLog = stdlog.New(io.Discard, "", 0) // a client that does not trust it is no surprise
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		props map[string]string
		ok    bool
	}{
		"the system's authorities": {nil, false},
		"its own":                  {map[string]string{"schema.registry.ssl.ca.location": ca}, true},
		"any":                      {map[string]string{"schema.registry.enable.ssl.certificate.verification": "false"}, true},
	} {
		cl, _ := client(t, server.URL, c.props)
		if err := cl.Fetch(t.Context(), id); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	settings, _, err := registry.Split(server.URL, map[string]string{"schema.registry.ssl.ca.location": ca + ".gone"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := registry.New(settings, nil); err == nil || !strings.HasPrefix(err.Error(), "TLS of the schema registry: ") {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestWhoAsks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		url   func(string) string
		props map[string]string
		want  string
	}{
		{"user", nil, map[string]string{"schema.registry.basic.auth.user.info": "bro:se:cret"}, "Basic YnJvOnNlOmNyZXQ="},
		{"user in the URL", func(u string) string { return strings.Replace(u, "http://", "http://bro:secret@", 1) }, nil, "Basic YnJvOnNlY3JldA=="},
		{"token", nil, map[string]string{"schema.registry.bearer.auth.token": "t0ken"}, "Bearer t0ken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := testregistry.Start(t)
			r.Add(t, "dns-value", countsV1)
			got := make(chan string, 1)
			r.Break(func(w http.ResponseWriter, req *http.Request) {
				got <- req.Header.Get("Authorization")
				fmt.Fprintf(w, `{"schema":%q}`, countsV1)
			})
			url := r.URL()
			if c.url != nil {
				url = c.url(url)
			}
			cl, _ := client(t, url, c.props)
			if err := cl.Fetch(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			if h := <-got; h != c.want {
				t.Errorf("%s, want %s", h, c.want)
			}
		})
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	c, others, err := registry.Split("", map[string]string{"schema.registry.url": "sr1:8081, https://bro:secret@sr2/apis/ccompat/v7/", "sasl.username": "x", "schema.registry.basic.auth.credentials.source": "URL"})
	if err != nil || !slices.Equal(c.URLs, []string{"http://sr1:8081", "https://sr2/apis/ccompat/v7"}) || c.User != "bro" || c.Password != "secret" || len(others) != 1 {
		t.Errorf("%#v, %v, %v", c, others, err)
	}
	if text := fmt.Sprintf("%v %#v %+v", c, c, c); strings.Contains(text, "secret") {
		t.Errorf("it prints its password: %s", text)
	}
	for _, bad := range []struct {
		url, key, value, want string
	}{
		{"", "schema.registry.basic.auth.user.info", "bro:x", "-X schema.registry.url: is missing, and other settings of a schema registry are there"},
		{"sr:1", "schema.registry.basic.auth.user.info", "bro", "-X schema.registry.basic.auth.user.info: want USER:PASSWORD"},
		{"sr:1", "schema.registry.user", "bro", "-X schema.registry.user: no such setting; there are schema.registry.basic"},
		{"sr:1", "schema.registry.ssl.truststore.location", "x.jks", "-X schema.registry.ssl.truststore.location: Java's key stores are not read; take PEM files"},
		{"ftp://bro:secret@sr", "", "", "--schema-registry: ftp://bro:xxxxx@sr: want http://HOST:PORT or https://HOST:PORT"},
		{"http://bro:sec%ret@sr", "", "", "--schema-registry: not a URL"},
	} {
		props := map[string]string{}
		if bad.key != "" {
			props[bad.key] = bad.value
		}
		_, _, err := registry.Split(bad.url, props)
		if err == nil || !strings.HasPrefix(err.Error(), bad.want) {
			t.Errorf("%v, want %s", err, bad.want)
		}
		var property *kafka.PropertyError
		if bad.url == "" && !errors.As(err, &property) {
			t.Errorf("%T", err)
		}
	}
}

// await waits for a condition.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
