"""One makes a value for all who want it, in time, and nothing that was overtaken is kept."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from greenimi import green
from greenimi.cache.entry import Entry
from greenimi.cache.front import Cache
from greenimi.cache.making import LEASE, is_due
from greenimi.cache.memory import MemoryStore
from greenimi.cache.settings import CacheSettings
from greenimi.testing.support import wait_until
from tests.cache.stores import Clock, SharedStore

SETTINGS = CacheSettings(jitter=0.0, wait=5.0)


class Maker:
    """Makes values that tell how often it was called; it waits until it may go on."""

    def __init__(self, free: bool = True) -> None:
        self.calls = 0
        self.may_go_on = green.Event()
        if free:
            self.may_go_on.set()

    def __call__(self) -> list[int]:
        self.calls += 1
        mine = self.calls
        assert self.may_go_on.wait(10)
        return [mine]


@pytest.fixture(params=["memory", "shared"])
def store(request: pytest.FixtureRequest) -> Any:
    return MemoryStore(SETTINGS) if request.param == "memory" else SharedStore()


@pytest.fixture
def cache(store: Any) -> Cache:
    return Cache(store, SETTINGS)


def wait_for(maker: Maker, calls: int) -> None:
    wait_until(lambda: maker.calls >= calls)
    for _ in range(3):
        green.sleep(0)


def test_a_hundred_misses_make_it_once(cache: Cache) -> None:
    maker = Maker(free=False)
    asking = [green.spawn(cache.get_or_make, "a", maker) for _ in range(100)]
    wait_for(maker, 1)
    maker.may_go_on.set()
    found = [greenlet.get() for greenlet in asking]
    assert found == [[1]] * 100
    assert maker.calls == 1
    found[0].append(2)
    assert found[1] == [1], "nobody has the same object"
    assert cache.get("a") == [1]


def test_keys_do_not_wait_for_each_other(cache: Cache) -> None:
    slow, quick = Maker(free=False), Maker()
    asking = green.spawn(cache.get_or_make, "slow", slow)
    wait_for(slow, 1)
    assert cache.get_or_make("quick", quick) == [1]
    slow.may_go_on.set()
    assert asking.get() == [1]


def test_all_get_the_same_error_and_it_is_not_kept(cache: Cache) -> None:
    maker = Maker(free=False)

    def fail() -> None:
        maker()
        raise KeyError("sku")

    asking = [green.spawn(_caught, cache, fail) for _ in range(5)]
    wait_for(maker, 1)
    maker.may_go_on.set()
    errors = [greenlet.get() for greenlet in asking]
    assert [str(error) for error in errors] == ["'sku'"] * 5
    assert maker.calls == 1
    assert len(_frames(errors[0])) < 12, "their traces do not pile up"
    assert cache.get_or_make("a", lambda: [9]) == [9]


def _caught(cache: Cache, make: Any) -> KeyError:
    with pytest.raises(KeyError) as caught:
        cache.get_or_make("a", make)
    return caught.value


def _frames(error: BaseException) -> list[Any]:
    found, trace = [], error.__traceback__
    while trace is not None:
        found.append(trace)
        trace = trace.tb_next
    return found


@pytest.mark.parametrize("stop", [green.Timeout(1), SystemExit()], ids=["timeout", "exit"])
def test_when_the_one_who_makes_it_is_stopped_another_one_does(cache: Cache, store: Any, stop: BaseException) -> None:
    maker = Maker(free=False)
    asking = [green.spawn(cache.get_or_make, "a", maker) for _ in range(4)]
    wait_for(maker, 1)
    asking[0].kill(stop, block=True) if not isinstance(stop, SystemExit) else asking[0].kill(block=True)
    wait_for(maker, 2)
    maker.may_go_on.set()
    assert [greenlet.get() for greenlet in asking[1:]] == [[2]] * 3
    assert store.get(LEASE + "a") is None


def test_who_waits_too_long_makes_his_own(store: Any) -> None:
    cache = Cache(store, CacheSettings(wait=0.02, jitter=0.0))
    maker, quick = Maker(free=False), Maker()
    asking = green.spawn(cache.get_or_make, "a", maker)
    wait_for(maker, 1)
    quick.calls = 10
    assert cache.get_or_make("a", quick) == [11]
    maker.may_go_on.set()
    assert asking.get() == [1]


def test_without_a_lock_everybody_makes_his_own(cache: Cache) -> None:
    maker = Maker(free=False)
    asking = [green.spawn(cache.get_or_make, "a", maker, lock=False) for _ in range(3)]
    wait_for(maker, 3)
    maker.may_go_on.set()
    assert sorted(greenlet.get() for greenlet in asking) == [[1], [2], [3]]


# -- what is changed while it is made ----------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["delete", "delete_many", "set", "clear", "tags"])
def test_a_value_that_was_overtaken_is_not_kept(cache: Cache, change: str) -> None:
    """It was made from what was true before; who asked before may get it, who asks later may not."""
    maker = Maker(free=False)
    asking = green.spawn(cache.get_or_make, "a", maker, tags=("t",))
    wait_for(maker, 1)
    match change:
        case "delete":
            assert not cache.delete("a")
        case "delete_many":
            cache.delete_many(["a", "b"])
        case "set":
            cache.set("a", [7])
        case "clear":
            cache.clear()
        case "tags":
            cache.evict_tags("t")
    later = green.spawn(cache.get_or_make, "a", maker)
    if change != "set":
        wait_for(maker, 2)
    maker.may_go_on.set()
    assert asking.get() == [1]
    assert later.get() == ([7] if change == "set" else [2])
    assert cache.get("a") == ([7] if change == "set" else [2])


def test_a_change_of_another_process_counts_as_well() -> None:
    store: Any = SharedStore()
    here, there = Cache(store, SETTINGS), Cache(store, SETTINGS)
    maker = Maker(free=False)
    asking = green.spawn(here.get_or_make, "a", maker)
    wait_for(maker, 1)
    there.set("a", [7])
    maker.may_go_on.set()
    assert asking.get() == [1]
    assert here.get("a") == there.get("a") == [7]


# -- several processes -------------------------------------------------------------------------------------------------


def test_two_processes_make_it_once() -> None:
    store: Any = SharedStore()
    here, there = Cache(store, SETTINGS), Cache(store, SETTINGS)
    maker = Maker(free=False)
    asking = [green.spawn(cache.get_or_make, "a", maker) for cache in (here, there) for _ in range(50)]
    wait_for(maker, 1)
    maker.may_go_on.set()
    assert [greenlet.get() for greenlet in asking] == [[1]] * 100
    assert maker.calls == 1
    assert store.get(LEASE + "a") is None


def test_a_process_that_died_is_replaced_after_its_lease() -> None:
    clock = Clock(0.0)
    store: Any = SharedStore(clock=clock)
    store.add(LEASE + "a", b"of somebody who is gone", 10.0)
    asking = green.spawn(Cache(store, SETTINGS).get_or_make, "a", Maker())
    wait_until(lambda: store.calls.count(("add", LEASE + "a")) >= 3)
    assert not asking.ready()
    clock.now = 11.0
    assert asking.get() == [1]


def test_one_who_lost_the_lease_keeps_nothing() -> None:
    store: Any = SharedStore()
    cache = Cache(store, SETTINGS)
    maker = Maker(free=False)
    asking = green.spawn(cache.get_or_make, "a", maker)
    wait_for(maker, 1)
    store.set(LEASE + "a", b"somebody else's", 10.0)
    maker.may_go_on.set()
    assert asking.get() == [1]
    assert cache.get("a") is None
    assert store.get(LEASE + "a") == b"somebody else's"


def test_a_value_that_came_between_is_taken() -> None:
    """The one who had the lease kept a value and gave it back between our look at the value and our taking the lease."""
    store: Any = SharedStore()
    here, there = Cache(store, SETTINGS), Cache(store, SETTINGS)
    maker = Maker()

    def before(call: str, key: Any) -> None:
        if call == "add":
            store.before = None
            there.get_or_make("a", lambda: [7])

    store.before = before
    assert here.get_or_make("a", maker) == [7]
    assert maker.calls == 0


MAKES = """
import sys
from greenimi import green
green.patch()
from greenimi.cache.front import Cache
from greenimi.cache.redis import RedisStore
from greenimi.pool.redis.client import Redis
client = Redis.from_url(sys.argv[1])
cache = Cache(RedisStore(client, "cache:"))
def make():
    client.incr("calls")
    green.sleep(0.1)
    return {"made": True}
