package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestReady(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		body   string
		code   int
		says   string
	}{
		{"ready", 200, `{"ready":true,"tables":[{"name":"a","ready":true,"state":"ready"}]}`, exitOK, "ready\n"},
		{"restoring", 503, `{"ready":false,"tables":[{"name":"a","ready":true,"state":"ready"},{"name":"b","ready":false,"state":"is being restored"}]}`, exitFailed, "not ready: b is being restored\n"},
		{"how far", 503, `{"ready":false,"stages":[{"group":"g","state":"restoring","remaining":1500}],"views":[{"name":"b","state":"is being restored","done":12000,"total":40000}]}`, exitFailed,
			"not ready: b is being restored (12,000 of 40,000 changelog records are read), g is restoring (1,500 changelog records are left)\n"},
		{"operators' port", 503, `{"ready":false,"not_started":2,"stages":[{"group":"g","state":"joining"}],"views":[{"name":"v","state":"waits"}]}`, exitFailed,
			"not ready: v waits, g is joining, 2 tables or streams are not started, mostly for want of their topics\n"},
		{"another server", 200, `<html>`, exitFailed, "which is not Brotally's"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/readyz" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
			}))
			defer s.Close()
			code, stdout, stderr := invoke(context.Background(), nil, "ready", "--server", s.URL)
			if code != test.code || !strings.Contains(stdout+stderr, test.says) {
				t.Errorf("exit code %d, %q, %q; want %d, %q", code, stdout, stderr, test.code, test.says)
			}
		})
	}
	if code, _, stderr := invoke(context.Background(), nil, "ready", "--server", "http://127.0.0.1:1"); code != exitFailed || !strings.Contains(stderr, "does not answer") {
		t.Errorf("nobody there: exit code %d, %q", code, stderr)
	}
}
