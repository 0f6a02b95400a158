package client_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/brotally/brotally/views/client"
)

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:1":               "connection refused",
		"http://127.0.0.1:1/":       "connection refused",
		"ftp://127.0.0.1":           `"ftp://127.0.0.1" is not http://host:port`,
		"http://":                   `"http://" is not http://host:port`,
		"http://[::1":               "address of the server: parse",
		"http://127.0.0.1:1/prefix": "/prefix/api/v1/tables",
	} {
		_, err := client.New(address).Tables(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestAServerOfAnotherKind(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	_, err := client.New(s.URL).Tables(t.Context())
	if err == nil || !strings.HasSuffix(err.Error(), "answers 404 Not Found") {
		t.Errorf("error %v", err)
	}
}
