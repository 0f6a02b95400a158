package broker_test

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/internal/broker"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/testkafka"
)

// Kafka's own tools talk to the embedded broker: that is what the demo invites people to do.
func TestJavaTools(t *testing.T) {
	tool := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(testkafka.Tool(t, name), args...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s%s", name, args, err, out, &stderr)
		}
		return string(out)
	}
	testkafka.Tool(t, "kafka-topics")
	b := broker.StartTest(t, broker.Config{Temporary: true})
	at := b.Addrs()[0]

	tool("kafka-topics", "--bootstrap-server", at, "--create", "--topic", "dns_counts", "--partitions", "1", "--config", "cleanup.policy=compact")
	if out := tool("kafka-topics", "--bootstrap-server", at, "--describe", "--topic", "dns_counts"); !strings.Contains(out, "PartitionCount: 1") || !strings.Contains(out, "cleanup.policy=compact") {
		t.Errorf("kafka-topics --describe:\n%s", out)
	}

	cfg := kafka.Config{Brokers: b.Addrs()}
	tx, err := kafka.NewTx(t.Context(), cfg, "java-test")
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	tx.Send("dns_counts", 0, []byte("A"), []byte(`{"n":1}`))
	if err := tx.Commit(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	tx.Send("dns_counts", 0, []byte("A"), []byte(`{"n":"rolled back"}`))
	if err := tx.Abort(); err != nil {
		t.Fatal(err)
	}
	tx.Send("dns_counts", 0, []byte("A"), nil)
	tx.Send("dns_counts", 0, []byte("NULL"), []byte(`{"n":2}`))
	if err := tx.Commit(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}

	out := tool("kafka-console-consumer", "--bootstrap-server", at, "--topic", "dns_counts", "--from-beginning", "--group", "console",
		"--isolation-level", "read_committed", "--formatter-property", "print.key=true", "--max-messages", "3", "--timeout-ms", "20000")
	if diff := cmp.Diff("A\t{\"n\":1}\nA\tnull\nNULL\t{\"n\":2}\n", out); diff != "" {
		t.Errorf("kafka-console-consumer (-want +got):\n%s", diff)
	}
	if out := tool("kafka-consumer-groups", "--bootstrap-server", at, "--describe", "--group", "console"); !strings.Contains(out, "dns_counts") {
		t.Errorf("kafka-consumer-groups --describe:\n%s", out)
	}
	if out := tool("kafka-get-offsets", "--bootstrap-server", at, "--topic", "dns_counts"); !strings.HasPrefix(out, "dns_counts:0:") {
		t.Errorf("kafka-get-offsets:\n%s", out)
	}
	if out := tool("kafka-configs", "--bootstrap-server", at, "--describe", "--entity-type", "topics", "--entity-name", "dns_counts"); !strings.Contains(out, "cleanup.policy=compact") {
		t.Errorf("kafka-configs --describe:\n%s", out)
	}
}
