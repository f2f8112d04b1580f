"""Keys: one slot per shard, shards spread evenly, nothing collides."""

from itertools import product

import pytest
from redis.crc import key_slot

from leadscore.errors import ConfigError
from leadscore.store.keys import SLOTS, ShardKeys, shard_tags, slot_of


def all_keys(keys: ShardKeys, lead_ids: list[str]) -> list[str]:
    return [keys.fence, keys.outbox, keys.due, keys.erased, *map(keys.lead, lead_ids)]


def shards_per_master(shards: int, masters: int) -> list[int]:
    counts = [0] * masters
    for tag in shard_tags("leadscore", shards):
        counts[slot_of(tag) * masters // SLOTS] += 1
    return counts


def test_the_slot_is_the_one_redis_computes() -> None:
    assert slot_of("123456789") == 12_739
    keys = ShardKeys("ls", 3, 32)
    for key in all_keys(keys, ["L1", "{other}", "}"]):
        assert key_slot(key.encode()) == keys.slot


@pytest.mark.parametrize("shards", [1, 2, 3, 12, 32, 64, 100, 1_000, 2_048])
def test_each_shard_lies_in_its_slice_of_the_slots(shards: int) -> None:
    slots = [slot_of(tag) for tag in shard_tags("leadscore", shards)]
    assert [slot * shards // SLOTS for slot in slots] == list(range(shards))


@pytest.mark.parametrize(("shards", "masters"), list(product([32, 64, 128, 256], [1, 2, 3, 4, 5, 6, 8, 16])))
def test_masters_own_as_equal_numbers_of_shards_as_can_be(shards: int, masters: int) -> None:
    counts = shards_per_master(shards, masters)
    assert sum(counts) == shards
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(("shards", "masters"), [(32, 4), (96, 6), (192, 6), (256, 6), (512, 6), (512, 7), (1_024, 10)])
def test_no_master_owns_more_than_three_percent_over_its_share(shards: int, masters: int) -> None:
    assert max(shards_per_master(shards, masters)) <= 1.03 * shards / masters


def test_tags_depend_on_prefix_and_number_of_shards_alone() -> None:
    expected = shard_tags("ls", 32)
    shard_tags.cache_clear()
    assert shard_tags("ls", 32) == expected
    assert expected[:3] == ("ls:m", "ls:1a", "ls:2u")


def test_tags_are_short() -> None:
    assert max(len(tag) for tag in shard_tags("ls", 32)) <= len("ls:") + 3


def test_no_two_keys_collide() -> None:
    lead_ids = ["", "fence", ":fence", "/", "L1"]
    keys = [
        key
        for prefix, shard in product(["a", "ab", "a.b"], range(16))
        for key in all_keys(ShardKeys(prefix, shard, 16), lead_ids)
    ]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("prefix", ["", "a:b", "a{b", "a}b", "a b", "ä", "x" * 33])
def test_an_impossible_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigError, match=r"redis key prefix: .* expected"):
        ShardKeys(prefix, 0, 4)


@pytest.mark.parametrize("shards", [0, -1, 2_049])
def test_an_impossible_number_of_shards_is_refused(shards: int) -> None:
    with pytest.raises(ConfigError, match=f"number of shards: {shards}: expected"):
        shard_tags("ls", shards)
