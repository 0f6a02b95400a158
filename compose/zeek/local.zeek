# What Zeek sends to Kafka: one topic a log, plain JSON, for Brotally and everybody else.
#
# The plugin reads the global kafka_conf alone; a filter's $config may name a topic and nothing else. What does not reach the
# brokers shows in reporter.log, which is therefore not sent there.

@load base/frameworks/logging
@load Seiso/Kafka

redef Kafka::topic_name = "";    # each log to the topic called like its path: dns, conn, http, ..
redef Kafka::logs_to_send = set(DNS::LOG, Conn::LOG, HTTP::LOG, SSL::LOG, X509::LOG, Files::LOG, SMTP::LOG);
redef Kafka::tag_json = F;
redef Kafka::json_timestamps = JSON::TS_EPOCH;
redef Kafka::max_wait_on_shutdown = 10000;
redef Kafka::kafka_conf = table(
    ["metadata.broker.list"] = getenv("KAFKA_BROKERS") == "" ? "kafka:9092" : getenv("KAFKA_BROKERS"),
    ["client.id"] = "zeek",
    ["compression.codec"] = "lz4",
    ["enable.idempotence"] = "true",
    ["linger.ms"] = "50"
);

# Nothing goes to files: the container may write to memory alone.
redef Log::default_writer = Log::WRITER_NONE;

# What is in the office is local, or conn's local_orig and local_resp stay empty.
redef Site::local_nets += { 10.0.0.0/8 };

# A connection is over when nothing came for so long; the defaults are for a real network.
redef udp_inactivity_timeout = 10 secs;

# Bro 2.5 and 2.6, with the plugin as it was called then, in local.bro:
#
#   @load Apache/Kafka/logs-to-kafka.bro           # older still: @load Bro/Kafka/logs-to-kafka.bro
#   redef Kafka::topic_name = "";
#   redef Kafka::logs_to_send = set(DNS::LOG, Conn::LOG, HTTP::LOG);
#   redef Kafka::tag_json = F;
#   redef Kafka::kafka_conf = table(["metadata.broker.list"] = "kafka:9092");
