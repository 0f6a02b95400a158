import io.apicurio.registry.serde.avro.AvroKafkaDeserializer;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.avro.Conversions;
import org.apache.avro.LogicalType;
import org.apache.avro.LogicalTypes;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;

/** Reads an Avro result topic to its end with Apicurio's deserializer, and prints the newest value of each key. */
public class ReadTable {
    public static void main(String[] args) {
        String brokers = args[0], topic = args[1], registry = args[2];
        Properties config = new Properties();
        config.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        config.put(ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, AvroKafkaDeserializer.class);
        config.put(ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, AvroKafkaDeserializer.class);
        config.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
        config.put("apicurio.registry.url", registry);

        Map<String, String> table = new TreeMap<>();
        try (KafkaConsumer<GenericRecord, GenericRecord> consumer = new KafkaConsumer<>(config)) {
            List<TopicPartition> partitions = consumer.partitionsFor(topic).stream().map(p -> new TopicPartition(topic, p.partition())).toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
                for (ConsumerRecord<GenericRecord, GenericRecord> record : consumer.poll(Duration.ofMillis(200))) {
                    String key = json(record.key(), record.key().getSchema());
                    if (record.value() == null) {
                        table.remove(key);
                    } else {
                        table.put(key, json(record.value(), record.value().getSchema()));
                    }
                }
            }
        }
        table.forEach((key, value) -> System.out.println(key + "\t" + value));
    }

    /** Returns a value as Brotally's JSON has it. */
    static String json(Object value, Schema schema) {
        if (value == null) {
            return "null";
        }
        if (schema.getType() == Schema.Type.UNION) {
            schema = schema.getTypes().stream().filter(s -> s.getType() != Schema.Type.NULL).findFirst().get();
        }
        LogicalType logical = schema.getLogicalType();
        if (logical instanceof LogicalTypes.Decimal) {
            return new Conversions.DecimalConversion().fromBytes((ByteBuffer) value, schema, logical).toPlainString();
        }
        if (logical instanceof LogicalTypes.TimestampMicros) {
            Instant at = Instant.EPOCH.plus((Long) value, ChronoUnit.MICROS);
            return quoted(DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'").format(at.atOffset(ZoneOffset.UTC)));
        }
        List<String> parts = new ArrayList<>();
        switch (schema.getType()) {
            case RECORD:
                for (Schema.Field f : schema.getFields()) {
                    parts.add(quoted(f.name()) + ":" + json(((GenericRecord) value).get(f.pos()), f.schema()));
                }
                return "{" + String.join(",", parts) + "}";
            case ARRAY:
                for (Object element : (Collection<?>) value) {
                    parts.add(json(element, schema.getElementType()));
                }
                return "[" + String.join(",", parts) + "]";
            case STRING:
                return quoted(value.toString());
            default:
                return value.toString();
        }
    }

    static String quoted(String text) {
        StringBuilder b = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            b.append(c == '"' || c == '\\' || c < 0x20 ? String.format("\\u%04x", (int) c) : String.valueOf(c));
        }
        return b.append('"').toString();
    }
}
