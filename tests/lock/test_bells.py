"""How processes of one machine wake each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenimi.lock.bells import Bells
from greenimi.testing.support import wait_until

Make = Callable[[], Bells]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Bells] = []

    def bells() -> Bells:
        made.append(Bells(tmp_path))
        return made[-1]

    yield bells
    for each in made:
        each.close()


def test_who_listens_is_woken(make: Make) -> None:
    one, two = make(), make()
    with one.listening("a") as a, one.listening("a") as again, one.listening("b") as b:
        two.ring(one.name, "a")
        assert a.wait(10)
        assert again.is_set()
        assert not b.is_set()


def test_many_rings_wake_all(make: Make) -> None:
    one, two = make(), make()
    with one.listening("last") as last:
        for number in range(20_000):
            two.ring(one.name, f"other {number}")
            if number % 1000 == 0:
                wait_until(lambda: not _waits_in(one))
        two.ring(one.name, "last")
        assert last.wait(10)


def _waits_in(bells: Bells) -> bool:
    import select

    return bool(select.select([bells._fd], [], [], 0)[0])


def test_a_full_bell_holds_nobody_up(make: Make) -> None:
    one, two = make(), make()
    with one.listening("a") as a:
        for _ in range(40_000):  # more than a pipe takes; nobody reads meanwhile
            two.ring(one.name, "a")
        assert a.wait(10)


def test_bells_of_the_dead_are_removed(make: Make, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1-dead.bell")
    os.mkfifo(tmp_path / "2-dead.bell")
    one = make()
    one.ring("1-dead.bell", "a")
    one.ring("never there.bell", "a")
    assert not (tmp_path / "1-dead.bell").exists()
    with one.listening("a"):
        assert [path.name for path in tmp_path.iterdir()] == [one.name]


def test_it_is_not_opened_for_nobody(make: Make, tmp_path: Path) -> None:
    one = make()
    one.close()
    assert one.name == ""
    assert list(tmp_path.iterdir()) == []