client.incr("ready")
while int(client.get("ready")) < 3:
    green.sleep(0.005)
found = [green.spawn(cache.get_or_make, "a", make) for _ in range(50)]
assert all(each.get() == {"made": True} for each in found)
"""


def test_real_processes_make_it_once(redis_url: str, make_plain: Any) -> None:
    workers = [subprocess.Popen([sys.executable, "-c", MAKES, redis_url]) for _ in range(3)]
    assert [worker.wait(30) for worker in workers] == [0, 0, 0]
    assert make_plain(redis_url).get("calls") == b"1"


# -- before the end ----------------------------------------------------------------------------------------------------


def test_a_value_is_due_the_earlier_the_longer_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenimi.cache.making.time.time", lambda: 1000.0)

    def share(left: float, cost: float, early: float = 1.0) -> float:
        entry = Entry(b"", True, 1000.0 + left, cost)
        return sum(is_due(entry, early) for _ in range(2000)) / 2000

    assert share(-1.0, 1.0) == 1.0
    assert share(100.0, 1.0) == 0.0
    assert 0.25 < share(1.0, 1.0) < 0.5  # 1 / e
    assert 0.05 < share(2.0, 1.0) < 0.25
    assert share(2.0, 1.0) < share(2.0, 1.0, early=2.0) < share(2.0, 4.0)
    assert share(0.1, 1.0, early=0.0) == 0.0


@pytest.fixture
def due(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What is answered to whoever asks whether a value is due: one after the other, then no."""
    answers: list[bool] = []
    monkeypatch.setattr("greenimi.cache.front.is_due", lambda entry, early: answers.pop(0) if answers else False)
    return answers


