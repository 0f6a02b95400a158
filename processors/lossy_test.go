package processors_test

import (
	"encoding/binary"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/brotally/brotally/internal/broker"
)

// lossy stands before a broker and loses answers: the request is done, and the connection breaks before its answer is out.
type lossy struct {
	mu   sync.Mutex // guards lose and lost
	lose map[kmsg.Key]int
	lost int
}

// answers makes the next n answers to requests of that kind get lost.
func (l *lossy) answers(key kmsg.Key, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lose == nil {
		l.lose = map[kmsg.Key]int{}
	}
	l.lose[key] = n
}

// losses returns how many answers were lost.
func (l *lossy) losses() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

func (l *lossy) due(key kmsg.Key) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lose[key] == 0 {
		return false
	}
	l.lose[key]--
	l.lost++
	return true
}

// broker returns the settings of a broker behind l.
func (l *lossy) broker() broker.Config {
	return broker.Config{Options: []kfake.Opt{kfake.ListenFn(func(network, address string) (net.Listener, error) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		inner, err := net.Listen(network, net.JoinHostPort("127.0.0.1", port))
		return listener{inner, l}, err
	})}}
}

type listener struct {
	net.Listener
	lossy *lossy
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &watched{Conn: c, lossy: l.lossy, asked: map[uint32]kmsg.Key{}}, nil
}

// watched is a connection whose requests are followed: each begins with its size, its key, its version and a number that
// its answer repeats.
type watched struct {
	net.Conn
	lossy *lossy

	mu    sync.Mutex // guards all below
	head  []byte     // the beginning of the request that is being read
	left  int        // bytes of it that are still to come
	asked map[uint32]kmsg.Key
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	for b := b[:n]; len(b) > 0; {
		if w.left > 0 && len(w.head) == 12 {
			skip := min(w.left, len(b))
			w.left -= skip
			b = b[skip:]
			if w.left == 0 {
				w.head = w.head[:0]
			}
			continue
		}
		w.head = append(w.head, b[0])
		b = b[1:]
		if len(w.head) == 12 {
			w.left = int(binary.BigEndian.Uint32(w.head)) - 8
			w.asked[binary.BigEndian.Uint32(w.head[8:])] = kmsg.Key(binary.BigEndian.Uint16(w.head[4:]))
			if w.left == 0 {
				w.head = w.head[:0]
			}
		}
	}
	return n, err
}

func (w *watched) Write(b []byte) (int, error) {
	if len(b) >= 8 {
		number := binary.BigEndian.Uint32(b[4:])
		w.mu.Lock()
		key, ok := w.asked[number]
		delete(w.asked, number)
		w.mu.Unlock()
		if ok && w.lossy.due(key) {
			_ = w.Conn.Close()
			return 0, net.ErrClosed
		}
	}
	return w.Conn.Write(b)
}
