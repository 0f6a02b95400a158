import java.time.Duration;
import java.util.List;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Keeps a copy of a Brotally table by reading its result topic, and prints it when nothing has changed for a while.
 *
 * <pre>java -cp 'kafka-clients.jar:slf4j-api.jar:..' ResultTable.java localhost:9092 dns_counts 3000</pre>
 */
public class ResultTable {
    public static void main(String[] args) {
        String brokers = args[0], topic = args[1];
        long idleMillis = args.length > 2 ? Long.parseLong(args[2]) : 3000;

        Properties config = new Properties();
        config.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        config.put(ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class);
        config.put(ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class);
        // Else values show that were rolled back.
        config.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");

        TreeMap<String, String> table = new TreeMap<>(); // key to the newest value
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(config)) {
            // No group: every reader wants all partitions, from the beginning.
            List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
                .map((PartitionInfo p) -> new TopicPartition(topic, p.partition())).toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            long last = System.currentTimeMillis();
            while (System.currentTimeMillis() - last < idleMillis) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                    last = System.currentTimeMillis();
                    if (record.value() == null) { // a tombstone: the row is gone
                        table.remove(record.key());
                    } else {
                        table.put(record.key(), record.value());
                    }
                }
            }
        }
        table.forEach((key, value) -> System.out.println(key + "\t" + value));
    }
}
