package peers;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.nio.ByteBuffer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** What scoring needs of an event: this goes through the repartition topic. {@code rule} is -1 where there is none. */
record Act(String lead, String eventId, long occurredAt, byte rule, boolean blog) {
    static final Serde<Act> SERDE = Serdes.serdeFrom((topic, act) -> act.encode(), (topic, value) -> decode(value));

    private byte[] encode() {
        byte[] leadBytes = lead.getBytes(UTF_8);
        byte[] idBytes = eventId.getBytes(UTF_8);
        return ByteBuffer.allocate(14 + leadBytes.length + idBytes.length)
                .putLong(occurredAt)
                .put(rule)
                .put((byte) (blog ? 1 : 0))
                .putShort((short) leadBytes.length)
                .put(leadBytes)
                .putShort((short) idBytes.length)
                .put(idBytes)
                .array();
    }

    private static Act decode(byte[] value) {
        ByteBuffer from = ByteBuffer.wrap(value);
        long occurredAt = from.getLong();
        byte rule = from.get();
        boolean blog = from.get() == 1;
        return new Act(text(from), text(from), occurredAt, rule, blog);
    }

    private static String text(ByteBuffer from) {
        byte[] bytes = new byte[from.getShort()];
        from.get(bytes);
        return new String(bytes, UTF_8);
    }
}
