"""All pools of an application, by name: started first, stopped last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from greenimi.container.service import Tier
from greenimi.errors import ConflictError
from greenimi.interfaces import IService
from greenimi.pool.balance import BALANCERS, IBalancer
from greenimi.pool.check import check_pools
from greenimi.pool.nodes import Node
from greenimi.pool.pool import Pool
from greenimi.pool.settings import PoolSettings, PoolsSettings

if TYPE_CHECKING:
    from greenimi.container.registry import Container
    from greenimi.interfaces import IResources

Source = Callable[[], Mapping[str, float]]


def _ignore(*_: object) -> None:
    """Nobody wants to know."""


def _sources(pool: Pool[Any]) -> dict[str, Source]:
    """Numbers of the pool and of each of its nodes, by the names of their metrics."""
    return {f"pool.{pool.name}": pool.numbers, **{f"poolnode.{pool.name}/{node.name}": node.numbers for node in pool.nodes}}


@implementer(IService)
class Pools:
    """A service.  Whoever has a pool adds it here: it is started and stopped with the application, and among its metrics."""

    tier = Tier.RESOURCES

    def __init__(self, container: Container, settings: PoolsSettings) -> None:
        self.settings = settings
        self._container = container
        self._pools: dict[str, Pool[Any]] = {}
        self._started = False
        self._add_source: Callable[[str, Source], object] = _ignore
        self._remove_source: Callable[[str], object] = _ignore

    def make(self, name: str, resources: IResources, nodes: Sequence[Node], settings: PoolSettings) -> Pool[Any]:
        """Make a pool with the balancer that its settings name, which may be a driver of the application, and add it."""
        balancer = None
        if settings.balance not in BALANCERS:
            balancer = self._container.driver(IBalancer, settings.balance)()
        pool: Pool[Any] = Pool(name, resources, nodes, settings, balancer)
        self.add(pool)
        return pool

    def add(self, pool: Pool[Any]) -> None:
        """Take in a pool, and start it when the others are started already.  ConflictError for a name that another has."""
        if self._pools.setdefault(pool.name, pool) is not pool:
            raise ConflictError(f"there is a pool {pool.name} already")
        self._add_sources(pool)
        if self._started:
            pool.start()

    def remove(self, pool: Pool[Any]) -> None:
        """Stop it and forget it."""
        if self._pools.get(pool.name) is pool:
            del self._pools[pool.name]
            for name in _sources(pool):
                self._remove_source(name)
        pool.stop()

    def all(self) -> dict[str, Pool[Any]]:
        """By name, in the order they were added."""
        return dict(self._pools)

    def tell(self, add_source: Callable[[str, Source], object], remove_source: Callable[[str], object]) -> None:
        """Have the numbers of all pools, also of those that come later, among the metrics."""
        self._add_source, self._remove_source = add_source, remove_source
        for pool in self._pools.values():
            self._add_sources(pool)

    def _add_sources(self, pool: Pool[Any]) -> None:
        for name, source in _sources(pool).items():
            self._add_source(name, source)
        pool.on_nodes = lambda: self._add_sources(pool)

    # -- as a service ------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Start all.  With ``check``: StartError names the pools that cannot connect."""
        self._started = True
        for pool in self._pools.values():
            pool.start()
        if self.settings.check:
            try:
                check_pools(list(self._pools.values()))
            except BaseException:
                self.stop()
                raise

    def drain(self) -> None:
        for pool in self._pools.values():
            pool.drain()

    def stop(self) -> None:
        self._started = False
        with ExitStack() as calls:
            for pool in self._pools.values():
                calls.callback(pool.stop)
