"""What every store must do: one function per promise. They run against the fake and against every real server."""

from collections.abc import Callable
from dataclasses import dataclass

from leadscore.store.shard import DueLook, LeadWrite, ScanPlace, ShardWrite, Store, StoredShard
from leadscore.time_units import DAY_MS

SHARDS = 8
EMPTY = StoredShard(fence=None, outbox={}, erased={})
EVERY_BYTE = bytes(range(256))


@dataclass(frozen=True, slots=True)
class Subject:
    """An empty store of ``SHARDS`` shards, and a look at a lead's time to live, which the store itself never tells."""

    store: Store
    ttl_ms_of: Callable[[int, str], int | None]


def lead(state: bytes, ttl_ms: int | None = None) -> LeadWrite:
    """A lead's new state."""
    return LeadWrite(state, ttl_ms)


def everything(shard: int, expected: bytes | None, fence: bytes) -> ShardWrite:
    """A write that touches all a shard has."""
    return ShardWrite(
        shard=shard,
        expected=expected,
        fence=fence,
        leads={"L1": lead(b"one by " + fence), "L2": lead(b"two by " + fence, DAY_MS)},
        outbox={41: b"crossings by " + fence},
        due={"L1": 1_000},
        erased={b"hash": b"memory by " + fence},
    )


def whole_shard(store: Store, shard: int) -> tuple[StoredShard, list[bytes | None], DueLook]:
    """All that the store tells about a shard and the leads ``L1`` and ``L2``."""
    stored = store.read_shards([shard])[shard]
    return stored, store.read_leads({shard: ["L1", "L2"]})[shard], store.look_at_due([shard], DAY_MS, 10)[shard]


def an_empty_store_has_nothing(subject: Subject) -> None:
    store = subject.store
    assert store.read_shards([0, 5]) == {0: EMPTY, 5: EMPTY}
    assert store.read_leads({0: ["L1"], 5: []}) == {0: [None], 5: []}
    assert store.look_at_due([0], DAY_MS, 10) == {0: DueLook(None, [])}
    assert store.due_all(0).lead_ids == []
    assert store.due_all(0).next_cursor is None


def what_is_written_is_read(subject: Subject) -> None:
    store = subject.store
    assert store.write([everything(3, None, b"f1")]) == {3: b"f1"}
    assert whole_shard(store, 3) == (
        StoredShard(b"f1", {41: b"crossings by f1"}, {b"hash": b"memory by f1"}),
        [b"one by f1", b"two by f1"],
        DueLook(b"f1", ["L1"]),
    )


def shards_are_apart(subject: Subject) -> None:
    store = subject.store
    store.write([everything(1, None, b"f1"), everything(2, None, b"g1")])
    assert store.write([everything(1, b"f1", b"f2"), everything(2, b"other", b"g2")]) == {1: b"f2", 2: b"g1"}
    assert store.read_leads({2: ["L1"], 1: ["L1"], 0: ["L1"]}) == {2: [b"one by g1"], 1: [b"one by f2"], 0: [None]}
    assert store.read_shards([0]) == {0: EMPTY}


def a_write_with_another_fence_changes_nothing(subject: Subject) -> None:
    store = subject.store
    store.write([everything(0, None, b"f1")])
    before = whole_shard(store, 0)
    for expected in (None, b"f0", b"f", b"f11"):
        assert store.write([everything(0, expected, b"f2")]) == {0: b"f1"}
        assert whole_shard(store, 0) == before


def a_write_that_expects_a_fence_changes_nothing_where_none_is(subject: Subject) -> None:
    store = subject.store
    assert store.write([everything(0, b"f1", b"f2")]) == {0: None}
    assert whole_shard(store, 0) == (EMPTY, [None, None], DueLook(None, []))


def a_repeated_write_changes_nothing_more(subject: Subject) -> None:
    store = subject.store
    for _ in range(3):
        assert store.write([everything(0, None, b"f1")]) == {0: b"f1"}
    once = whole_shard(store, 0)
    assert store.write([everything(0, b"f1", b"f2")]) == {0: b"f2"}
    twice = whole_shard(store, 0)
    assert store.write([everything(0, b"f1", b"f2")]) == {0: b"f2"}
    assert whole_shard(store, 0) == twice
    assert once != twice


