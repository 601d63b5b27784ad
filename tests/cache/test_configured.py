"""The caches of conf."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from zope.interface import implementer

from greenimi import bean
from greenimi.cache import Cache
from greenimi.cache.memory import MemoryStore
from greenimi.cache.settings import CacheSettings
from greenimi.errors import ConfigError, MissingBean
from greenimi.facades import Cache as Facade
from greenimi.interfaces import ICacheStore
from greenimi.testing.plugin import AppFactory
from greenimi.testing.support import wait_until


def test_there_is_always_one_in_memory(app_factory: AppFactory) -> None:
    app = app_factory()
    assert isinstance(app.container.get(Cache).store, MemoryStore)
    Facade.set("a", {"b": 1})
    assert Facade.get("a") == {"b": 1}
    assert app.container.get(Cache) is app.container.get(Cache, "default")


def test_each_name_has_its_own(app_factory: AppFactory, tmp_path: Path, redis_url: str) -> None:
    drivers = ("memory", "message", "file", "redis", "redis_hash", "two_level")
    conf = {
        "redis": {"default": {"url": redis_url}},
        "cache": {driver: {"driver": driver, **({"folder": str(tmp_path)} if driver == "file" else {})} for driver in drivers},
    }
    container = app_factory((), conf).container
    found = [container.get(Cache, name) for name in (*drivers, "default")]
    for cache in found:
        assert not cache.has("a")
        cache.set("a", cache.name)
    assert [cache.get("a") for cache in found] == ["memory", None, "file", "redis", "redis_hash", "two_level", "default"]
    assert wait_until(lambda: container.get(Cache, "two_level").get("a")) == "two_level"
    for cache in found:
        cache.clear()
        assert cache.get("a") is None


def test_the_end_of_the_application_closes_them(app_factory: AppFactory, redis_url: str) -> None:
    app = app_factory((), {"redis": {"default": {"url": redis_url}}, "cache": {"default": {"driver": "two_level"}}})
    store: Any = app.container.get(Cache).store
    store.get("a")
    app.stop()
    assert store._subscription.closed


@implementer(ICacheStore)
class Mine(MemoryStore):
    pass


@bean(driver="mine", provides=ICacheStore)
def mine(settings: CacheSettings) -> ICacheStore:
    assert settings.prefix == "cache:default:"
    return Mine(settings)


def test_drivers_of_the_application(app_factory: AppFactory) -> None:
    app = app_factory([mine], {"cache": {"default": {"driver": "mine"}}})
    assert isinstance(app.container.get(Cache).store, Mine)


@pytest.mark.parametrize(
    ("table", "error", "problem"),
    [
        ({"default": {"driver": "memroy"}}, MissingBean, "did you mean memory"),
        ({"default": {"drvier": "memory"}}, ConfigError, "did you mean driver"),
        ({"default": {"driver": "two_level"}}, ConfigError, r"cache\.default\.driver: two_level needs the table \[redis\.default\]"),
        ({"default": {"codec": "pickle"}}, ConfigError, "cache.default.codec: pickle is none of"),
        ({"driver": "memory"}, ConfigError, "cache.driver"),
    ],
)
def test_mistakes_are_found_at_the_start(app_factory: AppFactory, table: dict[str, Any], error: type[Exception], problem: str) -> None:
    with pytest.raises(error, match=problem):
        app_factory((), {"cache": table})


def test_a_redis_that_gives_text_is_refused(app_factory: AppFactory, redis_url: str) -> None:
    conf = {"redis": {"default": {"url": redis_url, "decode": True}}, "cache": {"default": {"driver": "redis"}}}
    with pytest.raises(ConfigError, match="decode = true"):
        app_factory((), conf).container.get(Cache)


HELLO = """
from greenimi import green
green.patch()
import sys
from greenimi.testing.support import make_app, running
from greenimi.facades import Cache
with running(make_app({"servers": {"web": {"kind": "http"}}})):
    Cache.set("a", 1)
    print(sorted({name.partition(".")[0] for name in sys.modules} & {"redis", "pymysql", "peewee", "hiredis"}))
"""


def test_who_needs_no_driver_pays_for_none() -> None:
    assert subprocess.check_output([sys.executable, "-c", HELLO], text=True, timeout=30) == "[]\n"
