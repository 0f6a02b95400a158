package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestInProcess(t *testing.T) {
	ended := make(chan error, 1)
	c := http.Client{Transport: inProcess{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/echo":
			w.Header().Set("X-Query", r.URL.RawQuery)
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.Copy(w, r.Body)
		case "/endless":
			for {
				if _, err := io.WriteString(w, "row\n"); err != nil {
					ended <- err
					return
				}
			}
		case "/breaks":
			_, _ = io.WriteString(w, "half a r")
			panic(http.ErrAbortHandler)
		case "/waits":
			<-r.Context().Done()
			ended <- context.Cause(r.Context())
		}
	})}}

	res, err := c.Post("http://api/echo?a=%20b", "text/plain", strings.NewReader("said"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != "said" || res.StatusCode != http.StatusTeapot || res.Header.Get("X-Query") != "a=%20b" {
		t.Errorf("echo: %d %v %q, %v", res.StatusCode, res.Header, body, err)
	}

	if res, err = c.Get("http://api/endless"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(res.Body, make([]byte, 1000)); err != nil {
		t.Error(err)
	}
	res.Body.Close()
	if err := <-ended; err == nil {
		t.Error("who writes is not told that nobody reads")
	}

	if res, err = c.Get("http://api/breaks"); err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("half an answer, %q, looks like a whole one", body)
	}

	if res, err = c.Get("http://api/nothing"); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("an empty answer: %v, %v", res, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://api/waits", nil)
	if err != nil {
		t.Fatal(err)
	}
	go cancel()
	if _, err := c.Do(req); !errors.Is(err, context.Canceled) { //nolint:bodyclose // there is none
		t.Errorf("an answer that nobody waits for: %v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the handler goes on: %v", err)
	}
}
