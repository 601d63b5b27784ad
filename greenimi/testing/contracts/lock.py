"""What every ILockStore does, and every ISharedLockStore."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator

import pytest

from greenimi import green
from greenimi.green import Greenlet
from greenimi.interfaces import ILockStore, ISharedLockStore
from greenimi.testing.support import wait_until

LONG = 3600.0
"""Seconds that no test lasts."""

SHORT = 0.15
"""Seconds of a lease that is to end in a test."""

SAFE = 0.5
"""Seconds of a lease that is to be renewed in time, also where much else goes on."""

A_MOMENT = 0.03
"""Seconds in which whoever does not wait for a lock is done."""

PATIENCE = 10.0
ANY_NUMBER = 1 << 30


def waits(greenlet: Greenlet) -> bool:
    """Whether it goes on waiting although everything else had its turn."""
    return not greenlet.join(A_MOMENT) and not greenlet.ready()


class LockStoreContract(ABC):
    """A lock has one holder at a time, until he gives it back or his lease is over; who waits is told."""

    @abstractmethod
    def make(self) -> ILockStore:
        """A store with the locks of those made before in the same test; where nothing but one object has them, that very object."""

    @pytest.fixture(autouse=True)
    def _ends(self) -> Iterator[None]:
        self._started: list[Greenlet] = []
        yield
        for greenlet in self._started:
            greenlet.kill()

    def later(self, store: ILockStore, name: str, token: str, wait: float = PATIENCE, lease: float = LONG) -> Greenlet:
        """A greenlet that waits for the lock already; its value is what it got."""
        return self._start(store.acquire, name, token, lease, wait)

    def _start(self, function: object, *args: object) -> Greenlet:
        greenlet = green.spawn(function, *args)  # type: ignore[arg-type]
        self._started.append(greenlet)
        greenlet.join(A_MOMENT)
        return greenlet

    def test_one_holder_at_a_time(self) -> None:
        one, two = self.make(), self.make()
        assert not one.held("a")
        assert one.acquire("a", "1", LONG, 0.0) is not None
        assert two.held("a")
        assert two.acquire("a", "2", LONG, 0.0) is None
        assert one.release("a", "1")
        assert not two.held("a")
        assert two.acquire("a", "2", LONG, 0.0) is not None

    def test_locks_are_apart(self) -> None:
        store = self.make()
        for name in ("a", "b", "ä:{}", "a:b", "x" * 500, "line\nbreak"):
            assert store.acquire(name, "1", LONG, 0.0) is not None
        assert store.release("a", "1")
        assert store.held("b")
        assert not store.held("c")

    def test_only_the_holder_can_release_or_renew(self) -> None:
        store = self.make()
        assert store.acquire("a", "1", LONG, 0.0) is not None
        assert not store.release("a", "2")
        assert not store.renew("a", "2", LONG)
        assert store.held("a")
        assert store.release("a", "1")
        assert not store.release("a", "1")
        assert not store.renew("a", "1", LONG)

    def test_fencing_numbers_grow(self) -> None:
        one, two = self.make(), self.make()
        numbers = []
        for turn in range(20):
            store = (one, two)[turn % 2]
            found = store.acquire("a", str(turn), LONG, 0.0)
            assert found is not None
            numbers.append(found[0])
            store.release("a", str(turn))
        assert numbers == sorted(set(numbers))

    def test_a_lease_counts_from_before_it_was_asked_for(self) -> None:
        store = self.make()
        before = time.monotonic()
        found = store.acquire("a", "1", LONG, 0.0)
        assert found is not None
        assert before <= found[1] <= time.monotonic()

    def test_a_lease_ends(self) -> None:
        one, two = self.make(), self.make()
        before = time.monotonic()
        assert one.acquire("a", "1", SHORT, 0.0) is not None
        found = two.acquire("a", "2", LONG, PATIENCE)
        assert found is not None
        assert time.monotonic() - before >= SHORT * 0.9
        assert not one.renew("a", "1", LONG)
        assert not one.release("a", "1")
        assert two.held("a")

    def test_a_lease_that_is_over_is_not_renewed_though_nobody_else_came(self) -> None:
        store = self.make()
        assert store.acquire("a", "1", SHORT, 0.0) is not None
        wait_until(lambda: not store.held("a"))
        assert not store.renew("a", "1", LONG)
        assert not store.release("a", "1")

    def test_renewed_it_goes_on(self) -> None:
        one, two = self.make(), self.make()
        assert one.acquire("a", "1", SAFE, 0.0) is not None
        assert one.renew("a", "1", LONG)
        assert two.acquire("a", "2", LONG, SAFE * 1.2) is None
        assert one.release("a", "1")

    def test_who_waits_gets_it_when_it_is_released(self) -> None:
        one, two = self.make(), self.make()
        assert one.acquire("a", "1", LONG, 0.0) is not None
        waiting = self.later(two, "a", "2")
        assert waits(waiting)
        assert one.release("a", "1")
        assert waiting.get(timeout=PATIENCE) is not None
        assert two.release("a", "2")

    def test_waiting_may_have_no_end(self) -> None:
        one, two = self.make(), self.make()
        assert one.acquire("a", "1", LONG, 0.0) is not None
        waiting = self.later(two, "a", "2", wait=math.inf)
        assert waits(waiting)
        assert one.release("a", "1")
        assert waiting.get(timeout=PATIENCE) is not None

    def test_waiting_ends(self) -> None:
        one, two = self.make(), self.make()
        assert one.acquire("a", "1", LONG, 0.0) is not None
        assert two.acquire("a", "2", LONG, SHORT) is None
        assert one.release("a", "1")
        assert not two.release("a", "2")
        assert one.acquire("a", "3", LONG, 0.0) is not None

    def test_of_several_who_wait_each_gets_it(self) -> None:
        stores = [self.make() for _ in range(3)]
        assert stores[0].acquire("a", "0", LONG, 0.0) is not None
        got: list[str] = []

        def take(number: int) -> None:
            store, token = stores[number % 3], str(number)
            if store.acquire("a", token, LONG, PATIENCE) is not None:
                got.append(token)
                green.sleep(0)
                store.release("a", token)

        waiting = [self._start(take, number) for number in range(1, 8)]
        stores[0].release("a", "0")
        for greenlet in waiting:
            greenlet.join(PATIENCE)
        assert sorted(got) == [str(number) for number in range(1, 8)]

    def test_who_is_killed_while_waiting_leaves_nothing(self) -> None:
        one, two = self.make(), self.make()
        assert one.acquire("a", "1", LONG, 0.0) is not None
        first, second = self.later(two, "a", "2"), self.later(one, "a", "3")
        first.kill()
        assert one.release("a", "1")
        assert second.get(timeout=PATIENCE) is not None
        assert not two.release("a", "2")

    def test_no_count_is_lost(self) -> None:
        stores = [self.make() for _ in range(2)]
        count = 0

        def add(number: int) -> None:
            nonlocal count
            store = stores[number % 2]
            for turn in range(5):
                assert store.acquire("a", f"{number}.{turn}", LONG, PATIENCE) is not None
                seen = count
                green.sleep(0)
                count = seen + 1
                assert store.release("a", f"{number}.{turn}")

        workers = [self._start(add, number) for number in range(6)]
        for worker in workers:
            worker.get(timeout=PATIENCE)
        assert count == 30


class SharedLockStoreContract(LockStoreContract):
    """Several hold it together, up to a limit; who wants it alone waits for all of them."""

    @abstractmethod
    def make(self) -> ISharedLockStore: ...

    def reader(self, store: ISharedLockStore, token: str, wait: float = 0.0, lease: float = LONG) -> tuple[int, float] | None:
        return store.share("a", token, lease, wait, ANY_NUMBER)

    def test_as_many_as_the_limit_says(self) -> None:
        one, two = self.make(), self.make()
        for number in range(3):
            assert (one, two)[number % 2].share("a", str(number), LONG, 0.0, 3) is not None
        assert two.share("a", "3", LONG, 0.0, 3) is None
        waiting = self._start(two.share, "a", "3", LONG, PATIENCE, 3)
        assert waits(waiting)
        assert one.release("a", "0")
        assert waiting.get(timeout=PATIENCE) is not None
        assert one.share("a", "4", LONG, 0.0, 3) is None

    def test_each_has_a_lease_of_its_own(self) -> None:
        store = self.make()
        assert store.share("a", "1", LONG, 0.0, 2) is not None
        assert store.share("a", "2", SHORT, 0.0, 2) is not None
        assert store.share("a", "3", LONG, PATIENCE, 2) is not None
        assert not store.renew("a", "2", LONG)
        assert store.renew("a", "1", LONG)

    def test_who_holds_it_alone_lets_nobody_in(self) -> None:
        one, two = self.make(), self.make()
        assert one.acquire("a", "w", LONG, 0.0) is not None
        assert self.reader(two, "r") is None
        first, second = (self._start(self.reader, two, token, PATIENCE) for token in ("r1", "r2"))
        assert one.release("a", "w")
        assert first.get(timeout=PATIENCE) is not None
        assert second.get(timeout=PATIENCE) is not None

    def test_who_wants_it_alone_waits_for_all(self) -> None:
        one, two = self.make(), self.make()
        assert self.reader(one, "r1") is not None
        assert self.reader(two, "r2") is not None
        assert two.acquire("a", "w", LONG, 0.0) is None
        writer = self.later(one, "a", "w")
        assert two.release("a", "r2")
        assert waits(writer)
        assert one.release("a", "r1")
        assert writer.get(timeout=PATIENCE) is not None

    def test_who_waits_to_have_it_alone_goes_before_those_who_come_later(self) -> None:
        one, two = self.make(), self.make()
        assert self.reader(one, "r1") is not None
        writer = self.later(two, "a", "w")
        assert self.reader(one, "r2") is None
        late = self._start(self.reader, one, "r3", PATIENCE)
        assert waits(late)
        assert one.release("a", "r1")
        assert writer.get(timeout=PATIENCE) is not None
        assert waits(late)
        assert two.release("a", "w")
        assert late.get(timeout=PATIENCE) is not None

    @pytest.mark.parametrize("how", ["killed", "too late"])
    def test_who_waits_no_more_is_in_nobodys_way(self, how: str) -> None:
        one, two = self.make(), self.make()
        assert self.reader(one, "r1") is not None
        writer = self.later(two, "a", "w", wait=PATIENCE if how == "killed" else SHORT)
        late = self._start(self.reader, one, "r2", PATIENCE)
        if how == "killed":
            writer.kill()
        assert late.get(timeout=PATIENCE) is not None
        if how == "too late":
            assert writer.get(timeout=PATIENCE) is None
        assert self.reader(two, "r3") is not None