def a_zombies_late_write_changes_nothing(subject: Subject) -> None:
    store = subject.store
    late = everything(0, None, b"f1")
    store.write([late])
    store.write([everything(0, b"f1", b"f2")])
    before = whole_shard(store, 0)
    assert store.write([late]) == {0: b"f2"}
    assert whole_shard(store, 0) == before


def a_time_to_live_is_set_and_cleared(subject: Subject) -> None:
    store, ttl_ms_of = subject.store, subject.ttl_ms_of
    store.write([ShardWrite(shard=0, expected=None, fence=b"f1", leads={"L1": lead(b"a", DAY_MS), "L2": lead(b"b")})])
    assert DAY_MS - 60_000 < (ttl_ms_of(0, "L1") or 0) <= DAY_MS
    assert ttl_ms_of(0, "L2") is None
    store.write([ShardWrite(shard=0, expected=b"f1", fence=b"f2", leads={"L1": lead(b"a"), "L2": lead(b"b", DAY_MS)})])
    assert ttl_ms_of(0, "L1") is None
    assert DAY_MS - 60_000 < (ttl_ms_of(0, "L2") or 0) <= DAY_MS
    assert store.read_leads({0: ["L1", "L2"]}) == {0: [b"a", b"b"]}


def a_state_of_none_deletes_the_lead(subject: Subject) -> None:
    store = subject.store
    store.write([everything(0, None, b"f1")])
    gone = {"L1": LeadWrite(None, None), "L2": LeadWrite(None, DAY_MS), "never seen": LeadWrite(None, None)}
    assert store.write([ShardWrite(shard=0, expected=b"f1", fence=b"f2", leads=gone)]) == {0: b"f2"}
    assert store.read_leads({0: ["L1", "L2", "never seen"]}) == {0: [None, None, None]}


def the_outbox_grows_and_is_dropped(subject: Subject) -> None:
    store = subject.store
    store.write([ShardWrite(shard=0, expected=None, fence=b"f1", outbox={7: b"a", 2**53: b"b"})])
    assert store.read_shards([0])[0].outbox == {7: b"a", 2**53: b"b"}
    store.write([ShardWrite(shard=0, expected=b"f1", fence=b"f2", outbox={8: b"c"}, outbox_drop=[7, 99])])
    assert store.read_shards([0])[0].outbox == {2**53: b"b", 8: b"c"}


def due_leads_come_most_overdue_first(subject: Subject) -> None:
    store = subject.store
    due = {"late": 3_000, "early": 1_000, "b": 2_000, "a": 2_000, "future": 3_001}
    store.write([ShardWrite(shard=0, expected=None, fence=b"f1", due=due)])
    assert store.look_at_due([0, 1], 3_000, 10) == {
        0: DueLook(b"f1", ["early", "a", "b", "late"]),
        1: DueLook(None, []),
    }
    assert store.look_at_due([0], 3_000, 2) == {0: DueLook(b"f1", ["early", "a"])}
    assert store.look_at_due([0], 999, 2) == {0: DueLook(b"f1", [])}


def due_times_move_and_vanish(subject: Subject) -> None:
    store = subject.store
    store.write([ShardWrite(shard=0, expected=None, fence=b"f1", due={"L1": 1_000, "L2": 2_000, "L3": 3_000})])
    moved = {"L1": 4_000, "L2": None, "never due": None}
    store.write([ShardWrite(shard=0, expected=b"f1", fence=b"f2", due=moved)])
    assert store.look_at_due([0], DAY_MS, 10)[0].lead_ids == ["L3", "L1"]


def all_due_leads_come_page_by_page(subject: Subject) -> None:
    store = subject.store
    due: dict[str, int | None] = {f"lead-{number}": 1_000 + number for number in range(2_500)}
    store.write([ShardWrite(shard=0, expected=None, fence=b"f1", due=due)])
    lead_ids: set[str] = set()
    page = store.due_all(0)
    pages = 1
    while page.next_cursor is not None:
        lead_ids.update(page.lead_ids)
        page = store.due_all(0, page.next_cursor)
        pages += 1
    lead_ids.update(page.lead_ids)
    assert lead_ids == set(due)
    assert pages > 1


