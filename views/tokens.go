package views

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// Role is what a token allows.
type Role uint8

// The roles; each may do what those before it may.
const (
	NoRole    Role = iota // nothing but /healthz and /readyz
	ReadRole              // the tables: the API, the page, /openapi.json
	AdminRole             // how the program does: /metrics, the pages /health and /topology, profiles
)

var roleNames = map[string]Role{"read": ReadRole, "admin": AdminRole}

// Tokens are the tokens that a server takes. They are safe for concurrent use.
type Tokens struct {
	file string // empty: they stay as they are
	all  atomic.Pointer[[]token]
	read atomic.Pointer[os.FileInfo] // of the file when it was read last
}

// token is a role and the hash of who has it.
type token struct {
	role Role
	hash [sha256.Size]byte
}

const (
	shortestToken = 16 // bytes: a token that can be guessed is none
	mostTokens    = 1000

	// tokensPoll is how often is looked whether the file has changed.
	tokensPoll = time.Second
)

// NewTokens reads tokens, a line each: read or admin, a blank, the token. Lines that are empty or begin with # are left out.
func NewTokens(text string) (*Tokens, error) {
	all, err := parseTokens(text)
	if err != nil {
		return nil, err
	}
	t := &Tokens{}
	t.all.Store(&all)
	return t, nil
}

// ReadTokens reads them from a file, which others than its owner and group must not be able to read, nor others than its owner to
// write. [Tokens.Run] reads it anew when it changes.
func ReadTokens(file string) (*Tokens, error) {
	t := &Tokens{file: file}
	return t, t.Reload()
}

// Reload reads the file again. On an error the tokens stay as they were.
func (t *Tokens) Reload() error {
	info, err := os.Stat(t.file)
	if err != nil {
		return err
	}
	t.read.Store(&info)
	if err := private(info); err != nil {
		return fmt.Errorf("%s: %w", t.file, err)
	}
	text, err := os.ReadFile(t.file)
	if err != nil {
		return err
	}
	all, err := parseTokens(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", t.file, err)
	}
	t.all.Store(&all)
	return nil
}

// private returns an error for a file that others may read or write.
func private(info fs.FileInfo) error {
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o027 != 0 {
		return fmt.Errorf("its mode is %04o, so that others can read or write it; chmod 600 mends that", mode)
	}
	return nil
}

func parseTokens(text string) (all []token, err error) {
	n := 0
	for line := range strings.Lines(text) {
		n++
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		role, known := roleNames[fields[0]]
		switch { // no error may say what stands there: it could be a token
		case len(fields) != 2 || !known:
			return nil, fmt.Errorf("line %d: want a role, which is read or admin, and a token", n)
		case len(fields[1]) < shortestToken:
			return nil, fmt.Errorf("line %d: the token has less than %d characters; openssl rand -hex 32 makes one", n, shortestToken)
		case len(all) == mostTokens:
			return nil, fmt.Errorf("line %d: there are more than %d tokens", n, mostTokens)
		}
		all = append(all, token{role, sha256.Sum256([]byte(fields[1]))})
	}
	if all == nil {
		return nil, fmt.Errorf("there is no token; write one a line: read TOKEN")
	}
	return all, nil
}

// Role returns what a token allows. It looks at all tokens and compares hashes, so that the time it takes says nothing of them.
func (t *Tokens) Role(given string) Role {
	hash, role := sha256.Sum256([]byte(given)), NoRole
	for _, known := range *t.all.Load() {
		same := subtle.ConstantTimeCompare(hash[:], known.hash[:])
		role = max(role, Role(subtle.ConstantTimeSelect(same, int(known.role), int(NoRole))))
	}
	return role
}

// May reports whether who sends a request may ask for a path; without tokens, of nil, everybody may for everything.
func (t *Tokens) May(r *http.Request, path string) bool {
	return t == nil || t.Role(tokenOf(r)) >= roleFor(path)
}

// Run reads the file anew when it changes or somebody says so, until ctx is done. What is wrong with it is logged, and the tokens
// stay as they were.
func (t *Tokens) Run(ctx context.Context, now <-chan os.Signal, log *slog.Logger) {
	ticker := time.NewTicker(tokensPoll)
	defer ticker.Stop()
	for {
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-now:
			asked = true
		case <-ticker.C:
		}
		if !asked && !t.changed() {
			continue
		}
		if err := t.Reload(); err != nil {
			log.Error("tokens stay as they were", "error", err)
			continue
		}
		log.Info("tokens are read anew", "file", t.file, "tokens", len(*t.all.Load()))
	}
}

// changed reports whether the file is another one than was read last.
func (t *Tokens) changed() bool {
	info, err := os.Stat(t.file)
	if err != nil {
		return false // it is being replaced, or gone: what it said holds
	}
	last := *t.read.Load()
	return !os.SameFile(info, last) || info.Size() != last.Size() || !info.ModTime().Equal(last.ModTime()) || info.Mode() != last.Mode()
}
