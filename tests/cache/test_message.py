"""Values of one message."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from greenimi import green
from greenimi.cache.front import Cache
from greenimi.cache.message import MessageStore
from greenimi.cache.settings import CacheSettings
from greenimi.container import Container, Scope
from greenimi.interfaces import ICacheStore
from greenimi.testing.contracts import CacheStoreContract
from tests.cache.stores import Clock


class TestMessageStore(CacheStoreContract):
    @pytest.fixture(autouse=True)
    def _message(self) -> Iterator[None]:
        self.clock = Clock(1000.0)
        with Scope(Container("app")):
            yield

    def make(self, settings: CacheSettings) -> ICacheStore:
        return MessageStore(settings, self.clock)

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds


@pytest.fixture
def cache() -> Cache:
    settings = CacheSettings()
    return Cache(MessageStore(settings), settings)


def test_each_message_has_its_own(cache: Cache) -> None:
    container = Container("app")
    with Scope(container):
        cache.set("user", "ann")
        assert green.spawn(cache.get, "user").get() == "ann", "greenlets of the message see it"
        with Scope(container):
            assert cache.get("user") is None
            cache.set("user", "bob")
        assert cache.get("user") == "ann"
    with Scope(container):
        assert cache.get("user") is None


def test_two_caches_have_nothing_in_common(cache: Cache) -> None:
    other = Cache(MessageStore(CacheSettings()))
    with Scope(Container("app")):
        cache.set("a", 1)
        assert other.get("a") is None
        other.clear()
        assert cache.get("a") == 1


def test_without_a_message_nothing_is_kept(cache: Cache) -> None:
    cache.set("a", 1)
    assert cache.get("a") is None
    assert cache.increment("n") == 1
    assert cache.increment("n") == 1
    assert cache.get_or_make("a", lambda: 5) == 5


def test_messages_do_not_wait_for_each_other(cache: Cache) -> None:
    """The key "user" means another one in each: nobody may get the value that another message makes."""
    container = Container("app")
    both = green.Event()
    busy: list[str] = []

    def handle(name: str) -> str:
        def load() -> str:
            busy.append(name)
            if len(busy) == 2:
                both.set()
            assert both.wait(10)
            return name

        with Scope(container):
            return cache.get_or_make("user", load)

    found = [green.spawn(handle, name) for name in ("ann", "bob")]
    assert [greenlet.get() for greenlet in found] == ["ann", "bob"]
