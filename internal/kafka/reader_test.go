package kafka

import (
	"testing"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
)

func TestReaderSeesWhatWasCommitted(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(1)
		c.put(topic, "a=1", "b=", "c")
		tx := c.tx(c.name("tx"))
		tx.Send(topic, 0, []byte("d"), []byte("4"))
		if err := tx.Commit(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}
		tx.Send(topic, 0, []byte("e"), []byte("never"))
		if err := tx.Abort(); err != nil {
			t.Fatal(err)
		}
		tx.Send(topic, 0, []byte("f"), []byte("6"))
		if err := tx.Commit(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}

		r := c.reader(topic, sarama.OffsetOldest)
		var got rows
		done, err := r.Recover(t.Context(), got.take)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(rows{"a=1", "b=", "c", "d=4", "f=6"}, got); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
		if done.Records != 5 || done.Next != r.Position() || done.Next < 5 {
			t.Errorf("%+v, position %d", done, r.Position())
		}
	})
}
