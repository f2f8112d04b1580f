package peers;

import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/** Adds an act to its lead's points and forwards a record where the lead crosses. */
final class Score implements Processor<String, Act, String, String> {
    static final String STORE = "leads";

    private ProcessorContext<String, String> context;
    private KeyValueStore<String, Lead> store;

    @Override
    public void init(ProcessorContext<String, String> context) {
        this.context = context;
        this.store = context.getStateStore(STORE);
    }

    @Override
    public void process(Record<String, Act> record) {
        Act act = record.value();
        Lead lead = store.get(act.lead());
        if (lead == null) {
            lead = new Lead();
        }
        if (lead.remember(number(act.eventId()))) {
            String crossing = fold(lead, act);
            store.put(act.lead(), lead);
            if (crossing != null) {
                context.forward(record.withValue(crossing));
            }
        }
        Marks.done();
    }

    private static String fold(Lead lead, Act act) {
        lead.latest = Math.max(lead.latest, act.occurredAt());
        double before = lead.score();
        String crossing = null;
        if (lead.in && before < Rules.LEAVE) {
            lead.in = false;
            crossing = json(lead, act, "leave", before);
        }
        if (act.rule() >= 0) {
            lead.add(act.rule(), act.occurredAt());
            if (act.blog()) {
                lead.add(Rules.BLOG, act.occurredAt());
            }
        }
        double after = lead.score();
        if (!lead.in && after > before && after >= Rules.ENTER) {
            lead.in = true;
            crossing = json(lead, act, "enter", after);
        } else if (lead.in && after < Rules.LEAVE) {
            lead.in = false;
            crossing = json(lead, act, "leave", after);
        }
        return crossing;
    }

    /** Sixty-four bits of a UUID. */
    private static long number(String id) {
        return Long.parseUnsignedLong(id.substring(0, 8) + id.substring(9, 13) + id.substring(14, 18), 16);
    }

    private static String json(Lead lead, Act act, String direction, double score) {
        return "{\"lead_id\":\"" + act.lead() + "\",\"event_id\":\"" + act.eventId() + "\",\"direction\":\"" + direction
                + "\",\"score\":" + score + ",\"at\":" + lead.latest + "}";
    }
}
