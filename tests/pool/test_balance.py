"""Which node a new resource is connected to."""

from __future__ import annotations

from collections import Counter

import pytest

from greenimi.errors import ConfigError
from greenimi.pool import Balancer, IBalancer, Node, Pool
from greenimi.pool.balance import BALANCERS, usable
from tests.pool.conftest import MakePool
from tests.pool.things import Thing, Things, settings, turn

TIMES = 10_000


def spread(name: str, nodes: list[Node]) -> Counter[str]:
    """How often each node is chosen by a pool that connects anew each time."""
    pool: Pool[Thing] = Pool("orders", Things(), nodes, settings(balance=name))
    balancer = pool._connecting._balancer
    return Counter(balancer.choose(pool.nodes).name for _ in range(TIMES))


def test_random_is_even() -> None:
    found = spread("random", [Node(name) for name in "abcd"])
    assert all(abs(count - TIMES / 4) < 250 for count in found.values())


def test_round_robin_is_exact() -> None:
    assert set(spread("round_robin", [Node(name) for name in "abcd"]).values()) == {TIMES // 4}


def test_round_robin_begins_anywhere() -> None:
    nodes = [Node(name) for name in "abcd"]
    assert len({BALANCERS["round_robin"]().choose(nodes).name for _ in range(100)}) == 4


def test_weights() -> None:
    found = spread("weighted", [Node("a", 1), Node("b", 3), Node("c", 0), Node("d", 6)])
    assert found["c"] == 0
    for name, part in (("a", 0.1), ("b", 0.3), ("d", 0.6)):
        assert abs(found[name] / TIMES - part) < 0.025


@pytest.mark.parametrize("name", BALANCERS)
def test_no_weight_is_never_chosen(name: str) -> None:
    found = spread(name, [Node("a"), Node("b", 0), Node("c")])
    assert set(found) == {"a", "c"}


def test_weights_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="all its nodes have the weight 0"):
        Pool("orders", Things(), [Node("a", 0), Node("b", 0)])
    with pytest.raises(ConfigError, match=r"the weight of the node a, -1, is below 0"):
        usable("orders", [Node("a", -1)])
    assert usable("orders", []) == []


def test_least_busy_fills_up_the_emptier(make_pool: MakePool, things: Things) -> None:
    a, b = Node("a", 1), Node("b", 2)
    pool = make_pool(nodes=[a, b], balance="least_busy", max=9)
    leases = [pool.take() for _ in range(9)]
    assert (a.open, b.open) == (3, 6)
    for lease in leases:
        lease.release()


def test_what_is_being_connected_counts(make_pool: MakePool, things: Things) -> None:
    a, b = Node("a"), Node("b")
    pool = make_pool(nodes=[a, b], balance="least_busy", max=4, min=4)
    things.pause = lambda what: turn(5)
    pool.start()
    turn(3)
    assert (a.open, b.open) == (2, 2)


@pytest.mark.parametrize("name", BALANCERS)
def test_all_are_balancers(name: str) -> None:
    balancer: Balancer = BALANCERS[name]()
    assert IBalancer.providedBy(balancer)
    node = Node("a")
    assert balancer.choose([node]) is node
