"""The caches of conf: their drivers, and each as a bean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from greenimi.cache.front import Cache
from greenimi.cache.settings import CacheSettings, check_settings
from greenimi.config.settings import did_you_mean
from greenimi.container.beans import BeanBinding, Definition
from greenimi.container.registry import Container
from greenimi.errors import ConfigError, StartError
from greenimi.interfaces import ICacheStore
from greenimi.marks import Mark, here

if TYPE_CHECKING:
    from greenimi.container.setup import Setup


def add_caches(setup: Setup) -> None:
    """Each under its name in conf; ``default`` is the one without a name, and always there.  A store is made when it is first used."""
    container = setup.container
    for name, make in (
        ("memory", _memory),
        ("message", _message),
        ("file", _file),
        ("redis", _redis),
        ("redis_hash", _redis_hash),
        ("two_level", _two_level),
    ):
        container.bind(BeanBinding(container, Definition(make, provides=(ICacheStore,), driver=name, where=here(1))))
    tables: dict[str, CacheSettings] = {"default": CacheSettings(), **setup.settings("cache", dict[str, CacheSettings])}
    for name, settings in tables.items():
        check_settings(name, settings, setup.config)
        definition = Definition(_maker(container, name, settings), name, provides=(Cache,), where=here(1))
        container.bind(BeanBinding(container, definition))
        setup.on_commit(partial(_check_driver, setup, name, settings), order=90)
    for kind in ("cacheable", "cache_put", "cache_evict"):
        setup.on_mark(kind, partial(_check_mark, list(tables)))


def _check_driver(setup: Setup, name: str, settings: CacheSettings) -> None:
    setup.container.driver(ICacheStore, settings.driver)
    if settings.driver in ("redis", "redis_hash", "two_level") and settings.redis not in setup.config.section("redis"):
        place = setup.config.place(f"cache.{name}.driver")
        text = f"cache.{name}.driver: {settings.driver} needs the table [redis.{settings.redis}], which conf has not"
        raise ConfigError(f"{place}: {text}" if place else text)


def _check_mark(known: list[str], setup: Setup, owner: type | None, name: str, target: Any, mark: Mark) -> None:
    cache = mark.options["cache"]
    if cache not in known:
        raise StartError(f"{mark.where}: @{mark.kind} on {name}: there is no [cache.{cache}]{did_you_mean(cache, known)}")


def _maker(container: Container, name: str, settings: CacheSettings) -> Callable[[], Iterator[Any]]:
    def make() -> Iterator[Any]:
        own = replace(settings, prefix=settings.prefix or f"cache:{name}:")
        cache = Cache(container.driver(ICacheStore, settings.driver)(settings=own), own, name)
        yield cache
        cache.close()

    return make


def _memory(settings: CacheSettings) -> ICacheStore:
    from greenimi.cache.memory import MemoryStore

    return MemoryStore(settings)


def _message(settings: CacheSettings) -> ICacheStore:
    from greenimi.cache.message import MessageStore

    return MessageStore(settings)


def _file(settings: CacheSettings) -> ICacheStore:
    from greenimi.cache.file import FileStore

    return FileStore(settings)


def _redis(settings: CacheSettings, container: Container) -> ICacheStore:
    from greenimi.cache.redis import RedisStore

    return RedisStore(_client(settings, container), settings.prefix)


def _redis_hash(settings: CacheSettings, container: Container) -> ICacheStore:
    from greenimi.cache.redis_hash import RedisHashStore

    return RedisHashStore(_client(settings, container), settings.prefix)


def _two_level(settings: CacheSettings, container: Container) -> ICacheStore:
    from greenimi.cache.two_level import TwoLevelStore

    client = _client(settings, container)
    return TwoLevelStore(client, client.subscribe, settings, settings.prefix)


def _client(settings: CacheSettings, container: Container) -> Any:
    from greenimi.pool.redis import Redis

    client = container.get(Redis, settings.redis)
    if client.settings.decode:
        raise ConfigError(
            f"the cache needs a Redis that gives bytes, and [redis.{settings.redis}] has decode = true",
            hint="make another table [redis.NAME] for the cache",
        )
    return client
