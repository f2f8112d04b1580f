package peers;

import java.util.HashMap;
import java.util.Map;

/** The rules of tests/bench/peers_workload.py: points that decay with a half-life, in three groups with a maximum. */
final class Rules {
    static final int COUNT = 12;
    static final byte PAGE_VIEW = 0;
    static final byte BLOG = 11;
    static final String BLOG_PREFIX = "/blog/1";
    static final double ENTER = 50;
    static final double LEAVE = 35;
    static final double[] POINTS = {1, 10, 20, 40, 1, 5, 15, -30, 10, 20, -2, 3};
    static final int[] GROUP = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 0};
    static final double[] GROUP_MAX = {40, 30, 50};
    static final double[] DECAY_PER_MS = new double[COUNT];

    private static final double[] HALF_LIFE_DAYS = {30, 14, 30, 30, 30, 30, 30, 60, 30, 30, 30, 30};
    private static final String[] TYPES = {
        "website.page_view", "website.pricing_view", "website.form_submitted", "website.demo_requested",
        "email.open", "email.click", "email.reply", "email.unsubscribe",
        "webinar.registered", "webinar.attended", "webinar.left"
    };
    private static final Map<String, Byte> BY_TYPE = new HashMap<>();

    static {
        for (int rule = 0; rule < COUNT; rule++) {
            DECAY_PER_MS[rule] = Math.log(2) / (HALF_LIFE_DAYS[rule] * 86_400_000.0);
        }
        for (byte rule = 0; rule < TYPES.length; rule++) {
            String type = TYPES[rule];
            BY_TYPE.put(type, rule);
            BY_TYPE.put(type.substring(type.indexOf('.') + 1).toUpperCase(), rule); // the symbol in leadscore's schemas
        }
    }

    private Rules() {}

    /** The rule of an event type, or -1. */
    static byte of(String type) {
        return BY_TYPE.getOrDefault(type, (byte) -1);
    }
}
