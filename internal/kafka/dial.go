package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/brotally/brotally/internal/fault"
)

// Dial returns a client for metadata, offsets and leaders; close it. When none of the brokers answers it returns
// *[ErrNoBroker] within ten seconds, when they refuse us *[NotAllowed].
//
// ctx stays with the client: when it is done, all connections break and requests fail at once instead of after their timeouts.
func Dial(ctx context.Context, c Config) (sarama.Client, error) {
	c, err := c.Resolve()
	if err != nil {
		return nil, err
	}
	conf, err := c.Sarama()
	if err != nil {
		return nil, err
	}
	// Sarama alone would try broker after broker, with as long a patience as a rebalance needs.
	if err := ping(ctx, c.Brokers, conf); err != nil {
		return nil, err
	}
	dialer{ctx: ctx}.into(conf)
	pause := conf.Metadata.Retry.Backoff
	conf.Metadata.Retry.BackoffFunc = func(int, int) time.Duration {
		if ctx.Err() != nil {
			return 0 // looking for brokers again could take seconds, and leads to nothing any more
		}
		return pause
	}
	cl, err := sarama.NewClient(c.Brokers, conf)
	if err != nil {
		if network(err) || errors.Is(err, sarama.ErrOutOfBrokers) {
			return nil, &ErrNoBroker{Brokers: c.Brokers, Err: err}
		}
		return nil, Fail("connect to "+oneOf(c.Brokers), err)
	}
	return cl, nil
}

// ping asks all brokers at once for metadata and returns nil at the first answer.
func ping(ctx context.Context, brokers []string, conf *sarama.Config) error {
	if len(brokers) == 0 {
		return &ErrNoBroker{}
	}
	timed, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	errs := make([]error, len(brokers))
	var wg sync.WaitGroup
	for i, addr := range brokers {
		wg.Go(func() {
			if errs[i] = pingOne(timed, addr, conf); errs[i] == nil {
				cancel() // one answer is enough
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("connect to %s: %w", oneOf(brokers), err)
	}
	var why []error
	for i, err := range errs {
		if err == nil {
			return nil
		}
		var not *NotAllowed
		if errors.As(err, &not) {
			return err
		}
		if len(brokers) > 1 {
			err = fmt.Errorf("%s: %w", brokers[i], err)
		}
		why = append(why, err)
	}
	return &ErrNoBroker{Brokers: brokers, Err: errors.Join(why...)}
}

func pingOne(ctx context.Context, addr string, conf *sarama.Config) error {
	own := *conf
	dialer{ctx: ctx}.into(&own)
	b := sarama.NewBroker(addr)
	if err := b.Open(&own); err != nil {
		return err
	}
	defer b.Close() //nolint:errcheck // what matters was answered before
	_, err := b.GetMetadata(&sarama.MetadataRequest{Version: 7, Topics: []string{}})
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w within %v", errSilent, pingTimeout)
	}
	if err != nil {
		return explain(ctx, addr, conf, err)
	}
	return nil
}

// dialer opens connections that end with its context: Sarama's requests know no context, but they end with their connection.
type dialer struct {
	ctx   context.Context
	stage string // whose transactions travel here, for crash tests
}

// into makes every connection that is opened with conf one of d's.
func (d dialer) into(conf *sarama.Config) {
	conf.Net.Proxy.Enable = true
	conf.Net.Proxy.Dialer = d
}

// Dial implements proxy.Dialer.
func (d dialer) Dial(network, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(d.ctx, network, addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(d.ctx, func() { c.Close() }) //nolint:errcheck // a broken connection is what we want
	return fault.Conn(d.stage, &boundConn{Conn: c, stop: stop}), nil
}

// boundConn is a connection that a context closes.
type boundConn struct {
	net.Conn
	stop func() bool
}

func (c *boundConn) Close() error {
	c.stop()
	return c.Conn.Close()
}

// oneOf names brokers in an error.
func oneOf(brokers []string) string {
	if len(brokers) == 0 {
		return "no broker"
	}
	s := brokers[0]
	if len(brokers) > 1 {
		s += fmt.Sprintf(" and %d more", len(brokers)-1)
	}
	return s
}

// backoff is how long to wait before the n-th further attempt of something that another part of the cluster has to do first.
func backoff(n int) time.Duration { return min(10*time.Millisecond<<min(n, 10), 250*time.Millisecond) }

// sleep waits for d or until ctx is done, whose error it returns.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
