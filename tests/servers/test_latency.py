"""How long messages take, counted."""

from __future__ import annotations

import pytest

from greenimi.servers.latency import Latency


@pytest.mark.parametrize(
    ("nanoseconds", "bucket"), [(0, 0), (999, 0), (1000, 1), (1999, 1), (2000, 2), (3999, 2), (4000, 3), (1_000_000, 10), (10**9, 20)]
)
def test_a_bucket_holds_what_took_less_than_its_power_of_two_and_not_less_than_half(nanoseconds: int, bucket: int) -> None:
    latency = Latency()
    latency.add(nanoseconds)
    assert [number for number, count in enumerate(latency.buckets) if count] == [bucket]
    assert nanoseconds < 2**bucket * 1000
    assert not bucket or nanoseconds >= 2 ** (bucket - 1) * 1000


def test_all_are_counted_and_added_up() -> None:
    latency = Latency()
    for nanoseconds in (500, 1_500_000_000, 3_000_000, 3_000_001):
        latency.add(nanoseconds)
    assert latency.count == 4
    assert latency.sum == pytest.approx(1.506000501)
    assert latency.buckets[12] == 2


def test_there_is_a_bucket_for_the_longest_connection() -> None:
    latency = Latency()
    latency.add(3 * 365 * 86400 * 10**9)
    assert latency.count == 1
