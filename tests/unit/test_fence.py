"""Fences as bytes."""

import msgspec
import pytest

from leadscore.errors import PartitionStopped
from leadscore.store.fence import Fence, decode, encode

FENCE = Fence("topic-id", 41, 3, 1_767_607_200_000, {"website/id/0": 17, "email/id/2": 2**53})


def test_a_fence_survives_its_bytes() -> None:
    assert decode(encode(FENCE)) == FENCE


def test_equal_fences_have_equal_bytes_whatever_the_order_of_their_sources() -> None:
    reordered = msgspec.structs.replace(FENCE, sources=dict(reversed(FENCE.sources.items())))
    assert list(reordered.sources) != list(FENCE.sources)
    assert encode(reordered) == encode(FENCE)


def test_a_fence_of_format_1_says_the_same() -> None:
    assert decode(b"\x01" + encode(FENCE)[1:]) == FENCE


def test_a_fence_begins_with_its_format() -> None:
    assert encode(FENCE)[0] == 2


@pytest.mark.parametrize("stored", [b"", b"\x03\x90", encode(FENCE)[:-1], encode(FENCE) + b"\0", b"\x02\xc0"])
def test_a_fence_that_cannot_be_read_stops_the_partition(stored: bytes) -> None:
    with pytest.raises(PartitionStopped, match="the stored fence"):
        decode(stored)
