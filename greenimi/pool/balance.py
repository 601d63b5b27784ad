"""Which node a new resource is connected to.  Drivers: ``@bean(driver="name", provides=IBalancer)``, made once for each pool."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Protocol

from zope.interface import Interface, implementer

from greenimi.errors import ConfigError
from greenimi.pool.nodes import Node


class Balancer(Protocol):
    """What an object with IBalancer can do, for type checkers."""

    def choose(self, nodes: Sequence[Node]) -> Node: ...


class IBalancer(Interface):
    """Spreads the resources of one pool over its nodes.  Waits for nobody."""

    def choose(nodes: Sequence[Node]) -> Node:  # type: ignore[empty-body]  # noqa: N805 - as in all interfaces
        """One of these, at least one, which all have a weight above 0 and may be tried now."""


@implementer(IBalancer)
class Random:
    """Each as likely as the others."""

    def choose(self, nodes: Sequence[Node]) -> Node:
        return random.choice(nodes)  # noqa: S311 - no secret


@implementer(IBalancer)
class RoundRobin:
    """One after the other, from any of them on, so that processes do not go in step."""

    def __init__(self) -> None:
        self._next = random.randrange(2**16)  # noqa: S311 - no secret

    def choose(self, nodes: Sequence[Node]) -> Node:
        self._next += 1
        return nodes[self._next % len(nodes)]


@implementer(IBalancer)
class Weighted:
    """Each as likely as its weight says."""

    def choose(self, nodes: Sequence[Node]) -> Node:
        weights = list(accumulate(node.weight for node in nodes))
        return random.choices(nodes, cum_weights=weights)[0]  # noqa: S311 - no secret


@implementer(IBalancer)
class LeastBusy:
    """The one with the fewest resources for its weight; of several any."""

    def choose(self, nodes: Sequence[Node]) -> Node:
        least = min(node.open / node.weight for node in nodes)
        return random.choice([node for node in nodes if node.open / node.weight == least])  # noqa: S311 - no secret


BALANCERS: dict[str, Callable[[], Balancer]] = {
    "random": Random,
    "round_robin": RoundRobin,
    "weighted": Weighted,
    "least_busy": LeastBusy,
}


def usable(pool: str, nodes: Sequence[Node]) -> list[Node]:
    """Those that have a weight.  Raises ConfigError for weights that cannot be, or when there are nodes and none has one."""
    for node in nodes:
        if node.weight < 0:
            raise ConfigError(f"pool {pool}: the weight of the node {node.name}, {node.weight}, is below 0")
    found = [node for node in nodes if node.weight]
    if nodes and not found:
        raise ConfigError(f"pool {pool}: all its nodes have the weight 0, so none can be connected to")
    return found
