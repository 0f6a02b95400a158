package views

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificatePoll is how often at most is looked whether a certificate has been renewed.
const certificatePoll = time.Second

// certificate is what a server shows, of two files that are read anew when they change.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu     sync.Mutex // guards all below
	looked time.Time
	at     [2]time.Time // when the files were changed that now is of
	now    *tls.Certificate
	warned string // of which files, and why; empty: they are as they should be
}

// ServerTLS returns settings of TLS 1.2 and newer with the certificate, and those above it, and the key of two PEM files. A renewed
// certificate is shown to who connects next; as long as the new files do not fit together, the old one is,
// and log is told.
func ServerTLS(certFile, keyFile string, log *slog.Logger) (*tls.Config, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	if _, err := c.get(time.Now()); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(time.Now()) },
	}, nil
}

// get returns the certificate as it is now. It is an error only if there never was one.
func (c *certificate) get(now time.Time) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now != nil && now.Sub(c.looked) < certificatePoll {
		return c.now, nil
	}
	c.looked = now
	at, err := c.changed()
	if err == nil && at != c.at {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(c.certFile, c.keyFile); err == nil {
			c.now, c.at = &pair, at
		}
	}
	if c.now == nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	c.warn(at, err)
	return c.now, nil
}

// warn tells of files that cannot be used, once for each change of them. The caller holds the lock.
func (c *certificate) warn(at [2]time.Time, err error) {
	why := ""
	if err != nil {
		why = fmt.Sprint(at, err)
	}
	if why != "" && why != c.warned {
		c.log.Warn("the certificate stays as it was", "certificate", c.certFile, "key", c.keyFile, "error", err)
	}
	c.warned = why
}

// changed returns when the files were.
func (c *certificate) changed() (at [2]time.Time, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return at, err
		}
		at[i] = info.ModTime()
	}
	return at, nil
}
