"""Pools of resources, such as connections to databases: see :class:`greenimi.pool.pool.Pool`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greenimi.container.setup import Setup
    from greenimi.pool.balance import Balancer, IBalancer
    from greenimi.pool.errors import ConnectTimeout, LeaseError, NoNode, PoolClosed, PoolError, PoolTimeout
    from greenimi.pool.lease import Lease
    from greenimi.pool.nodes import Node
    from greenimi.pool.pool import Pool
    from greenimi.pool.pools import Pools
    from greenimi.pool.settings import PoolSettings
    from greenimi.pool.statistics import PoolStatistics

_LAZY = {
    "Balancer": "greenimi.pool.balance",
    "ConnectTimeout": "greenimi.pool.errors",
    "IBalancer": "greenimi.pool.balance",
    "Lease": "greenimi.pool.lease",
    "LeaseError": "greenimi.pool.errors",
    "NoNode": "greenimi.pool.errors",
    "Node": "greenimi.pool.nodes",
    "Pool": "greenimi.pool.pool",
    "PoolClosed": "greenimi.pool.errors",
    "PoolError": "greenimi.pool.errors",
    "PoolSettings": "greenimi.pool.settings",
    "PoolStatistics": "greenimi.pool.statistics",
    "PoolTimeout": "greenimi.pool.errors",
    "Pools": "greenimi.pool.pools",
}
"""Imported when asked for: the decorators of this room are marked on functions before anything else is there."""

__all__ = [
    "Balancer",
    "ConnectTimeout",
    "IBalancer",
    "Lease",
    "LeaseError",
    "NoNode",
    "Node",
    "Pool",
    "PoolClosed",
    "PoolError",
    "PoolSettings",
    "PoolStatistics",
    "PoolTimeout",
    "Pools",
    "includeme",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(_LAZY[name]), name)


def includeme(setup: Setup) -> None:
    """Read ``[pool]``, bring the bean and service Pools, and the balancers."""
    from greenimi.container.beans import BeanBinding, Definition
    from greenimi.marks import here
    from greenimi.pool.balance import BALANCERS, IBalancer
    from greenimi.pool.pools import Pools
    from greenimi.pool.settings import PoolsSettings

    for name, balancer in BALANCERS.items():
        definition = Definition(balancer, provides=(IBalancer,), driver=name, where=here(1))
        setup.container.bind(BeanBinding(setup.container, definition))
    pools = Pools(setup.container, setup.settings("pool", PoolsSettings))
    setup.container.add(Pools, pools)
    setup.add_service(pools, "pools")
