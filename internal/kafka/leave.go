package kafka

import (
	"errors"

	"github.com/IBM/sarama"
)

// RemoveMember takes a static member out of its group, so that the others get its partitions at once instead of after the
// session timeout: a static member of Sarama's says nothing when it closes. A member that is not there is no error.
func (a *Admin) RemoveMember(group, instance string) error {
	return a.try("leave group "+group, func() error {
		res, err := a.admin.RemoveMemberFromConsumerGroup(group, []string{instance})
		if err != nil {
			return err
		}
		for _, m := range res.Members {
			if m.Err != sarama.ErrNoError && !errors.Is(m.Err, sarama.ErrUnknownMemberId) {
				return m.Err
			}
		}
		return nil
	}, onGroup("Read", group))
}
