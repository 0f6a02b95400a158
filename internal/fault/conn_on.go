//go:build faults

package fault

import (
	"encoding/binary"
	"net"
)

// Keys of the Kafka protocol's requests at which a transaction comes to a point.
const (
	endTxn          = 26
	txnOffsetCommit = 28 // all records are acknowledged before
)

// Conn returns c watched for the requests that end a transaction of the stage.
func Conn(stage string, c net.Conn) net.Conn { return conn{c, stage} }

type conn struct {
	net.Conn
	stage string
}

// Write passes one request on: Sarama writes each with one call, its size and its key first.
func (c conn) Write(b []byte) (int, error) {
	key := uint16(0)
	if len(b) >= 6 {
		key = binary.BigEndian.Uint16(b[4:])
	}
	switch key {
	case txnOffsetCommit:
		Point(c.stage, Sent)
	case endTxn:
		Point(c.stage, OffsetsAdded)
	}
	n, err := c.Conn.Write(b)
	if key == endTxn {
		Point(c.stage, CommitSent)
	}
	return n, err
}
