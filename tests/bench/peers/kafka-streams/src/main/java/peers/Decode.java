package peers;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.HashMap;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;

/** Avro behind the Confluent prefix to acts, keyed by lead. Records that are not Avro count as done. */
final class Decode implements Processor<String, byte[], String, Act> {
    private static final int PREFIX_BYTES = 5;

    private final Map<String, Schema> schemas;
    private final Map<String, Source> sources = new HashMap<>();
    private ProcessorContext<String, Act> context;
    private BinaryDecoder decoder;

    Decode(Map<String, Schema> schemas) {
        this.schemas = schemas;
    }

    @Override
    public void init(ProcessorContext<String, Act> context) {
        this.context = context;
    }

    @Override
    public void process(Record<String, byte[]> record) {
        Marks.first();
        byte[] value = record.value();
        if (value[0] != 0) {
            Marks.done();
            return;
        }
        GenericRecord event = read(sources.computeIfAbsent(context.recordMetadata().get().topic(), this::source), value);
        byte rule = Rules.of(event.get("type").toString());
        boolean blog = rule == Rules.PAGE_VIEW && startsWithBlog(event.get("path"));
        String lead = event.get("lead_id").toString();
        Act act = new Act(lead, event.get("event_id").toString(), (Long) event.get("occurred_at"), rule, blog);
        context.forward(record.withKey(lead).withValue(act));
    }

    private GenericRecord read(Source source, byte[] value) {
        try {
            decoder = DecoderFactory.get().binaryDecoder(value, PREFIX_BYTES, value.length - PREFIX_BYTES, decoder);
            source.reused = source.reader.read(source.reused, decoder);
            return source.reused;
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    private Source source(String topic) {
        return new Source(new GenericDatumReader<>(schemas.get(topic)));
    }

    private static boolean startsWithBlog(Object path) {
        return path != null && path.toString().startsWith(Rules.BLOG_PREFIX);
    }

    private static final class Source {
        final GenericDatumReader<GenericRecord> reader;
        GenericRecord reused;

        Source(GenericDatumReader<GenericRecord> reader) {
            this.reader = reader;
        }
    }
}
