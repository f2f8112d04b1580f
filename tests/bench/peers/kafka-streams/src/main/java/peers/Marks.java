package peers;

import java.util.concurrent.atomic.AtomicLong;

/** Tells the benchmark how far the worker is: a line at the first event and at every twentieth part of all. */
final class Marks {
    private static final long STEP = Math.max(1, Long.parseLong(System.getenv("EVENTS")) / 20);
    private static final AtomicLong DONE = new AtomicLong();
    private static volatile boolean started;

    private Marks() {}

    static void first() {
        if (!started) {
            started = true;
            print(1);
        }
    }

    static void done() {
        long done = DONE.incrementAndGet();
        if (done % STEP == 0) {
            print(done);
        }
    }

    private static void print(long done) {
        System.out.println("MARK " + done);
        System.out.flush();
    }
}
