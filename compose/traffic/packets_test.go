package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/brotally/brotally/internal/traffic"
)

// What Zeek would read in the packets must be what the network's records say.
func TestPacketsSayWhatRecordsSay(t *testing.T) {
	network, err := traffic.New(traffic.Config{Seed: 3, Rate: 200})
	if err != nil {
		t.Fatal(err)
	}
	asked, requested := map[string]int{}, map[string]int{}
	var p packets
	var text bytes.Buffer
	out, err := newCapture(&text)
	if err != nil {
		t.Fatal(err)
	}
	var last time.Time
	for range 5000 {
		m := network.Next()
		var r record
		if err := json.Unmarshal(m.Value, &r); err != nil {
			t.Fatal(err)
		}
		switch {
		case m.Feed == "dns" && r.Proto == "udp" && r.RespP == 53 && r.Query != "":
			asked[fmt.Sprintf("%s %s %d %d", r.OrigH, strings.ToLower(r.Query), r.QType, r.TransID)]++
		case m.Feed == "http":
			requested[fmt.Sprintf("%s %s %s", r.OrigH, r.Method, r.URI)]++
		}
		if err := p.add(m); err != nil {
			t.Fatal(err)
		}
		if err := out.write(p.before(m.Time)); err != nil {
			t.Fatal(err)
		}
		last = m.Time
	}
	if err := out.write(p.before(last.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}

	gotAsked, gotRequested := map[string]int{}, map[string]int{}
	in, err := pcapgo.NewReader(&text)
	if err != nil {
		t.Fatal(err)
	}
	var before time.Time
	n, answers := 0, 0
	for {
		frame, info, err := in.ReadPacketData()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n++
		if info.Timestamp.Before(before) {
			t.Fatalf("packet %d is older than the one before it", n)
		}
		before = info.Timestamp
		packet := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
		if e := packet.ErrorLayer(); e != nil {
			t.Fatalf("packet %d: %v", n, e.Error())
		}
		if l, ok := packet.TransportLayer().(interface {
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		}); !ok || l.SetNetworkLayerForChecksum(packet.NetworkLayer()) != nil {
			t.Fatalf("packet %d has no transport", n)
		}
		if err, bad := packet.VerifyChecksums(); err != nil || len(bad) > 0 {
			t.Fatalf("packet %d: checksums %v, %v", n, bad, err)
		}
		source := packet.NetworkLayer().NetworkFlow().Src().String()
		switch l := packet.ApplicationLayer().(type) {
		case *layers.DNS:
			if l.QR {
				answers += len(l.Answers)
				continue
			}
			q := l.Questions[0]
			gotAsked[fmt.Sprintf("%s %s %d %d", source, strings.ToLower(string(q.Name)), q.Type, l.ID)]++
		case *gopacket.Payload:
			if method, rest, ok := strings.Cut(string(*l), " "); ok && !strings.HasPrefix(method, "HTTP/") && strings.Contains(rest, " HTTP/1.1\r\n") {
				uri, _, _ := strings.Cut(rest, " HTTP/1.1\r\n")
				gotRequested[fmt.Sprintf("%s %s %s", source, method, uri)]++
			}
		}
	}
	if diff := cmp.Diff(asked, gotAsked); diff != "" {
		t.Errorf("look-ups (-records +packets):\n%s", diff)
	}
	// Requests whose head does not fit into one packet begin like the others, but the line may end in a later one.
	maps.DeleteFunc(requested, func(r string, _ int) bool { return len(r) > segmentBytes/2 && gotRequested[r] == 0 })
	if diff := cmp.Diff(requested, gotRequested); diff != "" {
		t.Errorf("requests (-records +packets):\n%s", diff)
	}
	if len(asked) < 100 || len(requested) < 20 || answers < 100 {
		t.Errorf("%d look-ups, %d requests, %d answers only", len(asked), len(requested), answers)
	}
}

// run writes as time goes by, and ends when it is told to.
func TestRunEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	read, write := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, write, 200, 1)
		write.Close()
	}()
	in, err := pcapgo.NewReader(read)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := in.ReadPacketData(); err != nil {
		t.Error(err)
	}
	cancel()
	_, _ = io.Copy(io.Discard, read)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
