package kafka

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"

	"github.com/IBM/sarama"
)

// Class says what to do about an error.
type Class uint8

const (
	// Fatal: nothing we could try again; the process ends, or is rebuilt from scratch.
	Fatal Class = iota

	// Retry: the cluster is busy or electing; the same request may work in a moment.
	Retry

	// Rejoin: our place in the consumer group is gone, or offsets of ours are still held by a transaction that is not
	// decided. Abort, drop local state, join again.
	Rejoin

	// Fenced: another producer with our transactional id has taken over. Everything since the last commit is void, and going
	// on would be a zombie's work.
	Fenced
)

// String returns the class in lower case.
func (c Class) String() string {
	switch c {
	case Retry:
		return "retry"
	case Rejoin:
		return "rejoin"
	case Fenced:
		return "fenced"
	}
	return "fatal"
}

// Sentinels for errors.Is: every error of this package that was classified is one of them.
var (
	ErrFenced = errors.New("another instance has taken over, or the transaction timed out")
	ErrRejoin = errors.New("the consumer group has moved on")
	ErrRetry  = errors.New("not possible at the moment")
	ErrFatal  = errors.New("cannot go on")
)

// Error is an error of the cluster with what to do about it.
type Error struct {
	Op    string // what was being done, such as "commit brotally-dns_counts-a"
	Class Class
	Err   error // as the client gave it; errors.As finds a sarama.KError in it where there is one
}

func (e *Error) Error() string {
	if e.Op == "" {
		return e.Err.Error()
	}
	return e.Op + ": " + e.Err.Error()
}

// Unwrap returns the client's error.
func (e *Error) Unwrap() error { return e.Err }

// Is says whether target is the sentinel of the error's class.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrFenced:
		return e.Class == Fenced
	case ErrRejoin:
		return e.Class == Rejoin
	case ErrRetry:
		return e.Class == Retry
	case ErrFatal:
		return e.Class == Fatal
	}
	return false
}

// ErrNoBroker is returned when none of the brokers answers in a way that we understand: exit code 3.
type ErrNoBroker struct {
	Brokers []string
	Err     error // what each of them said, joined
}

func (e *ErrNoBroker) Error() string {
	if len(e.Brokers) == 0 {
		return "no broker given (-b host:port)"
	}
	what := "no broker answers at"
	if e.Err != nil && !silent(e.Err) {
		what = "cannot talk to"
	}
	return fmt.Sprintf("%s %s: %s", what, strings.Join(e.Brokers, ", "), oneLine(e.Err))
}

// Unwrap returns what the brokers said.
func (e *ErrNoBroker) Unwrap() error { return e.Err }

// errSilent is what is said of a broker that takes the connection and then says nothing.
var errSilent = errors.New("no answer")

// silent says whether err is that nobody was there, rather than somebody whom we did not understand.
func silent(err error) bool {
	return refusedDial(err) || isTimeout(err) || errors.Is(err, sarama.ErrOutOfBrokers) || errors.Is(err, errSilent)
}

// Classify says what to do about err. It knows Sarama's odd texts, because Sarama flattens some errors and has no names for
// others: PRODUCER_FENCED arrives as "Unknown error, how did this happen? Error code = 90".
func Classify(err error) Class {
	if err == nil {
		return Retry
	}
	var own *Error
	if errors.As(err, &own) {
		return own.Class
	}
	// Several errors may be joined, such as a commit's and the first failed send's: the gravest decides.
	worst := Class(0)
	seen := false
	for _, k := range codes(err) {
		c := classOf(k)
		if !seen || gravity(c) > gravity(worst) {
			worst, seen = c, true
		}
	}
	if seen {
		return worst
	}
	switch {
	case strings.Contains(err.Error(), sarama.ErrTransactionNotReady.Error()):
		// Sarama's producer is in its error state and does not say why any more. Of all reasons being fenced is the gravest.
		return Fenced
	case network(err), errors.Is(err, sarama.ErrOutOfBrokers), errors.Is(err, sarama.ErrIncompleteResponse),
		errors.Is(err, sarama.ErrNotConnected), errors.Is(err, sarama.ErrTxnUnableToParseResponse),
		errors.Is(err, sarama.ErrControllerNotAvailable), errors.Is(err, sarama.ErrBrokerNotFound):
		return Retry
	}
	return Fatal
}

// gravity orders classes by how much they undo.
func gravity(c Class) int {
	switch c {
	case Fenced:
		return 3
	case Fatal:
		return 2
	case Rejoin:
		return 1
	}
	return 0
}

