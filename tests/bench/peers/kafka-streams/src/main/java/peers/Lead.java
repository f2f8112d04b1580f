package peers;

import java.nio.ByteBuffer;
import java.util.Arrays;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** The state of a lead: points per rule, whether it is in, and the last event ids. */
final class Lead {
    static final int KEPT_IDS = 64;
    static final Serde<Lead> SERDE = Serdes.serdeFrom(
            (topic, lead) -> lead == null ? null : lead.encode(), (topic, value) -> value == null ? null : decode(value));

    long latest;
    boolean in;

    private int used; // bit r: rule r has points
    private final double[] points = new double[Rules.COUNT];
    private final long[] asOf = new long[Rules.COUNT];
    private long[] ids = new long[8];
    private int idCount;

    double score() {
        double[] groups = new double[Rules.GROUP_MAX.length];
        for (int rule = 0; rule < Rules.COUNT; rule++) {
            if (has(rule)) {
                groups[Rules.GROUP[rule]] += points[rule] * Math.exp(Rules.DECAY_PER_MS[rule] * (asOf[rule] - latest));
            }
        }
        double score = 0;
        for (int group = 0; group < groups.length; group++) {
            score += Math.min(groups[group], Rules.GROUP_MAX[group]);
        }
        return Math.max(0, Math.min(100, score));
    }

    void add(int rule, long at) {
        double more = Rules.POINTS[rule];
        double decay = Rules.DECAY_PER_MS[rule];
        if (!has(rule)) {
            used |= 1 << rule;
            points[rule] = more;
            asOf[rule] = at;
        } else if (at >= asOf[rule]) {
            points[rule] = points[rule] * Math.exp(decay * (asOf[rule] - at)) + more;
            asOf[rule] = at;
        } else {
            points[rule] += more * Math.exp(decay * (at - asOf[rule]));
        }
    }

    /** False for an id that is among the last ones. */
    boolean remember(long id) {
        for (int i = 0; i < idCount; i++) {
            if (ids[i] == id) {
                return false;
            }
        }
        if (idCount == ids.length && idCount < KEPT_IDS) {
            ids = Arrays.copyOf(ids, Math.min(KEPT_IDS, idCount * 2));
        }
        if (idCount == KEPT_IDS) {
            System.arraycopy(ids, 1, ids, 0, KEPT_IDS - 1);
            idCount--;
        }
        ids[idCount++] = id;
        return true;
    }

    private boolean has(int rule) {
        return (used >> rule & 1) != 0;
    }

    private byte[] encode() {
        ByteBuffer to = ByteBuffer.allocate(12 + 16 * Integer.bitCount(used) + 8 * idCount);
        to.putLong(latest).put((byte) (in ? 1 : 0)).putShort((short) used).put((byte) idCount);
        for (int rule = 0; rule < Rules.COUNT; rule++) {
            if (has(rule)) {
                to.putDouble(points[rule]).putLong(asOf[rule]);
            }
        }
        for (int i = 0; i < idCount; i++) {
            to.putLong(ids[i]);
        }
        return to.array();
    }

    private static Lead decode(byte[] value) {
        ByteBuffer from = ByteBuffer.wrap(value);
        Lead lead = new Lead();
        lead.latest = from.getLong();
        lead.in = from.get() == 1;
        lead.used = from.getShort();
        lead.idCount = from.get();
        for (int rule = 0; rule < Rules.COUNT; rule++) {
            if (lead.has(rule)) {
                lead.points[rule] = from.getDouble();
                lead.asOf[rule] = from.getLong();
            }
        }
        lead.ids = new long[Math.min(KEPT_IDS, Math.max(8, lead.idCount + 1))];
        for (int i = 0; i < lead.idCount; i++) {
            lead.ids[i] = from.getLong();
        }
        return lead;
    }
}
