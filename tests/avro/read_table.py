"""Reads an Avro result topic to its end with Confluent's deserializer, and prints the newest value of each key.

    python read_table.py BROKERS TOPIC REGISTRY
"""

import datetime
import decimal
import json
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext


def plain(value):
    """Returns what JSON has no type for as Brotally's JSON has it."""
    if isinstance(value, decimal.Decimal):
        return int(value)
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    raise TypeError(f"{value!r} is of no type that a result has")


def text(record) -> str:
    return json.dumps(record, default=plain, ensure_ascii=False)


brokers, topic, registry = sys.argv[1:]
deserialize = AvroDeserializer(SchemaRegistryClient({"url": registry}))
consumer = Consumer(
    {"bootstrap.servers": brokers, "group.id": "unused", "enable.auto.commit": False, "isolation.level": "read_committed", "enable.partition.eof": True}
)
partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
table, ended = {}, set()
while len(ended) < len(partitions):
    message = consumer.poll(20)
    if message is None:
        raise RuntimeError(f"{topic} does not end")
    if message.error():
        ended.add(message.partition())  # the end of the partition is reported as an error
        continue
    key = text(deserialize(message.key(), SerializationContext(topic, MessageField.KEY)))
    value = deserialize(message.value(), SerializationContext(topic, MessageField.VALUE))
    if value is None:
        table.pop(key, None)
    else:
        table[key] = text(value)
consumer.close()
for key, value in table.items():
    print(key, value, sep="\t")
