package peers;

import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.avro.Schema;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * Lead scoring as it would be written with Kafka Streams: the source topics decoded and repartitioned by lead, a RocksDB
 * store of leads with its changelog topic, one record per crossing. One stream thread.
 *
 * <p>Settings are the defaults, but for those in {@code SETTINGS} (one {@code name=value} per line) and {@code CACHE}.
 */
public final class Worker {
    private static final int PARTITIONS = 6;

    private Worker() {}

    public static void main(String[] arguments) throws InterruptedException, IOException {
        KafkaStreams streams = new KafkaStreams(topology(schemas()), settings());
        CountDownLatch closed = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close(Duration.ofSeconds(30));
            closed.countDown();
        }));
        streams.start();
        closed.await();
    }

    private static Topology topology(Map<String, Schema> schemas) {
        StreamsBuilder builder = new StreamsBuilder();
        StoreBuilder<KeyValueStore<String, Lead>> leads = Stores.keyValueStoreBuilder(
                Stores.persistentKeyValueStore(Score.STORE), Serdes.String(), Lead.SERDE);
        builder.addStateStore("1".equals(System.getenv("CACHE")) ? leads.withCachingEnabled() : leads);
        builder.stream(schemas.keySet(), Consumed.with(Serdes.String(), Serdes.ByteArray()))
                .process(() -> new Decode(schemas))
                .repartition(Repartitioned.with(Serdes.String(), Act.SERDE)
                        .withName("by-lead")
                        .withNumberOfPartitions(PARTITIONS))
                .process(Score::new, Score.STORE)
                .to(System.getenv("CROSSINGS"), Produced.with(Serdes.String(), Serdes.String()));
        return builder.build();
    }

    private static Properties settings() throws IOException {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, System.getenv("GROUP"));
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, System.getenv("KAFKA"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, System.getenv("STATE_DIR"));
        settings.put("auto.offset.reset", "earliest");
        settings.load(new StringReader(System.getenv().getOrDefault("SETTINGS", "")));
        return settings;
    }

    /** The schema of each source topic: TOPICS and SCHEMAS (files) are in the same order. */
    private static Map<String, Schema> schemas() throws IOException {
        String[] topics = System.getenv("TOPICS").split(",");
        String[] files = System.getenv("SCHEMAS").split(",");
        Map<String, Schema> schemas = new HashMap<>();
        for (int i = 0; i < topics.length; i++) {
            schemas.put(topics[i], new Schema.Parser().parse(Files.readString(Path.of(files[i]))));
        }
        return schemas;
    }
}
