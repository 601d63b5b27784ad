"""Pools of resources, such as connections to databases: see :class:`greenimi.pool.pool.Pool`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenimi.pool.balance import BALANCERS, Balancer, IBalancer
from greenimi.pool.errors import LeaseError, NoNode, PoolClosed, PoolError, PoolTimeout
from greenimi.pool.lease import Lease
from greenimi.pool.nodes import Node
from greenimi.pool.pool import Pool
from greenimi.pool.pools import Pools
from greenimi.pool.settings import PoolSettings, PoolsSettings
from greenimi.pool.statistics import PoolStatistics

if TYPE_CHECKING:
    from greenimi.container.setup import Setup

__all__ = [
    "Balancer",
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


def includeme(setup: Setup) -> None:
    """Read ``[pool]``, bring the bean and service Pools, and the balancers."""
    from greenimi.container.beans import BeanBinding, Definition
    from greenimi.marks import here

    for name, balancer in BALANCERS.items():
        definition = Definition(balancer, provides=(IBalancer,), driver=name, where=here(1))
        setup.container.bind(BeanBinding(setup.container, definition))
    pools = Pools(setup.container, setup.settings("pool", PoolsSettings))
    setup.container.add(Pools, pools)
    setup.add_service(pools, "pools")
