package testkafka

import (
	"net"
	"testing"
)

func TestBrokersAnswer(t *testing.T) {
	for _, addr := range Brokers(t) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}
