// Package testregistry is a schema registry for tests: in process, or a real one.
package testregistry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// Registry is a registry in process. Beside what franz-go's has it refuses schemas that are not compatible with the latest of
// their subject, and it can fail.
type Registry struct {
	*srfake.Registry
	Level sr.CompatibilityLevel // BACKWARD; to be set before anybody asks

	asked  atomic.Int64
	broken atomic.Pointer[http.HandlerFunc]
}

// Start starts a registry that ends with the test.
func Start(t testing.TB) *Registry {
	r := New()
	t.Cleanup(r.Close)
	return r
}

// New starts a registry, which the caller closes.
func New() *Registry {
	r := &Registry{Registry: srfake.New(), Level: sr.CompatBackward}
	r.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
		r.asked.Add(1)
		if broken := r.broken.Load(); broken != nil {
			(*broken)(w, req)
			return true
		}
		return r.incompatible(w, req)
	})
	return r
}

// Asked returns how many requests there were.
func (r *Registry) Asked() int64 { return r.asked.Load() }

// Break answers all requests with h from now on; nil mends it.
func (r *Registry) Break(h http.HandlerFunc) {
	if h == nil {
		r.broken.Store(nil)
		return
	}
	r.broken.Store(&h)
}

// Add registers a schema and returns its id.
func (r *Registry) Add(t testing.TB, subject, schema string, references ...sr.SchemaReference) int {
	t.Helper()
	id, _, err := r.RegisterSchema(subject, sr.Schema{Schema: schema, References: references})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Answers returns a handler that answers everything with a status and a body.
func Answers(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // who asked may be gone
	}
}

// incompatible refuses the registration of what is no schema, or of one that cannot read what the latest one of its subject has written, or the
// other way round, as the subject's level demands.
func (r *Registry) incompatible(w http.ResponseWriter, req *http.Request) bool {
	subject, versions := strings.CutSuffix(strings.TrimPrefix(req.URL.Path, "/subjects/"), "/versions")
	if req.Method != http.MethodPost || !versions || !strings.HasPrefix(req.URL.Path, "/subjects/") {
		return false
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return false
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	var fresh sr.Schema
	if json.Unmarshal(body, &fresh) != nil || fresh.Type != sr.TypeAvro || len(fresh.References) > 0 {
		return false
	}
	refuse := func(status, code int, message string) bool {
		Answers(status, "application/vnd.schemaregistry.v1+json", fmt.Sprintf(`{"error_code":%d,"message":%q}`, code, message))(w, req)
		return true
	}
	if _, err := avro.ParseWithCache(fresh.Schema, "", &avro.SchemaCache{}); err != nil {
		return refuse(http.StatusUnprocessableEntity, sr.ErrInvalidSchema.Code, "Invalid schema: "+err.Error())
	}
	latest, ok := r.latest(subject)
	if !ok {
		return false
	}
	if why := conflict(r.Level, latest, fresh.Schema); why != nil {
		return refuse(http.StatusConflict, http.StatusConflict, fmt.Sprintf("Schema being registered is incompatible with an earlier schema for subject %q, details: [%v]", subject, why))
	}
	return false
}

func (r *Registry) latest(subject string) (schema string, there bool) {
	for version := 1; ; version++ {
		s, ok := r.GetSchema(subject, version)
		if !ok {
			return schema, there
		}
		schema, there = s.Schema.Schema, true
	}
}

func conflict(level sr.CompatibilityLevel, old, fresh string) error {
	was, err := avro.ParseWithCache(old, "", &avro.SchemaCache{})
	if err != nil {
		return nil
	}
	is, err := avro.ParseWithCache(fresh, "", &avro.SchemaCache{})
	if err != nil {
		return nil // the registry refuses it for that
	}
	c := avro.NewSchemaCompatibility()
	backward, forward := c.Compatible(is, was), c.Compatible(was, is)
	switch level {
	case sr.CompatNone:
		return nil
	case sr.CompatForward, sr.CompatForwardTransitive:
		return forward
	case sr.CompatFull, sr.CompatFullTransitive:
		if backward == nil {
			return forward
		}
	}
	return backward
}