def test_one_makes_it_anew_while_others_get_the_old_one(cache: Cache, due: list[bool]) -> None:
    maker = Maker()
    cache.get_or_make("a", maker, 60.0)
    maker.may_go_on.clear()
    due[:] = [True, True, False]
    asking = green.spawn(cache.get_or_make, "a", maker, 60.0)
    wait_for(maker, 2)
    assert cache.get_or_make("a", maker, 60.0) == [1], "it is due for him, too, but somebody is at it"
    assert cache.get_or_make("a", maker, 60.0) == [1]
    assert cache.get("a") == [1]
    maker.may_go_on.set()
    assert asking.get() == [2]
    assert cache.get_or_make("a", maker, 60.0) == [2]
    assert maker.calls == 2


def test_of_two_processes_one_makes_it_anew(due: list[bool]) -> None:
    store: Any = SharedStore()
    here, there = Cache(store, SETTINGS), Cache(store, SETTINGS)
    maker = Maker()
    here.get_or_make("a", maker, 60.0)
    maker.may_go_on.clear()
    due[:] = [True, True]
    asking = green.spawn(here.get_or_make, "a", maker, 60.0)
    wait_for(maker, 2)
    assert there.get_or_make("a", maker, 60.0) == [1]
    maker.may_go_on.set()
    assert asking.get() == [2]
    assert there.get_or_make("a", maker, 60.0) == [2]


def test_one_that_was_just_made_anew_is_taken(due: list[bool]) -> None:
    store: Any = SharedStore()
    here, there = Cache(store, SETTINGS), Cache(store, SETTINGS)
    here.get_or_make("a", Maker(), 60.0)

    def before(call: str, key: Any) -> None:
        if call == "add":
            store.before = None
            there.get_or_make("a", lambda: [7], 60.0)

    store.before = before
    due[:] = [True, True]
    late = Maker()
    assert here.get_or_make("a", late, 60.0) == [7]
    assert late.calls == 0


def test_when_that_fails_the_old_value_is_used(cache: Cache, due: list[bool], caplog: pytest.LogCaptureFixture) -> None:
    cache.get_or_make("a", lambda: [1], 60.0)
    due[:] = [True]
    assert cache.get_or_make("a", lambda: [1 // 0], 60.0) == [1]
    assert "a could not be made anew" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_what_has_no_end_is_never_due(cache: Cache, due: list[bool]) -> None:
    due[:] = [True] * 10
    assert cache.get_or_make("a", lambda: [1]) == [1]
    assert cache.get_or_make("a", lambda: [2]) == [1]
    cache.set("b", [1], 60.0)
    assert cache.get_or_make("b", lambda: [2], 60.0) == [1]
    assert len(due) == 10
