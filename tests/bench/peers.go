package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// endless is a number of records that no job has: the peer runs until it is ended.
const endless = 1 << 40

// kitBroker is the address that the kit's sources have written into them.
const kitBroker = "127.0.0.1:9092"

// kit is a working copy of the peers: the kit's sources with our broker's address, and what is built of them.
type kit struct {
	source string // the kit itself
	dir    string // the copy
	kafka  string // what kafka.sh installed
	bench  *bench
}

// peerNames are the peers that can be chosen.
var peerNames = []string{"kstreams-alo", "kstreams-eos", "flink", "flink-minibatch", "goka"}

// peers builds the chosen peers.
func (b *bench) peers(ctx context.Context) ([]*system, error) {
	if len(b.Peers) == 0 {
		return nil, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	k := &kit{source: b.Kit, dir: filepath.Join(cache, "brotally", "bench-peers"), kafka: kafkaDir(), bench: b}
	if _, err := os.Stat(filepath.Join(k.source, "kstreams")); err != nil {
		return nil, fmt.Errorf("the peers kit is not in %s: set BROTALLY_PEERS to where it is, or PEERS= for none", k.source)
	}
	var all []*system
	for _, name := range b.Peers {
		var s *system
		var err error
		switch name {
		case "kstreams-alo":
			s, err = k.kstreams(ctx, name, "at_least_once")
		case "kstreams-eos":
			s, err = k.kstreams(ctx, name, "exactly_once_v2")
		case "flink", "flink-minibatch":
			s, err = k.flink(ctx, name)
		case "goka":
			s, err = k.goka(ctx)
		default:
			err = fmt.Errorf("there are %s", strings.Join(peerNames, ", "))
		}
		if err != nil {
			return nil, fmt.Errorf("peer %s: %w", name, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// copy brings the text files of one of the kit's folders into the working copy, with our broker's address.
func (k *kit) copy(folder string) (string, error) {
	to := filepath.Join(k.dir, folder)
	if err := os.MkdirAll(to, 0o755); err != nil {
		return "", err
	}
	files, err := os.ReadDir(filepath.Join(k.source, folder))
	if err != nil {
		return "", err
	}
	for _, f := range files {
		if !f.Type().IsRegular() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(k.source, folder, f.Name()))
		if err != nil {
			return "", err
		}
		text = bytes.ReplaceAll(text, []byte(kitBroker), []byte(k.bench.brokers))
		if err := os.WriteFile(filepath.Join(to, f.Name()), text, 0o644); err != nil {
			return "", err
		}
	}
	return to, nil
}

// jars fetches what a pom.xml names, once, and returns the class path.
func (k *kit) jars(ctx context.Context, pom, to string) (string, error) {
	done := filepath.Join(to, "complete")
	want, err := os.ReadFile(pom)
	if err != nil {
		return "", err
	}
	have, err := os.ReadFile(done)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if !bytes.Equal(have, want) {
		k.bench.say("fetching the jars of %s", pom)
		if err := os.RemoveAll(to); err != nil {
			return "", err
		}
		if _, err := run(ctx, k.dir, "mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+to); err != nil {
			return "", err
		}
		if err := os.WriteFile(done, want, 0o644); err != nil {
			return "", err
		}
	}
	return filepath.Join(to, "*"), nil
}

func (k *kit) javac(ctx context.Context, dir, classPath, file string) (string, error) {
	classes := filepath.Join(dir, "classes")
	if err := os.MkdirAll(classes, 0o755); err != nil {
		return "", err
	}
	_, err := run(ctx, dir, "javac", "-nowarn", "-cp", classPath, "-d", classes, file)
	return classes, err
}

// compacted are the settings of a result topic.
func compacted() map[string]*string { v := "compact"; return map[string]*string{"cleanup.policy": &v} }

func (k *kit) kstreams(ctx context.Context, name, guarantee string) (*system, error) {
	dir, err := k.copy("kstreams")
	if err != nil {
		return nil, err
	}
	// Kafka Streams comes with the jars of the kit's own broker.
	libs, err := k.jars(ctx, filepath.Join(k.source, "..", "kafka", "pom.xml"), filepath.Join(k.dir, "kafka-jars"))
	if err != nil {
		return nil, err
	}
	classes, err := k.javac(ctx, dir, libs, "CountDns.java")
	if err != nil {
		return nil, err
	}
	return &system{name: name, group: textGroup, count: bigEndian,
		prepare: func(ctx context.Context, j job) error { return k.bench.create(ctx, j.result, partitions, compacted()) },
		command: func(j job) (*exec.Cmd, error) {
			return exec.Command("java", "-Xmx1g", "-Dlog4j2.configurationFile="+filepath.Join(k.kafka, "log4j2.properties"), "-cp", classes+":"+libs,
				"CountDns", guarantee, j.topic, j.result, strconv.Itoa(endless), j.app, filepath.Join(k.bench.dir, j.app)), nil
		}}, nil
}

func (k *kit) flink(ctx context.Context, name string) (*system, error) {
	dir, err := k.copy("flink")
	if err != nil {
		return nil, err
	}
	libs, err := k.jars(ctx, filepath.Join(k.source, "flink", "pom.xml"), filepath.Join(k.dir, "flink-jars"))
	if err != nil {
		return nil, err
	}
	classes, err := k.javac(ctx, dir, libs, "DnsCounts.java")
	if err != nil {
		return nil, err
	}
	args := []string{"-Xmx2g"}
	for _, opened := range []string{"lang", "net", "nio", "time", "util", "util.concurrent"} {
		args = append(args, "--add-opens", "java.base/java."+opened+"=ALL-UNNAMED")
	}
	args = append(args, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classes+":"+libs, "DnsCounts")
	return &system{name: name, group: jsonGroup("orig_h", "qtype_name"), count: lastMember,
		prepare: func(ctx context.Context, j job) error { return k.bench.create(ctx, j.result, partitions, compacted()) },
		command: func(j job) (*exec.Cmd, error) {
			return exec.Command("java", append(args[:len(args):len(args)], j.topic, j.result, strconv.FormatBool(name == "flink-minibatch"))...), nil
		}}, nil
}

func (k *kit) goka(ctx context.Context) (*system, error) {
	dir, err := k.copy("goka")
	if err != nil {
		return nil, err
	}
	if _, err := run(ctx, dir, "go", "build", "-o", "count", "."); err != nil {
		return nil, err
	}
	return &system{name: "goka", group: textGroup, count: decimal,
		result: func(j job) string { return j.app + "-count-table" },
		prepare: func(ctx context.Context, j job) error {
			return errors.Join(k.bench.create(ctx, j.app+"-rekeyed", partitions, nil), k.bench.create(ctx, j.app+"-count-table", partitions, compacted()))
		},
		command: func(j job) (*exec.Cmd, error) {
			return exec.Command(filepath.Join(dir, "count"), "-topic", j.topic, "-name", j.app, "-total", strconv.Itoa(endless), "-dir", filepath.Join(k.bench.dir, j.app)), nil
		}}, nil
}
