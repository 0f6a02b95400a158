package broker

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// go-metrics keeps one goroutine for all meters, Sarama makes the first of them.
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

func TestStartTakesTheAddressGiven(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()

	_, err = Start(Config{Addr: addr})
	var busy *PortInUse
	if !errors.As(err, &busy) {
		t.Fatalf("start on a port in use: %v, want *PortInUse", err)
	}
	_, port, _ := net.SplitHostPort(addr)
	if !strings.Contains(err.Error(), "port "+port) {
		t.Errorf("%q does not name port %s", err, port)
	}

	l.Close()
	b := StartTest(t, Config{Addr: addr})
	if got := b.Addrs(); len(got) != 1 || got[0] != addr {
		t.Errorf("addresses %v, want %s", got, addr)
	}
}

func TestTemporaryFolderIsRemoved(t *testing.T) {
	b, err := Start(Config{Temporary: true})
	if err != nil {
		t.Fatal(err)
	}
	dir := b.remove
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("while it runs: %v", err)
	}
	for range 2 {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close: %v, want it gone", err)
	}
}

func TestBadAddress(t *testing.T) {
	for _, addr := range []string{"9092", "127.0.0.1:kafka", "300.0.0.1:0"} {
		if b, err := Start(Config{Addr: addr}); err == nil {
			b.Close()
			t.Errorf("%s: started", addr)
		}
	}
}
