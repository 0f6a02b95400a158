package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/brotally/brotally/views"
	"github.com/brotally/brotally/views/client"
)

// reach is how commands that ask a running server find it.
type reach struct {
	server  string
	token   string // the file that has it
	ca      string // a file
	timeout time.Duration
}

func (r *reach) register(f *pflag.FlagSet, wait string) {
	f.StringVar(&r.server, "server", "http://"+views.DefaultAddr, "`URL` of the server")
	f.StringVar(&r.token, "token-file", "", "`FILE` with the token that the server wants, alone or as the server's own file has it")
	f.StringVar(&r.ca, "server-ca", "", "PEM `FILE` of the authorities to trust for https (default the system's)")
	f.DurationVar(&r.timeout, "timeout", 30*time.Second, wait)
}

// client returns a client of the server. Its connections are its own.
func (r *reach) client() (*client.Client, error) {
	c := client.New(r.server)
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment}
	c.HTTP = &http.Client{Timeout: r.timeout, Transport: transport}
	if r.token != "" {
		token, err := tokenIn(r.token)
		if err != nil {
			return nil, &usageError{fmt.Errorf("--token-file: %w", err)}
		}
		c.Token = token
	}
	if r.ca != "" {
		text, err := os.ReadFile(r.ca)
		if err != nil {
			return nil, &usageError{fmt.Errorf("--server-ca: %w", err)}
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return nil, &usageError{fmt.Errorf("--server-ca: %s has no certificate in PEM", r.ca)}
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return c, nil
}

// reason turns the client's errors into ours: what is wrong with the question is the user's to mend.
func (r *reach) reason(err error) error {
	var answered *client.Error
	var unreachable *net.OpError
	var unknown *tls.CertificateVerificationError
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &answered) && answered.Text != "":
		return &placedError{answered.Text}
	case errors.As(err, &answered) && (answered.Status == http.StatusBadRequest || answered.Status == http.StatusNotFound):
		return &usageError{err}
	case errors.As(err, &answered) && answered.Status == http.StatusUnauthorized:
		return fmt.Errorf("%w, here with --token-file", err)
	case errors.As(err, &unknown):
		return fmt.Errorf("%w; --server-ca FILE says whom else to trust", err)
	case errors.As(err, &plain):
		return fmt.Errorf("%s speaks no TLS; try --server http://..: %w", r.server, err)
	case errors.As(err, &unreachable) && unreachable.Op == "dial":
		return fmt.Errorf("no server at %s; start one with brotally run or demo, or say --server URL: %w", r.server, unreachable)
	}
	return err
}

// tokenIn returns the first token in a file; a role may stand before it.
func tokenIn(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 0 && !strings.HasPrefix(fields[0], "#") {
			return fields[len(fields)-1], nil
		}
	}
	return "", fmt.Errorf("%s has no token", file)
}

// placedError is an error in SQL that was found elsewhere: message, source line, caret.
type placedError struct{ text string }

func (e *placedError) Error() string { return e.text }
