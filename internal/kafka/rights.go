package kafka

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/IBM/sarama"
)

// Right is one thing that somebody may do, as Kafka's authorizers see it.
type Right struct {
	Operation string // as kafka-acls names it: Read, Write, Create, Delete, Describe, DescribeConfigs
	Kind      string // KindTopic, ..
	Name      string // of the resource; empty for the cluster
	Prefixed  bool   // of all resources whose names begin with Name
}

// The kinds of resources, as kafka-acls names its flags.
const (
	KindTopic   = "topic"
	KindGroup   = "group"
	KindID      = "transactional-id"
	KindCluster = "cluster"
)

// String returns such as "Read on topic dns".
func (r Right) String() string {
	s := r.Operation + " on "
	if r.Operation == "" {
		s = ""
	}
	kind := strings.ReplaceAll(r.Kind, "-", " ")
	switch {
	case r.Kind == KindCluster:
		return s + "the cluster"
	case r.Name == "":
		return s + "a " + kind
	case r.Prefixed:
		return s + kind + "s " + r.Name + "*"
	}
	return s + kind + " " + r.Name
}

// Grant returns the arguments of kafka-acls that give rights to a principal such as "User:brotally". It is one line: each of the
// operations to each of the resources, which are of one kind. See [Lines].
func Grant(principal string, rights ...Right) string {
	s := "--add --allow-principal " + quoteShell(principal)
	for _, o := range operations(rights) {
		s += " --operation " + o
	}
	if rights[0].Kind == KindCluster {
		return s + " --cluster"
	}
	for _, name := range resources(rights) {
		s += " --" + rights[0].Kind + " " + quoteShell(or(name, "NAME"))
	}
	if rights[0].Prefixed {
		s += " --resource-pattern-type prefixed"
	}
	return s
}

// Lines puts those rights together that one line of kafka-acls can give: the same operations to resources of one kind. They
// keep the order of the first ones.
func Lines(rights []Right) (lines [][]Right) {
	put := func(into [][]Right, add []Right, together func(have []Right) bool) [][]Right {
		for i, have := range into {
			if h := have[0]; h.Kind == add[0].Kind && h.Prefixed == add[0].Prefixed && together(have) {
				into[i] = append(have, add...)
				return into
			}
		}
		return append(into, add)
	}
	var each [][]Right // of one resource
	for _, r := range rights {
		each = put(each, []Right{r}, func(have []Right) bool { return have[0].Name == r.Name })
	}
	for _, add := range each {
		lines = put(lines, add, func(have []Right) bool { return slices.Equal(operations(have), operations(add)) })
	}
	return lines
}

// operations returns what rights are to, each once.
func operations(rights []Right) (all []string) {
	for _, r := range rights {
		if !slices.Contains(all, r.Operation) {
			all = append(all, r.Operation)
		}
	}
	return all
}

// resources returns what rights are on, each once.
func resources(rights []Right) (all []string) {
	for _, r := range rights {
		if !slices.Contains(all, r.Name) {
			all = append(all, r.Name)
		}
	}
	return all
}

// Describe writes the rights of one of [Lines] for people: "Write, Create on topics a, b".
func Describe(line []Right) string {
	r := line[0]
	r.Operation = strings.Join(operations(line), ", ")
	names := resources(line)
	if len(names) == 1 {
		return r.String()
	}
	if r.Prefixed {
		for i := range names {
			names[i] += "*"
		}
	}
	return fmt.Sprintf("%s on %ss %s", r.Operation, strings.ReplaceAll(r.Kind, "-", " "), strings.Join(names, ", "))
}

// quoteShell quotes what a shell would take apart.
func quoteShell(s string) string {
	for _, c := range s {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._-:=,@%+/", c)) {
			return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
		}
	}
	return s
}

func onTopic(operation, name string) Right {
	return Right{Operation: operation, Kind: KindTopic, Name: name}
}
func onGroup(operation, name string) Right {
	return Right{Operation: operation, Kind: KindGroup, Name: name}
}
func onID(operation, name string) Right { return Right{Operation: operation, Kind: KindID, Name: name} }

// NotAllowed is an error of a login or of authorization: exit code 4.
type NotAllowed struct {
	Op     string // what was being done
	What   string // what we may not, such as "Read on topic dns"
	Right  Right  // the same, if it is one
	WayOut string // what to do about it
	Err    error  // what the broker said
}

