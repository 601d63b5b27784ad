"""Channels in a file: waiting, waking, and what is left behind."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenimi import green
from greenimi.orm.table import channels
from greenimi.orm.table.channels import ChannelFile
from greenimi.testing.support import wait_until

Make = Callable[[], ChannelFile]
PATIENCE = 5.0


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """``make()``: the channels of one folder, as another process has them."""
    made: list[ChannelFile] = []

    def make() -> ChannelFile:
        made.append(ChannelFile(tmp_path / "tables"))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture(autouse=True)
def no_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits must be told."""
    monkeypatch.setattr(channels, "_LOOK", 60.0)


def waiting(found: ChannelFile, number: int) -> None:
    wait_until(lambda: found._file.rows("SELECT count(*) FROM waiting WHERE rung = 0") == [(number,)])


def test_who_waits_is_told_in_the_order_of_coming(make: Make) -> None:
    one, two = make(), make()
    got: list[tuple[int, bytes | None]] = []

    def pop(number: int) -> None:
        got.append((number, two.pop("a", math.inf)))

    greenlets = []
    for number in range(5):
        greenlets.append(green.spawn(pop, number))
        waiting(two, number + 1)
    for number in range(5):
        assert one.push("a", b"%d" % number, 10, 0.0)
        greenlets[number].get(timeout=PATIENCE)
    assert got == [(number, b"%d" % number) for number in range(5)]
    assert one._file.rows("SELECT count(*) FROM waiting") == [(0,)]


def test_who_waits_for_room_is_told(make: Make) -> None:
    one, two = make(), make()
    assert one.push("a", b"0", 2, 0.0)
    assert one.push("a", b"1", 2, 0.0)
    pushing = [green.spawn(two.push, "a", b"%d" % number, 2, math.inf) for number in (2, 3)]
    waiting(two, 2)
    found = [one.pop("a", PATIENCE) for _ in range(4)]
    assert found[:2] == [b"0", b"1"]
    assert set(found[2:]) == {b"2", b"3"}
    assert [greenlet.get(timeout=PATIENCE) for greenlet in pushing] == [True, True]
    assert two.count("a") == 0


def test_who_is_told_and_killed_tells_the_next(make: Make) -> None:
    one, two = make(), make()
    first = green.spawn(two.pop, "a", math.inf)
    waiting(two, 1)
    second = green.spawn(two.pop, "a", math.inf)
    waiting(two, 2)
    assert one.push("a", b"1", 10, 0.0)
    first.kill()
    assert second.get(timeout=PATIENCE) == b"1"
    assert two._file.rows("SELECT count(*) FROM waiting") == [(0,)]


def test_who_waits_no_more_leaves_nothing(make: Make) -> None:
    one = make()
    killed = green.spawn(one.pop, "a", math.inf)
    waiting(one, 1)
    killed.kill()
    assert one.pop("a", 0.01) is None
    assert one._file.rows("SELECT count(*) FROM waiting") == [(0,)]
    assert one._bells._waiting == {}


def test_one_whose_process_is_gone_keeps_nobody_waiting(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = make(), make()
    monkeypatch.setattr(channels, "_LOOK", 0.05)
    one._file.rows("INSERT INTO waiting (channel, pushes, bell, name, rung, until) VALUES ('a', 0, 'gone.bell', 'x', 0, ?)", (1e12,))
    popping = green.spawn(two.pop, "a", math.inf)
    waiting(two, 2)
    assert one.push("a", b"1", 10, 0.0)
    assert popping.get(timeout=PATIENCE) == b"1"
    one._file.rows("UPDATE waiting SET until = ?", (time.monotonic() - 1,))
    one._mending._next = 0.0
    assert one.pop("a", 0.0) is None
    assert one._file.rows("SELECT count(*) FROM waiting") == [(0,)]


def test_many_of_both_sides(make: Make) -> None:
    files = [make() for _ in range(3)]
    got: list[bytes | None] = []

    def push(number: int) -> None:
        for item in range(40):
            assert files[number % 3].push("a", b"%d.%d" % (number, item), 3, math.inf)

    def pop(number: int) -> None:
        got.extend(files[(number + 1) % 3].pop("a", math.inf) for _ in range(40))

    greenlets = [green.spawn(function, number) for number in range(6) for function in (push, pop)]
    for greenlet in greenlets:
        greenlet.get(timeout=PATIENCE)
    assert sorted(got, key=str) == sorted((b"%d.%d" % (number, item) for number in range(6) for item in range(40)), key=str)
    for number in range(6):
        own = [item for item in got if item is not None and item.startswith(b"%d." % number)]
        assert len(own) == 40
    assert files[0]._file.rows("SELECT count(*) FROM waiting") == [(0,)]


def test_nothing_is_lost_with_greenlets_that_are_killed(make: Make) -> None:
    """Whenever they are killed: an item was popped by one that tells so, or is there."""
    one, two = make(), make()
    got: list[bytes] = []
    pushed: list[bytes] = []

    def pop() -> None:
        while True:
            found = two.pop("a", math.inf)
            assert found is not None
            got.append(found)
            green.sleep(0)

    def push() -> None:
        for number in itertools.count():
            item = b"%d" % number
            one.push("a", item, 2, math.inf)
            pushed.append(item)
            if number % 3 == 0:
                green.sleep(0)

    pushing = green.spawn(push)
    for number in range(200):
        popping = [green.spawn(pop) for _ in range(3)]
        for _ in range(number % 5):
            green.sleep(0)
        for greenlet in popping:
            greenlet.kill()
    pushing.kill()
    while (left := one.pop("a", 0.0)) is not None:
        got.append(left)
    assert len(got) > 10
    assert got == [b"%d" % number for number in range(len(got))]
    assert len(pushed) == len(got)
    assert one._file.rows("SELECT count(*) FROM waiting") == [(0,)]
