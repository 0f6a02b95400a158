package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/IBM/sarama"
)

func TestClassify(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want Class
	}{
		{"fenced by name", sarama.ErrProducerFenced, Fenced},
		{"old epoch", sarama.ErrInvalidProducerEpoch, Fenced},
		{"wrapped", fmt.Errorf("commit: %w", sarama.ErrProducerFenced), Fenced},
		{"joined: the gravest counts", errors.Join(sarama.ErrNotLeaderForPartition, sarama.ErrInvalidProducerEpoch), Fenced},
		{"in Sarama's own wrapping", sarama.Wrap(sarama.ErrAddPartitionsToTxn, sarama.ErrProducerFenced), Fenced},
		{"behind Sarama's sentinel", sarama.Wrap(sarama.ErrInvalidProducerEpoch, io.EOF), Fenced},
		{"a failed send", &sarama.ProducerError{Msg: &sarama.ProducerMessage{}, Err: sarama.ErrInvalidProducerEpoch}, Fenced},
		{"failed sends", sarama.ProducerErrors{{Msg: &sarama.ProducerMessage{}, Err: sarama.ErrProducerFenced}}, Fenced},

		// Trap 3: without a name, and flattened to text by who passed it on.
		{"as text", errors.New("Unknown error, how did this happen? Error code = 90"), Fenced},
		{"code without a text of its own", fmt.Errorf("%v", sarama.ErrProducerFenced), Fenced},
		{"flattened", fmt.Errorf("error from goka: %v", sarama.ErrInvalidProducerEpoch), Fenced},
		{"not ready", fmt.Errorf("add offsets: %w", sarama.ErrTransactionNotReady), Fenced},
		{"not ready, flattened", fmt.Errorf("add offsets: %v", sarama.ErrTransactionNotReady), Fenced},

		{"thrown out of the group", sarama.ErrIllegalGeneration, Rejoin},
		{"forgotten by the group", sarama.ErrUnknownMemberId, Rejoin},
		{"rebalance", sarama.ErrRebalanceInProgress, Rejoin},
		{"offsets held by a dead member's transaction", sarama.ErrUnstableOffsetCommit, Rejoin}, // Trap 1
		{"unstable, flattened", fmt.Errorf("setup: %v", sarama.ErrUnstableOffsetCommit), Rejoin},
		{"static member replaced", sarama.ErrFencedInstancedId, Rejoin},
		{"TRANSACTION_ABORTABLE", sarama.KError(120), Rejoin},

		{"the previous transaction is not through", sarama.ErrConcurrentTransactions, Retry},
		{"election", sarama.ErrNotLeaderForPartition, Retry},
		{"coordinator loads", sarama.ErrOffsetsLoadInProgress, Retry},
		{"connection closed", io.EOF, Retry},
		{"connection reset", &net.OpError{Op: "read", Err: syscall.ECONNRESET}, Retry},
		{"nobody there", sarama.ErrOutOfBrokers, Retry},

		{"id expired", sarama.ErrInvalidProducerIDMapping, Fatal},
		{"rights", sarama.ErrTopicAuthorizationFailed, Fatal},
		{"too large", sarama.ErrMessageSizeTooLarge, Fatal},
		{"something else", errors.New("out of cheese"), Fatal},
		{"code that nobody knows", sarama.KError(9999), Fatal},
		{"ours again", fmt.Errorf("outer: %w", &Error{Op: "x", Class: Rejoin, Err: sarama.ErrProducerFenced}), Rejoin},
	} {
		if got := Classify(test.err); got != test.want {
			t.Errorf("%s: %v, want %v (%v)", test.name, got, test.want, test.err)
		}
	}
}

func TestFailKeepsWhatItWraps(t *testing.T) {
	sentinels := map[Class]error{Fenced: ErrFenced, Rejoin: ErrRejoin, Retry: ErrRetry, Fatal: ErrFatal}
	for cause, class := range map[error]Class{
		sarama.ErrProducerFenced: Fenced, sarama.ErrUnknownMemberId: Rejoin, io.EOF: Retry, sarama.ErrInvalidRecord: Fatal,
	} {
		err := Fail("commit x", cause, onID("Write", "x"))
		for c, s := range sentinels {
			if errors.Is(err, s) != (c == class) {
				t.Errorf("%v: errors.Is(%v) = %t", err, s, !(c == class))
			}
		}
		if !errors.Is(err, cause) || !strings.HasPrefix(err.Error(), "commit x: ") {
			t.Errorf("%v does not keep %v", err, cause)
		}
		// Wrapping it again changes nothing.
		if again := Fail("outer", err); Classify(again) != class || !errors.Is(again, sentinels[class]) {
			t.Errorf("%v", again)
		}
	}
	if err := Fail("x", nil); err != nil {
		t.Error(err)
	}
	if err := Fail("x", fmt.Errorf("y: %w", context.Canceled)); !errors.Is(err, context.Canceled) || errors.Is(err, ErrFatal) {
		t.Errorf("cancelled: %v", err)
	}
	var denied *NotAllowed
	if err := Fail("read", sarama.ErrTopicAuthorizationFailed, onGroup("Read", "g"), onTopic("Read", "dns")); !errors.As(err, &denied) || denied.What != "Read on topic dns" || !errors.Is(err, ErrFatal) {
		t.Errorf("rights: %v", err)
	}
}