def every_lead_is_found_by_a_scan(subject: Subject) -> None:
    store = subject.store
    assert scanned(store)[0] == {}
    odd = ["", ":fence", "/", "}/", "{x}", "müller@例え.jp", "*", "\0"]
    leads = {shard: {f"lead-{shard}-{number}" for number in range(700)} | set(odd) for shard in (0, 3, 7)}
    for shard, lead_ids in leads.items():
        states = {lead_id: lead(b"x") for lead_id in lead_ids}
        store.write([everything(shard, None, b"f1")])
        store.write([ShardWrite(shard=shard, expected=b"f1", fence=b"f2", leads=states)])
    scanned_ids, pages = scanned(store)
    assert scanned_ids == {shard: lead_ids | {"L1", "L2"} for shard, lead_ids in leads.items()}
    assert pages > 1


def scanned(store: Store) -> tuple[dict[int, set[str]], int]:
    """All leads by shard, and the number of pages it took."""
    by_shard: dict[int, set[str]] = {}
    place: ScanPlace | None = ScanPlace()
    pages = 0
    while place is not None:
        page = store.scan_leads(place)
        for shard, lead_ids in page.lead_ids.items():
            by_shard.setdefault(shard, set()).update(lead_ids)
        place = page.next_place
        pages += 1
    return by_shard, pages


def erasures_are_remembered_and_forgotten(subject: Subject) -> None:
    store = subject.store
    store.write([ShardWrite(shard=0, expected=None, fence=b"f1", erased={b"a": b"1", EVERY_BYTE: EVERY_BYTE})])
    assert store.read_shards([0])[0].erased == {b"a": b"1", EVERY_BYTE: EVERY_BYTE}
    store.write([ShardWrite(shard=0, expected=b"f1", fence=b"f2", erased={b"a": None, b"b": b"2", b"c": None})])
    assert store.read_shards([0])[0].erased == {EVERY_BYTE: EVERY_BYTE, b"b": b"2"}


def lead_ids_may_be_any_text(subject: Subject) -> None:
    store = subject.store
    lead_ids = ["", " ", ":fence", "/", "{x}", "}", "a b\r\n", "müller@例え.jp", "🦉" * 50, "\0", "0", "-1"]
    states = {lead_id: lead(str(number).encode()) for number, lead_id in enumerate(lead_ids)}
    due: dict[str, int | None] = {lead_id: number for number, lead_id in enumerate(lead_ids)}
    store.write([ShardWrite(shard=0, expected=None, fence=b"f1", leads=states, due=due)])
    assert store.read_leads({0: lead_ids})[0] == [str(number).encode() for number in range(len(lead_ids))]
    assert store.look_at_due([0], DAY_MS, 100) == {0: DueLook(b"f1", lead_ids)}
    assert set(store.due_all(0).lead_ids) == set(lead_ids)


def any_bytes_come_back_unchanged(subject: Subject) -> None:
    store = subject.store
    fence = b"\x01" + EVERY_BYTE
    states = {"L1": lead(EVERY_BYTE), "L2": lead(b""), "L3": lead(b"\r\n$-1\r\n"), "L4": lead(EVERY_BYTE * 400)}
    write = ShardWrite(shard=0, expected=None, fence=fence, leads=states, outbox={1: EVERY_BYTE})
    assert store.write([write]) == {0: fence}
    assert store.read_leads({0: list(states)})[0] == [lead_write.state for lead_write in states.values()]
    assert store.read_shards([0])[0] == StoredShard(fence, {1: EVERY_BYTE}, {})
    assert store.write([ShardWrite(shard=0, expected=fence, fence=fence + b"\0")]) == {0: fence + b"\0"}


