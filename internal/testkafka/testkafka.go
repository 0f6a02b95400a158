// Package testkafka finds a real Kafka broker for tests that need one.
package testkafka

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Brokers returns host:port of a real broker: what BROKERS names (several separated by commas), else, with
// BROTALLY_REQUIRE_KAFKA=1, the one that tests/kafka/kafka.sh runs on KAFKA_PORT, which is installed and started if need be
// and left running for the next test. Otherwise the test is skipped: it needs more than Go.
func Brokers(t testing.TB) []string {
	t.Helper()
	if b := os.Getenv("BROKERS"); b != "" {
		return strings.Split(b, ",")
	}
	if os.Getenv("BROTALLY_REQUIRE_KAFKA") != "1" {
		t.Skipf("no Kafka: set BROKERS=host:port, or run make test-kafka")
	}
	out, err := script(nil, "up")
	if err != nil {
		t.Fatalf("no Kafka: tests/kafka/kafka.sh up: %v", err)
	}
	return []string{out}
}

// Tool returns the path of one of Kafka's command-line tools, such as "kafka-console-consumer". The test is skipped, or
// fails, as with Brokers.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(root(), "bin", name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if os.Getenv("BROTALLY_REQUIRE_KAFKA") != "1" {
		t.Skipf("no Kafka tools: run tests/kafka/kafka.sh install")
	}
	if _, err := script(nil, "install"); err != nil {
		t.Fatalf("no Kafka tools: tests/kafka/kafka.sh install: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("no such tool: %v", err)
	}
	return path
}

// root is where kafka.sh puts everything.
func root() string {
	if dir := os.Getenv("BROTALLY_KAFKA"); dir != "" {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".cache", "brotally", "kafka")
}

// script runs kafka.sh and returns what it printed; without an environment in ours.
func script(environ []string, command string) (string, error) {
	_, file, _, _ := runtime.Caller(0)
	path := filepath.Join(filepath.Dir(file), "..", "..", "tests", "kafka", "kafka.sh")
	var stderr bytes.Buffer
	cmd := exec.Command("bash", path, command)
	cmd.Env = environ
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", errors.Join(err, errors.New(strings.TrimSpace(stderr.String())))
	}
	return strings.TrimSpace(string(out)), nil
}
