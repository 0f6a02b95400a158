package views

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/brotally/brotally/internal/testcert"
)

// TestServerTLS renews a certificate while the server runs.
func TestServerTLS(t *testing.T) {
	ca := testcert.New(t, t.TempDir())
	old, renewed := ca.Server("127.0.0.1"), testcert.New(t, t.TempDir()).Server("127.0.0.1")
	config, err := ServerTLS(old.CertFile, old.KeyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, Limits{}, dnsCounts)
	l, err := Listen(ListenConfig{Addr: "127.0.0.1:0", TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- Serve(t.Context(), l, NewServer(ServerConfig{Views: f.Views}), nil) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	pool := ca.Pool()
	shown := func() string {
		t.Helper()
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
		res, err := c.Get("https://" + l.Addr().String() + "/api/v1/tables/dns_counts/rows")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatal(res.Status)
		}
		return res.TLS.PeerCertificates[0].SerialNumber.String()
	}
	serial := func(p testcert.Pair) string {
		cert, err := x509.ParseCertificate(p.TLS.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return cert.SerialNumber.String()
	}
	if got := shown(); got != serial(old) {
		t.Errorf("certificate %s is shown, want %s", got, serial(old))
	}

	// A certificate without its key yet: the old one is shown. Then both are there.
	var logged strings.Builder
	c := &certificate{certFile: old.CertFile, keyFile: old.KeyFile, log: slog.New(slog.NewTextHandler(&logged, nil))}
	at := time.Now()
	get := func(want testcert.Pair) {
		t.Helper()
		at = at.Add(certificatePoll)
		pair, err := c.get(at)
		if err != nil || string(pair.Certificate[0]) != string(want.TLS.Certificate[0]) {
			t.Errorf("another certificate is shown: %v", err)
		}
	}
	get(old)
	if logged.Len() > 0 {
		t.Error(logged.String())
	}
	for _, file := range [][2]string{{renewed.CertFile, old.CertFile}, {renewed.KeyFile, old.KeyFile}} {
		get(old)
		get(old) // which is told of once
		text, err := os.ReadFile(file[0])
		if err == nil {
			err = os.WriteFile(file[1], text, 0o600)
		}
		if err == nil {
			err = os.Chtimes(file[1], time.Time{}, at.Add(time.Hour))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	get(renewed)
	if got := logged.String(); strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, old.CertFile) {
		t.Errorf("logged: %s", got)
	}

	if _, err := ServerTLS(old.CertFile+".none", old.KeyFile, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), old.CertFile+".none") {
		t.Errorf("a file that is not there: %v", err)
	}
}