def a_write_of_5000_leads_is_one(subject: Subject) -> None:
    store = subject.store
    lead_ids = [f"lead-{number}" for number in range(5_000)]
    write = ShardWrite(
        shard=0,
        expected=None,
        fence=b"f1",
        leads={lead_id: lead(lead_id.encode()) for lead_id in lead_ids},
        outbox=dict.fromkeys(range(5000), b"crossing"),
        due={lead_id: number for number, lead_id in enumerate(lead_ids)},
        erased={lead_id.encode(): b"memory" for lead_id in lead_ids},
    )
    assert store.write([write]) == {0: b"f1"}
    assert store.read_leads({0: lead_ids})[0] == [lead_id.encode() for lead_id in lead_ids]
    assert store.look_at_due([0], DAY_MS, 9_999)[0].lead_ids == lead_ids
    assert len(store.read_shards([0])[0].outbox) == 5_000
    assert len(store.read_shards([0])[0].erased) == 5_000
    removal = ShardWrite(
        shard=0,
        expected=b"f1",
        fence=b"f2",
        leads={lead_id: LeadWrite(None, None) for lead_id in lead_ids},
        outbox_drop=range(5_000),
        due=dict.fromkeys(lead_ids),
        erased={lead_id.encode(): None for lead_id in lead_ids},
    )
    assert store.write([removal]) == {0: b"f2"}
    assert store.read_leads({0: lead_ids})[0] == [None] * 5_000
    assert store.read_shards([0])[0] == StoredShard(b"f2", {}, {})
    assert store.look_at_due([0], DAY_MS, 9_999)[0].lead_ids == []


def a_fence_is_replaced_only_where_it_is_the_expected_one(subject: Subject) -> None:
    store = subject.store
    store.write([everything(0, None, b"f1")])
    stored, leads, due = whole_shard(store, 0)
    assert store.write([ShardWrite(shard=0, expected=b"f0", fence=b"f9")]) == {0: b"f1"}
    assert store.write([ShardWrite(shard=0, expected=b"f1", fence=b"f9")]) == {0: b"f9"}
    accepted = StoredShard(b"f9", stored.outbox, stored.erased)
    assert whole_shard(store, 0) == (accepted, leads, DueLook(b"f9", due.lead_ids))


def a_write_may_keep_the_fence(subject: Subject) -> None:
    store = subject.store
    store.write([everything(0, None, b"f1")])
    assert store.write([ShardWrite(shard=0, expected=b"f1", fence=b"f1", outbox_drop=[41])]) == {0: b"f1"}
    assert store.read_shards([0])[0].outbox == {}


def nothing_asked_is_nothing_answered(subject: Subject) -> None:
    store = subject.store
    assert store.read_shards([]) == {}
    assert store.read_leads({}) == {}
    assert store.write([]) == {}
    assert store.look_at_due([], DAY_MS, 10) == {}


def a_store_may_be_used_after_it_was_closed(subject: Subject) -> None:
    store = subject.store
    store.write([everything(0, None, b"f1")])
    store.close()
    assert store.read_shards([0])[0].fence == b"f1"


def the_first_owner_of_a_prefix_stays(subject: Subject) -> None:
    store = subject.store
    first, second = store.claim(b"one"), store.claim(b"another")
    assert (first.owner, second.owner) == (b"one", b"one")
    assert first.key == second.key
    assert store.read_shards(list(range(SHARDS))) == dict.fromkeys(range(SHARDS), EMPTY)
    assert store.scan_leads().lead_ids == {}


CONTRACT: tuple[Callable[[Subject], None], ...] = (
    an_empty_store_has_nothing,
    what_is_written_is_read,
    shards_are_apart,
    a_write_with_another_fence_changes_nothing,
    a_write_that_expects_a_fence_changes_nothing_where_none_is,
    a_repeated_write_changes_nothing_more,
    a_zombies_late_write_changes_nothing,
    a_time_to_live_is_set_and_cleared,
    a_state_of_none_deletes_the_lead,
    the_outbox_grows_and_is_dropped,
    due_leads_come_most_overdue_first,
    due_times_move_and_vanish,
    all_due_leads_come_page_by_page,
    every_lead_is_found_by_a_scan,
    erasures_are_remembered_and_forgotten,
    lead_ids_may_be_any_text,
    any_bytes_come_back_unchanged,
    a_write_of_5000_leads_is_one,
    a_fence_is_replaced_only_where_it_is_the_expected_one,
    a_write_may_keep_the_fence,
    nothing_asked_is_nothing_answered,
    the_first_owner_of_a_prefix_stays,
    a_store_may_be_used_after_it_was_closed,
)
