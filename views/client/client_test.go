package client_test

import (
	"io"
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

// TestQueryFirstTakesSoMuch: of an answer whose rows are wide there are fewer.
func TestQueryFirstTakesSoMuch(t *testing.T) {
	const rows, width = 100, 100_000
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		row := `["` + strings.Repeat("x", width-2) + `"]`
		_, _ = io.WriteString(w, `{"columns":[{"name":"x","type":"string"}],"rows":[`+strings.Repeat(row+",", rows-1)+row+`],"meta":{}}`)
	}))
	defer s.Close()
	for most, want := range map[int]int{10: 10, 1000: 4<<20/width + 1} {
		first, more, err := client.New(s.URL).QueryFirst(t.Context(), most, "SELECT x")
		if err != nil || first.Len() != want || !more {
			t.Errorf("of %d rows: %d, more %v, %v", most, first.Len(), more, err)
		}
	}
}
