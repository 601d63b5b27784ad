"""The Redis clients of conf, each a bean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from greenimi.container.beans import BeanBinding, Definition
from greenimi.container.service import Tier
from greenimi.interfaces import IService
from greenimi.marks import here
from greenimi.pool.pool import Pool
from greenimi.pool.pools import Pools
from greenimi.pool.redis.addresses import resolved
from greenimi.pool.redis.client import Redis
from greenimi.pool.redis.own import MakePool
from greenimi.pool.redis.settings import RedisSettings, check_settings

if TYPE_CHECKING:
    from greenimi.container.setup import Setup


def add_clients(setup: Setup, tables: Mapping[str, RedisSettings]) -> None:
    """Each under its name in conf; ``default`` is the one without a name.

    They are found as :class:`Redis`, a Cluster too.  None connects before it is used, or the application starts with ``[pool] check``; only
    a Cluster, which asks its nodes when it is made, is left out of that.
    """
    make_pool = setup.container.get(Pools).make
    for name, settings in tables.items():
        check_settings(settings, setup.config, f"redis.{name}")
        key = f"redis.{name}.url"
        place = setup.config.place(key)
        found = resolved(settings, f"{place}: {key}" if place else key)
        definition = Definition(_maker(name, found, make_pool), name, provides=(Redis,), where=here(1))
        setup.container.bind(BeanBinding(setup.container, definition))
        if not settings.cluster:
            setup.on_commit(partial(_begin, setup, name), order=90)


def _begin(setup: Setup, name: str) -> None:
    setup.add_service(_Owned(setup.container.get(Redis, name)), f"redis.{name}")


@implementer(IService)
class _Owned:
    """A client belongs to the thread that uses it first: this is the one that serves, and none that a handler started."""

    tier = Tier.RESOURCES

    def __init__(self, client: Redis) -> None:
        self._client = client

    def start(self) -> None:
        self._client.own_thread()

    def drain(self) -> None:
        """What still runs may need it."""

    def stop(self) -> None:
        """The container closes it."""


def make_client(settings: RedisSettings, name: str = "default", make_pool: MakePool = Pool) -> Any:
    """The client that the settings ask for."""
    if settings.cluster:
        from greenimi.pool.redis.cluster import Cluster

        return Cluster(settings, name)
    kind: type[Redis] = Redis
    if settings.read_from != "primary" and (settings.sentinels or settings.replicas):
        from greenimi.pool.redis.replicated import ReplicatedRedis, ReplicatedSentinelRedis

        kind = ReplicatedSentinelRedis if settings.sentinels else ReplicatedRedis
    elif settings.sentinels:
        from greenimi.pool.redis.sentinel_client import SentinelRedis

        kind = SentinelRedis
    return kind(settings, name, make_pool)


def _maker(name: str, settings: RedisSettings, make_pool: MakePool) -> Callable[[], Iterator[Any]]:
    def make() -> Iterator[Any]:
        client = make_client(settings, name, make_pool)
        yield client
        client.close()

    return make
