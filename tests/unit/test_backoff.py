"""How long a worker waits before it tries a service again, and when the outage is over."""

from leadscore.errors import Unavailable
from leadscore.pipeline.backoff import FIRST_RETRY_S, LONGEST_RETRY_S, Backoff, jittered

OUTAGE = Unavailable("redis", "timeout", "no answer")


def first_try_after(failures: int) -> float:
    """When the first try is allowed after this many failures in a row, in steps of a millisecond."""
    backoff, now_s = Backoff(), 0.0
    for _ in range(failures):
        backoff.failed(now_s, OUTAGE, must_write=False)
    while not backoff.is_time(now_s):
        now_s += 0.001
    return now_s


def test_a_pause_is_half_of_its_length_to_all_of_it_and_not_always_the_same() -> None:
    pauses = [jittered(1.0) for _ in range(200)]
    assert all(0.5 <= pause_s < 1.0 for pause_s in pauses)
    assert max(pauses) - min(pauses) > 0.25


def test_the_pause_doubles_with_every_failure_up_to_a_limit() -> None:
    for failures in range(1, 10):
        longest_s = min(FIRST_RETRY_S * 2 ** (failures - 1), LONGEST_RETRY_S)
        assert longest_s / 2 <= first_try_after(failures) <= longest_s + 0.001


def test_an_outage_that_is_over_begins_with_a_short_pause_again() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.failed(0.0, OUTAGE, must_write=True)
    assert (backoff.outage, backoff.must_write) == (OUTAGE, True)
    backoff.over()
    assert (backoff.outage, backoff.must_write) == (None, False)
    backoff.failed(100.0, OUTAGE, must_write=False)
    assert backoff.is_time(100.0 + FIRST_RETRY_S)
