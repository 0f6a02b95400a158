package kafka

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Resources are names of what there is, or is to be.
type Resources struct{ Topics, Groups, IDs []string }

// of returns the names that a right is about.
func (r Resources) of(right Right) []string {
	if !right.Prefixed {
		return []string{right.Name}
	}
	all := map[string][]string{KindTopic: r.Topics, KindGroup: r.Groups, KindID: r.IDs}[right.Kind]
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !strings.HasPrefix(name, right.Name) })
}

// Missing returns which of rights we do not have, and which cannot be told, in their order. A right to all resources of a
// prefix is looked at for those in at. Nothing is changed by asking: of topics and groups Kafka says itself what we may;
// whether one may be made, or a transactional id used, shows when that is asked for in a way that cannot be done.
func (i *Inspector) Missing(ctx context.Context, c Cluster, rights []Right, at Resources) (missing, untold []Right, err error) {
	p := &probe{Inspector: i, cluster: c, topics: map[string]answer{}, groups: map[string]answer{}}
	for _, r := range rights {
		worst := has
		for _, name := range at.of(r) {
			a, err := p.ask(ctx, r, name)
			if err != nil {
				return nil, nil, err
			}
			worst = max(worst, a)
		}
		switch worst {
		case hasNot:
			missing = append(missing, r)
		case unknown:
			untold = append(untold, r)
		}
	}
	return missing, untold, nil
}

// Unguarded says whether everybody may do everything, because the cluster has no authorizer.
func (i *Inspector) Unguarded(ctx context.Context) bool {
	ask := kmsg.NewPtrDescribeACLsRequest()
	ask.ResourceType, ask.ResourcePatternType = kmsg.ACLResourceTypeCluster, kmsg.ACLResourcePatternTypeLiteral
	ask.Operation, ask.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	res, err := ask.RequestWith(ctx, i.cl)
	return err == nil && errors.Is(kerr.ErrorForCode(res.ErrorCode), kerr.SecurityDisabled)
}

// settled asks until the coordinator that the answer is from has been found: a cluster's first group and its first transaction
// make a topic.
func settled[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	for attempt := 0; ; attempt++ {
		res, err := ask()
		passing := errors.Is(err, kerr.CoordinatorNotAvailable) || errors.Is(err, kerr.CoordinatorLoadInProgress) || errors.Is(err, kerr.NotCoordinator)
		if !passing || attempt >= coordinatorAttempts || sleep(ctx, backoff(attempt)) != nil {
			return res, err
		}
	}
}

// verdict is whether we have a right. The larger one counts.
type verdict int

const (
	has verdict = iota
	unknown
	hasNot
)

// answer is what was said of one resource.
type answer struct {
	there bool  // it exists
	seen  bool  // we may at least see it
	may   int32 // bits by Kafka's numbers of operations
}

// probe remembers what was asked before.
type probe struct {
	*Inspector
	cluster        Cluster
	topics, groups map[string]answer
}

func (p *probe) ask(ctx context.Context, r Right, name string) (verdict, error) {
	switch r.Kind {
	case KindCluster:
		return bit(p.cluster.may, r.Operation), nil
	case KindGroup:
		a, err := remember(p.groups, name, func() (answer, error) { return p.group(ctx, name) })
		if err != nil || !a.seen {
			return hasNot, err
		}
		return bit(a.may, r.Operation), nil
	case KindID:
		return p.id(ctx, name)
	}
	a, err := remember(p.topics, name, func() (answer, error) { return p.topic(ctx, name) })
	switch {
	case err != nil:
		return hasNot, err
	case r.Operation == "Create" && bit(p.cluster.may, "Create") == has:
		return has, nil
	case r.Operation == "Create" && !a.there:
		return p.create(ctx, name)
	case !a.seen:
		return hasNot, nil
	case !a.there:
		return unknown, nil
	}
	return bit(a.may, r.Operation), nil
}

func remember(in map[string]answer, name string, ask func() (answer, error)) (answer, error) {
	if a, ok := in[name]; ok {
		return a, nil
	}
	a, err := ask()
	if err == nil {
		in[name] = a
	}
	return a, err
}

// bit looks an operation up in what a broker says of a resource.
func bit(may int32, operation string) verdict {
	o, err := kmsg.ParseACLOperation(operation)
	switch {
	case err != nil, may == math.MinInt32: // it does not say
		return unknown
	case may&(1<<int32(o)) != 0:
		return has
	}
	return hasNot
}

func (p *probe) topic(ctx context.Context, name string) (answer, error) {
	ask := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(name)
	ask.Topics, ask.IncludeTopicAuthorizedOperations = append(ask.Topics, t), true
	res, err := ask.RequestWith(ctx, p.cl)
	if err != nil {
		return answer{}, p.fail("rights to topic "+name, err)
	}
	for _, t := range res.Topics {
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case err == nil:
			return answer{there: true, seen: true, may: t.AuthorizedOperations}, nil
		case errors.Is(err, kerr.TopicAuthorizationFailed):
			return answer{}, nil // it may or may not be there
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			return answer{seen: true}, nil
		default:
			return answer{}, p.fail("rights to topic "+name, err)
		}
	}
	return answer{}, nil
}

// create asks for a topic to be looked at as if it were to be made.
func (p *probe) create(ctx context.Context, name string) (verdict, error) {
	ask := kmsg.NewPtrCreateTopicsRequest()
	ask.ValidateOnly = true
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, 1, -1
	ask.Topics = append(ask.Topics, t)
	res, err := ask.RequestWith(ctx, p.cl)
	if err != nil {
		return unknown, p.fail("right to create topic "+name, err)
	}
	for _, t := range res.Topics {
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
			return hasNot, nil
		case err == nil, errors.Is(err, kerr.TopicAlreadyExists):
			return has, nil
		}
	}
	return unknown, nil // a policy of the cluster's, say
}

func (p *probe) group(ctx context.Context, name string) (answer, error) {
	ask := kmsg.NewPtrDescribeGroupsRequest()
	ask.Groups, ask.IncludeAuthorizedOperations = append(ask.Groups, name), true
	res, err := settled(ctx, func() (*kmsg.DescribeGroupsResponse, error) { return ask.RequestWith(ctx, p.cl) })
	if errors.Is(err, kerr.GroupAuthorizationFailed) {
		return answer{}, nil
	}
	if err != nil {
		return answer{}, p.fail("rights to group "+name, err)
	}
	if len(res.Groups) != 1 {
		return answer{}, nil
	}
	switch err := kerr.ErrorForCode(res.Groups[0].ErrorCode); {
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return answer{}, nil
	case err != nil && !errors.Is(err, kerr.GroupIDNotFound):
		return answer{}, p.fail("rights to group "+name, err)
	}
	return answer{there: true, seen: true, may: res.Groups[0].AuthorizedOperations}, nil
}

// id asks for the end of a transaction that there cannot be: no producer has that number.
func (p *probe) id(ctx context.Context, name string) (verdict, error) {
	ask := kmsg.NewPtrEndTxnRequest()
	ask.TransactionalID, ask.ProducerID = name, math.MaxInt64
	_, err := settled(ctx, func() (*kmsg.EndTxnResponse, error) {
		res, err := ask.RequestWith(ctx, p.cl)
		if err == nil {
			err = kerr.ErrorForCode(res.ErrorCode)
		}
		return res, err
	})
	switch {
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		return hasNot, nil
	case errors.Is(err, kerr.InvalidProducerIDMapping), errors.Is(err, kerr.InvalidProducerEpoch), errors.Is(err, kerr.ProducerFenced):
		return has, nil
	}
	return unknown, nil
}
