package views

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"testing"
)

func TestServe(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	f.add(office()...)
	l, err := Listen(ListenConfig{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	started := make(chan struct{}, 1)
	handler := NewServer(ServerConfig{Views: f.Views})
	go func() {
		ended <- Serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery != "" {
				started <- struct{}{}
			}
			handler.ServeHTTP(w, r)
		}), nil)
	}()
	url := "http://" + l.Addr().String()
	if r := get(t, url+"/healthz"); r.status != http.StatusOK {
		t.Errorf("healthz: %d", r.status)
	}

	// The end does not wait for a look-up that waits for what does not come.
	answered := make(chan reply, 1)
	go func() { answered <- get(t, url+"/api/v1/tables/dns_counts/rows?min_offset=99") }()
	<-started
	var inUse *PortInUse
	if _, err := Listen(ListenConfig{Addr: l.Addr().String()}); !errors.As(err, &inUse) {
		t.Errorf("a second server: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Serve returns %v", err)
	}
	if r := <-answered; r.status != http.StatusServiceUnavailable {
		t.Errorf("the one that waited: %d %s", r.status, r.body)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestNothingIsExposedUnasked(t *testing.T) {
	for _, test := range []struct {
		name   string
		config ListenConfig
		ok     bool
	}{
		{"this machine", ListenConfig{Addr: "127.0.0.1:0"}, true},
		{"this machine by name", ListenConfig{Addr: "localhost:0"}, true},
		{"all addresses", ListenConfig{Addr: ":0"}, false},
		{"all addresses with a token", ListenConfig{Addr: "0.0.0.0:0", Token: true}, false},
		{"all addresses with TLS", ListenConfig{Addr: "0.0.0.0:0", TLS: &tls.Config{}}, false},
		{"all addresses with both", ListenConfig{Addr: "0.0.0.0:0", TLS: &tls.Config{}, Token: true}, true},
		{"all addresses, insecure", ListenConfig{Addr: "0.0.0.0:0", Insecure: true}, true},
	} {
		l, err := Listen(test.config)
		if l != nil {
			l.Close()
		}
		if (err == nil) != test.ok || err != nil && !errors.Is(err, ErrExposed) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
