// Package broker is a Kafka broker inside the process, for the demo, for try and for tests: one command, nothing to install.
//
//	b, err := broker.Start(broker.Config{Addr: "127.0.0.1:9092", Temporary: true})
//	defer b.Close()
//	fmt.Println(b.Addrs()) // any Kafka client can join in
//
// It is franz-go's kfake: the protocol of Kafka 3.6 with groups, transactions, compaction and retention, in some 25 ms. It is
// no replacement for a cluster: one process, no replication, and what is written is only as safe as the operating system's
// page cache.
//
// # Memory
//
// Without a folder records stay in memory, as compressed as they were sent. With one they lie in files, and memory holds an
// index of their batches. Compaction and retention run every CompactEvery while there is something to write; the broker
// does nothing else meanwhile (300,000 records, 14 MB: 90 ms in memory, 160 ms in files). DeleteRecords and retention give
// space back a whole segment at a time, so segments are small here (SegmentBytes) unless a topic says otherwise.
//
// # What differs from Kafka
//
//   - Compaction waits for a moment without any open transaction, instead of stopping before the first. A call of
//     Cluster().Compact() does not wait, see compactor.
//   - A commit's markers are written when EndTxn returns, so CONCURRENT_TRANSACTIONS is rare.
//   - A wrong password ends the connection without an answer.
package broker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// Config says where the broker listens and where it keeps its records. The zero value is a broker in memory on a port of
// 127.0.0.1 that is free.
type Config struct {
	// Addr is host:port to listen on; port 0 takes any that is free. Defaults to "127.0.0.1:0".
	Addr string

	// Nodes is how many brokers the cluster shows; all but the first take free ports. Defaults to 1.
	Nodes int

	// DataDir keeps the records in this folder over restarts.
	DataDir string

	// Temporary keeps the records in a new folder of the system's temporary folder, which Close removes. DataDir wins.
	Temporary bool

	// CompactEvery is how often logs are compacted and expired. Less often means more disk (or memory) and rarer pauses.
	// Defaults to 30 seconds.
	CompactEvery time.Duration

	// SegmentBytes is the size of a log's files unless the topic says otherwise: what is deleted is given back in such pieces.
	// Defaults to 16 MiB.
	SegmentBytes int

	// TLS encrypts connections.
	TLS *tls.Config

	// Options are further options of kfake, such as users and ACLs; they win over the fields above.
	Options []kfake.Opt
}

// Broker is a running broker.
type Broker struct {
	cluster *kfake.Cluster
	addrs   []string
	remove  string // folder to remove at the end
}

// PortInUse is returned by Start when somebody else listens on the address.
type PortInUse struct {
	Addr string // host:port
	Err  error
}

func (e *PortInUse) Error() string {
	_, port, err := net.SplitHostPort(e.Addr)
	if err != nil {
		port = "?"
	}
	return fmt.Sprintf("port %s is in use (%s)", port, e.Addr)
}

// Unwrap returns the operating system's error.
func (e *PortInUse) Unwrap() error { return e.Err }

// Start starts a broker, which is ready when it returns; stop it with Close. Topics are never made by asking for them.
// The error is *[PortInUse] when the address is taken.
func Start(c Config) (*Broker, error) {
	addr := c.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("address of the embedded broker: %w", err)
	}
	ports := make([]int, max(1, c.Nodes))
	if ports[0], err = strconv.Atoi(port); err != nil {
		return nil, fmt.Errorf("address of the embedded broker: port %q is not a number", port)
	}
	every := c.CompactEvery
	if every <= 0 {
		every = 30 * time.Second
	}
	segment := c.SegmentBytes
	if segment <= 0 {
		segment = 16 << 20
	}

	b := &Broker{}
	opts := []kfake.Opt{
		kfake.ClusterID("brotally-embedded"),
		kfake.Ports(ports...),
		kfake.ListenFn(func(network, address string) (net.Listener, error) {
			_, port, err := net.SplitHostPort(address) // kfake names the port alone
			if err != nil {
				return nil, err
			}
			return net.Listen(network, net.JoinHostPort(host, port))
		}),
		kfake.MaxVersions(versions()),
		kfake.DefaultNumPartitions(4),
		kfake.BrokerConfigs(map[string]string{
			"default.replication.factor": strconv.Itoa(min(len(ports), 3)),
			"log.cleaner.backoff.ms":     never,
			"log.segment.bytes":          strconv.Itoa(segment),
		}),
	}
	if c.TLS != nil {
		opts = append(opts, kfake.TLS(c.TLS))
	}
	switch {
	case c.DataDir != "":
		opts = append(opts, kfake.DataDir(c.DataDir))
	case c.Temporary:
		if b.remove, err = os.MkdirTemp("", "brotally-broker-"); err != nil {
			return nil, fmt.Errorf("folder of the embedded broker: %w", err)
		}
		opts = append(opts, kfake.DataDir(b.remove))
	}
	b.cluster, err = kfake.NewCluster(append(opts, c.Options...)...)
	if err != nil {
		err = fmt.Errorf("embedded broker: %w", err)
		if errors.Is(err, syscall.EADDRINUSE) {
			err = &PortInUse{Addr: addr, Err: err}
		}
		return nil, errors.Join(err, b.removeFolder())
	}
	b.addrs = b.cluster.ListenAddrs()
	(&compactor{cluster: b.cluster, every: every}).watch()
	return b, nil
}

// versions returns the protocol that Kafka's own tools get on with: kafka-topics and kafka-consumer-groups --describe ask for
// what is gone after 3.6, and kafka-topics --create dies of the settings that kfake puts into its answer since version 5.
func versions() *kversion.Versions {
	v := kversion.V3_6_0()
	v.SetMaxKeyVersion(int16(kmsg.CreateTopics), 4)
	return v
}

// Addrs returns host:port of each node.
func (b *Broker) Addrs() []string { return b.addrs }

// Cluster returns the kfake cluster, with which tests inject faults: Fault and ControlKey answer requests in the broker's
// place, MoveTopicPartition and RehashCoordinators move leaders.
func (b *Broker) Cluster() *kfake.Cluster { return b.cluster }

// Close stops the broker and removes its folder if it is temporary. A second Close does nothing.
func (b *Broker) Close() error {
	b.cluster.Close()
	return b.removeFolder()
}

func (b *Broker) removeFolder() error {
	if b.remove == "" {
		return nil
	}
	if err := os.RemoveAll(b.remove); err != nil {
		return fmt.Errorf("folder of the embedded broker: %w", err)
	}
	b.remove = ""
	return nil
}
