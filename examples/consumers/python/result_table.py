"""Keeps a copy of a Brotally table by reading its result topic, and prints it when nothing has changed for a while.

    pip install confluent-kafka==2.12.1
    python result_table.py localhost:9092 dns_counts
"""

import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition


def read_table(brokers: str, topic: str, idle_seconds: float = 3.0) -> dict[str, str]:
    """Returns the table: the newest value of each key, as text."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "unused",  # the client wants one; nothing is committed under it
            "enable.auto.commit": False,
            "isolation.level": "read_committed",  # else values show that were rolled back
        }
    )
    # No subscription: every reader wants all partitions, from the beginning.
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
    table: dict[str, str] = {}
    while (message := consumer.poll(idle_seconds)) is not None:
        if message.error():
            raise RuntimeError(message.error())
        key = message.key().decode()
        if message.value() is None:  # a tombstone: the row is gone
            table.pop(key, None)
        else:
            table[key] = message.value().decode()
    consumer.close()
    return table


if __name__ == "__main__":
    for key, value in sorted(read_table(sys.argv[1], sys.argv[2]).items()):
        print(key, value, sep="\t")
