package kafka

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/IBM/sarama"
)

// Member is one member of a consumer group.
type Member struct {
	ID       string // as the coordinator named it
	Client   string // its client id
	Host     string // where it connects from
	Instance string // its static id, if it has one

	Claims map[string][]int32 // what it was given: partitions by topic; empty while the group is deciding that
}

// GroupInUse is returned when a group would have to be empty and is not.
type GroupInUse struct {
	Op      string
	Group   string
	Members []Member
	Err     error // what the coordinator said
}

func (e *GroupInUse) Error() string {
	hosts := make([]string, len(e.Members))
	for i, m := range e.Members {
		hosts[i] = m.Client + "@" + strings.TrimPrefix(m.Host, "/") // Java's way to write an address
	}
	noun := "instances"
	if len(hosts) == 1 {
		noun = "instance"
	}
	return fmt.Sprintf("%s: in use by %d %s (%s)", e.Op, len(e.Members), noun, strings.Join(hosts, ", "))
}

// Unwrap returns what the coordinator said.
func (e *GroupInUse) Unwrap() error { return e.Err }

// Groups returns the names of all consumer groups that we may see, sorted.
func (a *Admin) Groups() ([]string, error) {
	var names []string
	err := a.try("list groups", func() error {
		names = names[:0]
		found, err := a.admin.ListConsumerGroups()
		for n := range found {
			names = append(names, n)
		}
		if err == nil && len(a.client.Brokers()) == 0 { // whose groups would these be?
			err = sarama.ErrOutOfBrokers
		}
		return err
	})
	slices.Sort(names)
	return names, err
}

// GroupMembers returns who is in the group, sorted by id; nobody when there is no such group.
func (a *Admin) GroupMembers(group string) ([]Member, error) {
	var members []Member
	err := a.try("members of group "+group, func() error {
		members = members[:0]
		found, err := a.admin.DescribeConsumerGroups([]string{group})
		if err != nil {
			_ = a.client.RefreshCoordinator(group)
			return err
		}
		for _, g := range found {
			switch g.Err {
			case sarama.ErrNoError:
			case sarama.ErrGroupIDNotFound:
				continue
			default:
				_ = a.client.RefreshCoordinator(group)
				return g.Err
			}
			for id, m := range g.Members {
				x := Member{ID: id, Client: m.ClientId, Host: m.ClientHost}
				if m.GroupInstanceId != nil {
					x.Instance = *m.GroupInstanceId
				}
				if given, err := m.GetMemberAssignment(); err == nil && given != nil { // else it is not one of ours
					x.Claims = given.Topics
				}
				members = append(members, x)
			}
		}
		return nil
	}, onGroup("Describe", group))
	slices.SortFunc(members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return members, err
}

// Unread returns how many of the topic's partitions no member of the group has been given; 0 while the group is deciding that,
// or has no members. It asks once: whoever wants to know looks again.
func (a *Admin) Unread(group, topic string) (int, error) {
	op := "share out " + topic
	if err := a.client.RefreshMetadata(topic); err != nil {
		return 0, a.Fail(op, err, onTopic("Describe", topic))
	}
	partitions, err := a.client.Partitions(topic)
	if err != nil {
		return 0, a.Fail(op, err, onTopic("Describe", topic))
	}
	found, err := a.admin.DescribeConsumerGroups([]string{group})
	if err == nil && len(found) == 1 && found[0].Err != sarama.ErrNoError {
		err = found[0].Err
	}
	if err != nil {
		_ = a.client.RefreshCoordinator(group)
		return 0, a.Fail(op, err, onGroup("Describe", group))
	}
	if len(found) != 1 || found[0].State != "Stable" {
		return 0, nil
	}
	unread := len(partitions)
	for _, m := range found[0].Members {
		given, err := m.GetMemberAssignment()
		if err != nil {
			return 0, a.Fail(op, err, onGroup("Describe", group))
		}
		if given != nil {
			unread -= len(given.Topics[topic])
		}
	}
	return max(unread, 0), nil
}

// DeleteGroups deletes those of the groups that exist, with their offsets; *[GroupInUse] for one that has members.
func (a *Admin) DeleteGroups(groups ...string) error {
	for _, g := range groups {
		op := "delete group " + g
		err := a.try(op, func() error {
			err := a.admin.DeleteConsumerGroup(g)
			if errors.Is(err, sarama.ErrGroupIDNotFound) {
				return nil
			}
			return err
		}, onGroup("Delete", g))
		if errors.Is(err, sarama.ErrNonEmptyGroup) {
			return a.inUse(op, g, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inUse says who uses the group.
func (a *Admin) inUse(op, group string, cause error) error {
	members, err := a.GroupMembers(group)
	if err != nil {
		return errors.Join(cause, err)
	}
	return &GroupInUse{Op: op, Group: group, Members: members, Err: cause}
}