// classOf classifies one code of the protocol.
func classOf(k sarama.KError) Class {
	switch k {
	case sarama.ErrProducerFenced, sarama.ErrInvalidProducerEpoch, sarama.ErrTransactionCoordinatorFenced,
		sarama.ErrInvalidTxnState: // a send to a transaction that was ended for us: by another instance, or by its timeout
		return Fenced
	case sarama.ErrIllegalGeneration, sarama.ErrUnknownMemberId, sarama.ErrRebalanceInProgress, sarama.ErrFencedInstancedId,
		sarama.ErrUnstableOffsetCommit, sarama.ErrMemberIdRequired, errFencedMemberEpoch, errStaleMemberEpoch,
		errTransactionAbortable:
		return Rejoin
	case sarama.ErrConcurrentTransactions, sarama.ErrOffsetsLoadInProgress, sarama.ErrConsumerCoordinatorNotAvailable,
		sarama.ErrNotCoordinatorForConsumer, sarama.ErrLeaderNotAvailable, sarama.ErrNotLeaderForPartition,
		sarama.ErrRequestTimedOut, sarama.ErrBrokerNotAvailable, sarama.ErrReplicaNotAvailable, sarama.ErrNetworkException,
		sarama.ErrNotEnoughReplicas, sarama.ErrNotEnoughReplicasAfterAppend, sarama.ErrNotController,
		sarama.ErrKafkaStorageError, sarama.ErrFencedLeaderEpoch, sarama.ErrUnknownLeaderEpoch, sarama.ErrOffsetNotAvailable,
		sarama.ErrPreferredLeaderNotAvailable, sarama.ErrEligibleLeadersNotAvailable, sarama.ErrListenerNotFound,
		sarama.ErrThrottlingQuotaExceeded, sarama.ErrStaleBrokerEpoch, sarama.ErrFetchSessionIDNotFound,
		sarama.ErrInvalidFetchSessionEpoch, sarama.ErrUnknownTopicOrPartition, sarama.ErrUnknown,
		errUnknownTopicID, errInconsistentTopicID:
		return Retry
	}
	return Fatal
}

// codes returns the codes of the protocol that err was made of, however deep, and whether as values or as text.
func codes(err error) []sarama.KError {
	if err == nil {
		return nil
	}
	var out []sarama.KError
	// Asking for each code finds also those that Sarama hides from errors.As behind a sentinel of its own.
	for k := sarama.ErrUnknown; k <= lastCode; k++ {
		if k != sarama.ErrNoError && errors.Is(err, k) {
			out = append(out, k)
		}
	}
	var sent sarama.ProducerErrors
	if errors.As(err, &sent) {
		for _, e := range sent {
			out = append(out, codes(e.Err)...)
		}
	}
	if len(out) == 0 {
		out = codesInText(err.Error())
	}
	return out
}

// Codes that Sarama has no names for (kafka.apache.org/protocol, error codes).
const (
	errUnknownTopicID       sarama.KError = 100
	errInconsistentTopicID  sarama.KError = 103
	errFencedMemberEpoch    sarama.KError = 110
	errStaleMemberEpoch     sarama.KError = 113
	errTransactionAbortable sarama.KError = 120
	lastCode                sarama.KError = 140
)

// codesInText finds codes in a text that Goka or Sarama made of an error (with %v): by Sarama's sentence for a code that it
// does not know, else by Sarama's sentence for one that it does.
func codesInText(s string) []sarama.KError {
	const unknown = "Error code = "
	var out []sarama.KError
	for rest := s; ; {
		i := strings.Index(rest, unknown)
		if i < 0 {
			break
		}
		rest = rest[i+len(unknown):]
		end := 0
		for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
			end++
		}
		if n, err := strconv.ParseInt(rest[:end], 10, 16); err == nil {
			out = append(out, sarama.KError(n))
		}
	}
	if len(out) > 0 || !strings.Contains(s, "kafka server: ") {
		return out
	}
	for k := sarama.ErrUnknown; k <= sarama.ErrThrottlingQuotaExceeded; k++ {
		if k != sarama.ErrNoError && strings.Contains(s, k.Error()) {
			out = append(out, k)
		}
	}
	return out
}

// network says whether err is of the connection, not of the request.
func network(err error) bool {
	var n net.Error
	return errors.As(err, &n) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ECONNREFUSED)
}

// oneLine puts joined errors on one line, each once.
func oneLine(err error) string {
	if err == nil {
		return "no answer"
	}
	var parts []string
	seen := map[string]bool{}
	for l := range strings.SplitSeq(err.Error(), "\n") {
		if l = strings.TrimSpace(l); l != "" && !seen[l] {
			seen[l] = true
			parts = append(parts, l)
		}
	}
	return strings.Join(parts, "; ")
}
