"""The limit on dead letters: judged per topic, before anything of a batch is published, and across restarts."""

from leadscore.pipeline.match.dead_letter_limit import Counted, DeadLetterLimit, Tally

WEBSITE, WEBSITE_1, EMAIL = ("website", 0), ("website", 1), ("email", 0)


def limit() -> DeadLetterLimit:
    return DeadLetterLimit(max_ratio=0.5, min_records=100)


def batch(records: int, dead: int, first: int = 0) -> Counted:
    return Counted(Tally(records, dead), first, first + records)


def test_few_records_are_not_judged() -> None:
    assert limit().beyond({WEBSITE: batch(99, 99)}) == {}


def test_a_batch_that_takes_a_topic_beyond_the_limit_is_judged_with_what_came_before() -> None:
    counting = limit()
    counting.count({WEBSITE: batch(99, 99)})
    assert counting.beyond({WEBSITE: batch(1, 1, 99)}) == {"website": Tally(100, 100)}


def test_the_partitions_of_a_topic_are_judged_together_and_topics_apart() -> None:
    counting = limit()
    bad = {WEBSITE: batch(60, 60), WEBSITE_1: batch(60, 60), EMAIL: batch(500, 0)}
    assert counting.beyond(bad) == {"website": Tally(120, 120)}


def test_a_batch_in_order_stops_nothing_whatever_came_before() -> None:
    counting = limit()
    counting.begin(WEBSITE, "dead_letters=99/99")
    assert counting.beyond({WEBSITE: batch(50, 0)}) == {}


def test_the_next_process_counts_on_from_the_committed_offset() -> None:
    counting = limit()
    counting.count({WEBSITE: batch(40, 40)})
    counting.count({WEBSITE: batch(50, 50, 40)})
    assert counting.note(WEBSITE, 40) == "dead_letters=40/40"
    later = limit()
    later.begin(WEBSITE, counting.note(WEBSITE, 90))
    assert later.beyond({WEBSITE: batch(10, 10, 90)}) == {"website": Tally(100, 100)}


def test_metadata_of_others_counts_nothing() -> None:
    counting = limit()
    counting.begin(WEBSITE, "set by hand")
    assert counting.note(WEBSITE, 0) == "dead_letters=0/0"


def test_old_records_weigh_less() -> None:
    counting = limit()
    for index in range(5):
        counting.count({WEBSITE: batch(100, 0, 100 * index)})
    assert counting.note(WEBSITE, 500) == "dead_letters=0/250"


def test_partitions_that_went_to_another_worker_do_not_count() -> None:
    counting = limit()
    counting.count({WEBSITE: batch(99, 99)})
    counting.forget([WEBSITE])
    assert counting.beyond({WEBSITE_1: batch(10, 10)}) == {}
