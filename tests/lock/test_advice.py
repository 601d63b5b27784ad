"""``@locked``."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest

from greenimi import green, locked
from greenimi.container.context import Scope
from greenimi.container.registry import Container
from greenimi.lock import Lock, LockLost, LockTimeout
from greenimi.marks import marks_of
from greenimi.testing.support import wait_until
from tests.lock.conftest import MakeLock
from tests.lock.troubled import TroubledStore


class Shop:
    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.found: Any = None

    @locked("stock:{sku}", wait=0.01)
    def sell(self, sku: str, count: int = 1) -> str:
        self.calls.append(("sell", sku, count))
        return f"sold {count} {sku}"

    @locked("stock:{sku}", wait=0, on_fail="busy")
    def reserve(self, sku: str) -> str:
        return f"reserved {sku}"

    def busy(self, sku: str) -> str:
        return f"{sku} is busy"

    @locked("price:{sku}", after_lock="known")
    def price(self, sku: str) -> Any:
        self.calls.append(("price", sku))
        return None

    def known(self, sku: str) -> Any:
        self.calls.append(("known", sku))
        return self.found


@pytest.fixture
def lock(make_lock: MakeLock) -> Iterator[Lock]:
    """The one that decorated functions find."""
    container = Container("test")
    made = make_lock()
    container.add(Lock, made, "default")
    container.add(Lock, make_lock(), "other")
    with Scope(container):
        yield made


def test_it_is_held_during_the_call(lock: Lock) -> None:
    seen: list[bool] = []

    @locked("job:{number}")
    def job(number: int) -> int:
        seen.append(lock.held(f"job:{number}"))
        return number + 1

    assert job(1) == 2
    assert job(number=2) == 3
    assert seen == [True, True]
    assert not lock.held("job:1")


def test_not_had_it_raises(lock: Lock) -> None:
    shop = Shop()
    with lock.hold("stock:tea"):
        assert shop.sell("coffee") == "sold 1 coffee"
        with pytest.raises(LockTimeout, match=r"'stock:tea' was not free within 0\.01 seconds"):
            green.spawn(shop.sell, "tea").get()
    assert shop.sell("tea", count=2) == "sold 2 tea"
    assert shop.calls == [("sell", "coffee", 1), ("sell", "tea", 2)]


def test_not_had_something_else_is_called(lock: Lock) -> None:
    shop = Shop()
    with lock.hold("stock:tea"):
        assert green.spawn(shop.reserve, "tea").get() == "tea is busy"
    assert shop.reserve("tea") == "reserved tea"

    @locked("x", wait=0, on_fail=lambda number: -number)
    def job(number: int) -> int:
        return number

    with lock.hold("x"):
        assert green.spawn(job, 5).get() == -5


@pytest.mark.parametrize("found", [7, 0, "", False])
def test_what_is_found_once_the_lock_is_held_replaces_the_call(lock: Lock, found: Any) -> None:
    shop = Shop()
    shop.found = found
    assert shop.price("tea") == found
    assert shop.calls == [("known", "tea")]
    shop.found = None
    assert shop.price("tea") is None
    assert shop.calls[1:] == [("known", "tea"), ("price", "tea")]


def test_an_error_gives_the_lock_back(lock: Lock) -> None:
    @locked("x")
    def job() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        job()
    assert not lock.held("x")


def test_held_longer_than_it_is_given_is_logged_or_raised(lock: Lock, store: TroubledStore, caplog: pytest.LogCaptureFixture) -> None:
    def wait() -> str:
        held = lock.mine("x")
        assert held is not None
        wait_until(lambda: held.lost)
        green.sleep(0.01)
        return "done"

    assert locked("x", lease=0.1, renew=False)(wait)() == "done"
    assert [record.levelno for record in caplog.records if "the lock 'x' was lost" in record.getMessage()] == [logging.WARNING]
    with pytest.raises(LockLost, match="the lock 'x' was lost while it was held"):
        locked("x", lease=0.1, renew=False, on_lost="raise")(wait)()
    assert not any(call[0] == "renew" for call in store.calls)


def test_a_lock_of_another_name(lock: Lock, store: TroubledStore) -> None:
    @locked("x", lock="other", reentrant=True)
    def job(depth: int) -> int:
        assert lock.mine("x") is None
        return depth if depth == 0 else job(depth - 1)

    assert job(3) == 0
    assert sum(call[0] == "acquire" for call in store.calls) == 1


def test_what_it_cannot_stand_on() -> None:
    def generator() -> Iterator[int]:
        yield 1

    async def coroutine() -> None:
        """Of another world."""

    for function in (generator, coroutine):
        with pytest.raises(TypeError, match="would return before its work begins"):
            locked("x")(function)
    with pytest.raises(ValueError, match="there is no parameter nobody"):
        locked("{nobody}")(lambda: 1)
    with pytest.raises(TypeError, match=re.escape('write @locked("stock:{sku}")')):
        locked(generator)  # type: ignore[arg-type]


def test_it_looks_like_the_function_and_carries_a_mark() -> None:
    assert Shop.sell.__name__ == "sell"
    assert marks_of(Shop.sell, "locked")[0].options["name"] == "stock:{sku}"
    assert marks_of(Shop.sell, "locked")[0].where.file == __file__
