package kafka

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// issuer is a token endpoint for one client.
func issuer(t *testing.T, lifetime time.Duration) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		id, secret, _ := r.BasicAuth()
		if id != "brotally" || secret != "s3cret" || r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "kafka" {
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": "invalid_client", "error_description": "no such client", "echo": secret})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "token-" + string(rune('0'+n)), "token_type": "bearer", "expires_in": int(lifetime.Seconds())})
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

func oauthConfig(url string, kv ...string) Config {
	props := map[string]string{
		"bootstrap.servers": "b:1", "security.protocol": "sasl_ssl", "sasl.oauthbearer.method": "oidc", "sasl.oauthbearer.token.endpoint.url": url,
		"sasl.oauthbearer.client.id": "brotally", "sasl.oauthbearer.client.secret": "s3cret", "sasl.oauthbearer.scope": "kafka",
		"sasl.oauthbearer.extensions": "logicalCluster=lkc-1, identityPoolId=pool-2",
	}
	for i := 0; i < len(kv); i += 2 {
		props[kv[i]] = kv[i+1]
	}
	return Config{Properties: props}
}

func TestTokensAreSharedWhileTheyLast(t *testing.T) {
	for lifetime, want := range map[time.Duration]int64{time.Hour: 1, time.Second: 3} { // a second is too little to begin anything with
		url, asked := issuer(t, lifetime)
		cfg, err := oauthConfig(url).Resolve()
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			s, err := cfg.Sarama() // a client each
			if err != nil {
				t.Fatal(err)
			}
			token, err := s.Net.SASL.TokenProvider.Token()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string]string{"logicalCluster": "lkc-1", "identityPoolId": "pool-2"}, token.Extensions); diff != "" || !strings.HasPrefix(token.Token, "token-") {
				t.Errorf("token %q, extensions %s", token.Token, diff)
			}
		}
		if asked.Load() != want {
			t.Errorf("tokens for %v: asked %d times, want %d", lifetime, asked.Load(), want)
		}
	}
}

func TestSecretOfAFile(t *testing.T) {
	url, _ := issuer(t, time.Hour)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := oauthConfig(url, "sasl.oauthbearer.client.secret", "", "sasl.oauthbearer.client.secret.file", file).Sarama()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Net.SASL.TokenProvider.Token(); err != nil {
		t.Error(err)
	}
	scram, err := Config{Brokers: []string{"b:1"}, Properties: map[string]string{"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "u", "sasl.password.file": file}}.Sarama()
	if err != nil || scram.Net.SASL.Password != "s3cret" {
		t.Errorf("password of a file: %v", err)
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	url, _ := issuer(t, time.Hour)
	for what, test := range map[string]struct {
		cfg    Config
		says   string
		denied bool
	}{
		"wrong secret": {oauthConfig(url, "sasl.oauthbearer.client.secret", "hunter2"), "401 Unauthorized: no such client", true},
		"nobody there": {oauthConfig("https://127.0.0.1:1/token"), "token from https://127.0.0.1:1/token: ", false},
		"no TLS there": {oauthConfig(strings.Replace(url, "http:", "https:", 1)), "gave HTTP response to HTTPS client", false},
	} {
		s, err := test.cfg.Sarama()
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Net.SASL.TokenProvider.Token()
		var denied *NotAllowed
		if err == nil || !strings.Contains(err.Error(), test.says) || errors.As(err, &denied) != test.denied || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want it to say %q", what, err, test.says)
		}
	}
	// An authority of one's own.
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.TLS = &tls.Config{}
	secure.StartTLS()
	defer secure.Close()
	s, err := oauthConfig(secure.URL).Sarama()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Net.SASL.TokenProvider.Token(); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("unknown authority: %v", err)
	}
}