func (e *NotAllowed) Error() string {
	s := e.Op + ": not allowed: " + e.What
	if e.Err != nil && !errors.Is(e.Err, io.EOF) {
		s += ": " + strings.TrimPrefix(e.Err.Error(), "kafka server: ")
	}
	if e.WayOut != "" {
		s += "; " + e.WayOut
	}
	return s
}

// Unwrap returns the broker's error.
func (e *NotAllowed) Unwrap() error { return e.Err }

// Is says that it is fatal: rights do not come back by themselves.
func (e *NotAllowed) Is(target error) bool { return target == ErrFatal }

// unnamed stands for a principal that is not known.
const unnamed = "User:NAME"

// denied returns the error of a right that is missing.
func denied(op string, r Right, err error) *NotAllowed {
	e := &NotAllowed{Op: op, What: r.String(), Right: r, Err: err}
	if r.Operation != "" {
		e.WayOut = "kafka-acls " + Grant(unnamed, r) + " gives it, brotally doctor says what else is missing"
	}
	return e
}

// missing is the error of a request of which only we know what it asked for.
type missing struct {
	right Right
	err   error
}

func (e *missing) Error() string { return e.err.Error() }
func (e *missing) Unwrap() error { return e.err }

// Fail wraps err with what was being done and its class; nil stays nil. rights are what the operation needs: when the
// cluster says that one is missing, the error is *[NotAllowed] and names that of them which fits. Errors that are classified
// already keep their class, a cancelled context stays what it is.
func Fail(op string, err error, rights ...Right) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) { // not DeadlineExceeded: a connection that does not come about says so, too
		return fmt.Errorf("%s: %w", op, err)
	}
	var own *Error
	var not *NotAllowed
	var nobody *ErrNoBroker
	if errors.As(err, &own) || errors.As(err, &not) || errors.As(err, &nobody) {
		return fmt.Errorf("%s: %w", op, err)
	}
	var known *missing
	if errors.As(err, &known) {
		return denied(op, known.right, known.err)
	}
	for _, k := range codes(err) {
		if login(k) {
			return &NotAllowed{Op: op, What: "log in", Err: err}
		}
		if kind := kindOf(k); kind != "" {
			return denied(op, fitting(kind, rights), err)
		}
	}
	return &Error{Op: op, Class: Classify(err), Err: err}
}

// Fail is [Fail] that knows who we are.
func (a *Admin) Fail(op string, err error, rights ...Right) error {
	return as(a.client.Config(), Fail(op, err, rights...))
}

// kindOf returns to what kind of resource a right is missing when the code says so, else nothing.
func kindOf(k sarama.KError) string {
	switch k {
	case sarama.ErrTopicAuthorizationFailed:
		return KindTopic
	case sarama.ErrGroupAuthorizationFailed:
		return KindGroup
	case sarama.ErrTransactionalIDAuthorizationFailed:
		return KindID
	case sarama.ErrClusterAuthorizationFailed:
		return KindCluster
	}
	return ""
}

// fitting returns the right of the kind, or one without operation that only says the kind.
func fitting(kind string, rights []Right) Right {
	for _, r := range rights {
		if r.Kind == kind {
			return r
		}
	}
	return Right{Kind: kind}
}

// login says whether the code is about who we are.
func login(k sarama.KError) bool {
	return k == sarama.ErrSASLAuthenticationFailed || k == sarama.ErrUnsupportedSASLMechanism || k == sarama.ErrIllegalSASLState
}

// as puts who we are into the way out of a missing right.
func as(conf *sarama.Config, err error) error {
	var not *NotAllowed
	if errors.As(err, &not) {
		not.WayOut = strings.ReplaceAll(not.WayOut, unnamed, quoteShell(Principal(conf)))
	}
	return err
}

// Principal is who we are to an authorizer unless the cluster maps names: the user that logs in, else the subject of our
// certificate. Who a token is for only its issuer knows: then it is "User:NAME".
func Principal(conf *sarama.Config) string {
	switch {
	case conf.Net.SASL.Enable && conf.Net.SASL.User != "":
		return "User:" + conf.Net.SASL.User
	case conf.Net.SASL.Enable:
		return unnamed
	case conf.Net.TLS.Enable && len(conf.Net.TLS.Config.Certificates) > 0:
		if c, err := x509.ParseCertificate(conf.Net.TLS.Config.Certificates[0].Certificate[0]); err == nil {
			return "User:" + c.Subject.String()
		}
	}
	return "User:ANONYMOUS"
}
