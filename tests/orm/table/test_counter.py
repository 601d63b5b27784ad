from __future__ import annotations

import pytest

from greenimi.errors import Overloaded
from greenimi.orm import Counter
from greenimi.orm.table.tables import Tables


def test_a_counter(running: Tables) -> None:
    counter = Counter("visits")
    assert counter.get() == 0
    assert [counter.add(), counter.add(5), counter.add(-8)] == [1, 6, -2]
    assert Counter("visits").get() == -2
    assert Counter("others").get() == 0
    counter.set(7)
    assert not counter.compare_and_set(6, 9)
    assert counter.get() == 7
    assert counter.compare_and_set(7, 0)
    assert not counter.compare_and_set(7, 1)
    assert counter.compare_and_set(0, 1)
    assert counter.get() == 1
    assert repr(counter) == "<Counter visits>"


def test_a_counter_has_64_bits(running: Tables) -> None:
    counter = Counter("visits")
    counter.set((1 << 63) - 1)
    with pytest.raises(OverflowError, match="has more than 64 bits"):
        counter.add()
    assert counter.get() == (1 << 63) - 1
    assert counter.add(-1 << 63) == -1


def test_there_may_be_so_many(running: Tables) -> None:
    for number in range(3):
        Counter(f"c{number}").add()
    with pytest.raises(Overloaded, match="has 3 rows already"):
        Counter("c3").add()
    Counter("c0").set(0)
    assert Counter("c3").add() == 1


def test_names_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="the name of a counter has up to 64 letters"):
        Counter("a b")
