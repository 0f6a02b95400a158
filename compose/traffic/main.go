// Command office-traffic writes the packets of a made-up office network to standard output, as a capture that never ends, for
// Zeek to read. It is the network of brotally demo (internal/traffic): its look-ups and web requests become packets again.
//
//	office-traffic --rate 20 | zeek -C -r - local.zeek
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/brotally/brotally/internal/traffic"
)

func main() {
	rate := flag.Float64("rate", 20, "records a second that the office's sensor would write, of which look-ups and requests are sent")
	seed := flag.Uint64("seed", 1, "another seed is another office")
	duration := flag.Duration("duration", 0, "end after so long; 0 is never")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *duration)
		defer cancel()
	}
	if err := run(ctx, os.Stdout, *rate, *seed); err != nil && !errors.Is(err, syscall.EPIPE) {
		fmt.Fprintln(os.Stderr, "office-traffic:", err)
		os.Exit(1)
	}
}

// run writes packets at the pace of the clock until ctx is done.
func run(ctx context.Context, to io.Writer, rate float64, seed uint64) error {
	network, err := traffic.New(traffic.Config{Seed: seed, Rate: rate, Start: time.Now()})
	if err != nil {
		return err
	}
	out, err := newCapture(to)
	if err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	var packets packets
	for ctx.Err() == nil {
		m := network.Next()
		if wait := time.Until(m.Time); wait > 0 {
			timer.Reset(wait)
			select {
			case <-ctx.Done():
				return out.flush()
			case <-timer.C:
			}
		}
		if err := packets.add(m); err != nil {
			return err
		}
		if err := out.write(packets.before(m.Time)); err != nil {
			return err
		}
	}
	return out.flush()
}

// capture is a pcap stream.
type capture struct {
	buffer *bufio.Writer
	pcap   *pcapgo.Writer
}

// snapLength is how long a packet may be.
const snapLength = 65535

func newCapture(to io.Writer) (*capture, error) {
	c := &capture{buffer: bufio.NewWriter(to)}
	c.pcap = pcapgo.NewWriter(c.buffer)
	return c, c.pcap.WriteFileHeader(snapLength, layers.LinkTypeEthernet)
}

// write writes packets and lets the reader have them at once.
func (c *capture) write(all []packet) error {
	for _, p := range all {
		if err := c.pcap.WritePacket(gopacket.CaptureInfo{Timestamp: p.at, CaptureLength: len(p.bytes), Length: len(p.bytes)}, p.bytes); err != nil {
			return err
		}
	}
	return c.flush()
}

func (c *capture) flush() error { return c.buffer.Flush() }
