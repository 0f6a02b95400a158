package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// metadataAge is how old what a client knows of topics may be: by default it hears of a new topic five seconds late.
const metadataAge = 10 * time.Millisecond

// kafkaDir is where kafka.sh puts everything.
func kafkaDir() string {
	if dir := os.Getenv("BROTALLY_KAFKA"); dir != "" {
		return dir
	}
	home, _ := os.UserHomeDir()
	return filepath.Join(home, ".cache", "brotally", "kafka")
}

// broker finds the broker that was named, or starts our own, on a port where no test looks for one. down stops ours, if it
// did not run before.
func (b *bench) broker(ctx context.Context) (down func(), err error) {
	script := filepath.Join(b.root, "tests", "kafka", "kafka.sh")
	if b.Brokers != "" {
		b.brokers = b.Brokers
		_, err := run(ctx, b.root, script, "install") // its tools
		return func() {}, err
	}
	if os.Getenv("KAFKA_PORT") == "" {
		if err := os.Setenv("KAFKA_PORT", "9392"); err != nil {
			return nil, err
		}
	}
	ran := exec.CommandContext(ctx, script, "status").Run() == nil
	address, err := run(ctx, b.root, script, "up")
	if err != nil {
		return nil, err
	}
	b.brokers = strings.TrimSpace(address)
	return func() {
		if ran {
			return
		}
		if _, err := run(context.WithoutCancel(ctx), b.root, script, "down"); err != nil {
			b.say("%v", err)
		}
	}, nil
}

// brokerCPU returns the processor seconds that kafka.sh's broker has used; 0 of any other broker.
func (b *bench) brokerCPU() float64 {
	port := b.brokers[strings.LastIndexByte(b.brokers, ':')+1:]
	text, err := os.ReadFile(filepath.Join(kafkaDir(), port, "pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	s, _ := statOf(pid)
	return s.cpu
}
