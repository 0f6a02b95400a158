package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// job is one counting of a topic by host and qtype.
type job struct {
	app     string // whatever is made for the job has a name that begins with it
	topic   string
	result  string // topic
	records int64  // after which a peer may end, if it must
}

// system is a program that does jobs.
type system struct {
	name string

	// prepare makes the topics that the system does not make itself; may be nil.
	prepare func(context.Context, job) error
	// command is the program.
	command func(job) (*exec.Cmd, error)
	// result is where the system writes; nil: to the job's result topic.
	result func(job) string

	group func(key []byte) (string, error)  // as groupOf has it
	count func(value []byte) (int64, error) // of a record of the result topic
}

func (s *system) resultOf(j job) string {
	if s.result == nil {
		return j.result
	}
	return s.result(j)
}

// jsonGroup reads keys that are JSON objects; fields are the names of the host and of the qtype.
func jsonGroup(host, qtype string) func([]byte) (string, error) {
	return func(key []byte) (string, error) {
		var columns map[string]*string
		if err := json.Unmarshal(key, &columns); err != nil {
			return "", err
		}
		if columns[host] == nil {
			return "", fmt.Errorf("no %s", host)
		}
		name := ""
		if columns[qtype] != nil {
			name = *columns[qtype]
		}
		return groupOf(*columns[host], name), nil
	}
}

// lastMember reads the count of a JSON object whose last member it is.
func lastMember(value []byte) (int64, error) {
	text := value[bytes.LastIndexByte(value, ':')+1:]
	return strconv.ParseInt(strings.TrimSuffix(string(text), "}"), 10, 64)
}

// textGroup reads keys that are as groupOf has them.
func textGroup(key []byte) (string, error) { return string(key), nil }

// bigEndian reads a count of eight bytes.
func bigEndian(value []byte) (int64, error) {
	if len(value) != 8 {
		return 0, fmt.Errorf("%d bytes, want 8", len(value))
	}
	return int64(binary.BigEndian.Uint64(value)), nil
}

// decimal reads a count that is written out.
func decimal(value []byte) (int64, error) { return strconv.ParseInt(string(value), 10, 64) }
