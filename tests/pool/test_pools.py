"""The pools of an application: started, checked, counted, stopped."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from zope.interface import implementer

from greenimi.container import Setup
from greenimi.errors import ConflictError, MissingBean, StartError
from greenimi.marks import bean
from greenimi.pool import IBalancer, Node, Pools
from greenimi.servers.watch.metrics import exposition
from greenimi.servers.watch.statistics import Statistics
from greenimi.servers.watch.totals import read
from greenimi.testing.plugin import AppFactory
from greenimi.testing.support import make_app, wait_until
from tests.pool.things import Things, settings

WEB: dict[str, Any] = {"servers": {"web": {"kind": "http"}}}


@pytest.fixture
def things() -> Things:
    return Things()


def test_they_live_as_long_as_the_application(app_factory: AppFactory, things: Things) -> None:
    def include(setup: Setup) -> None:
        setup.container.get(Pools).make("orders", things, [Node("db1")], settings(min=1))

    app = app_factory([include])
    pools = app.container.get(Pools)
    assert list(pools.all()) == ["orders"]
    wait_until(lambda: things.open)
    late = pools.make("late", things, [Node("db1")], settings(min=1))
    wait_until(lambda: len(things.open) == 2)
    pools.remove(late)
    assert list(pools.all()) == ["orders"]
    assert len(things.open) == 1
    app.drain()
    with pools.all()["orders"].use():  # for what is still under way
        pass
    app.stop()
    assert things.open == []


def test_a_start_that_fails_fast(things: Things) -> None:
    def include(setup: Setup) -> None:
        setup.container.get(Pools).make("orders", things, [Node("db1")], settings())

    things.failing["db1"] = OSError("refused")
    app = make_app({**WEB, "pool": {"check": True}}, [include])
    with pytest.raises(StartError, match="the pool orders cannot connect: node db1: OSError: refused"):
        app.start()
    assert app.container.get(Pools).all()["orders"].closed
    things.failing.clear()
    app = make_app({**WEB, "pool": {"check": True}}, [include])
    app.start()
    assert len(things.open) == 1
    app.stop()


def test_without_the_check_it_starts(things: Things) -> None:
    def include(setup: Setup) -> None:
        setup.container.get(Pools).make("orders", things, [Node("db1")], settings(min=1))

    things.failing["db1"] = OSError("refused")
    app = make_app(WEB, [include])
    app.start()
    assert app.container.get(Pools).all()["orders"].statistics().size in {0, 1}
    app.stop()


def test_names_are_unique(app_factory: AppFactory, things: Things) -> None:
    pools = app_factory().container.get(Pools)
    pool = pools.make("orders", things, [Node("db1")], settings())
    pools.add(pool)  # twice is once
    with pytest.raises(ConflictError, match="there is a pool orders already"):
        pools.make("orders", things, [Node("db1")], settings())


def metrics(pools: Statistics) -> list[str]:
    pools.write()
    return exposition(*read(pools.board)).splitlines()


def test_metrics(app_factory: AppFactory, things: Things) -> None:
    app = app_factory()
    pools, statistics = app.container.get(Pools), app.container.get(Statistics)
    pool = pools.make("orders", things, [Node("db1")], settings())
    things.failing["db1"] = OSError("refused")
    with pytest.raises(OSError, match="refused"):
        pool.take()
    pool.set_nodes([Node("db2")])
    with pool.use():
        found = metrics(statistics)
    assert 'greenimi_pool_busy{name="orders"} 1' in found
    assert 'greenimi_pool_takes_total{name="orders"} 1' in found
    assert "# TYPE greenimi_pool_takes_total counter" in found
    assert 'greenimi_poolnode_failures_total{name="orders/db1"} 1' in found
    assert 'greenimi_poolnode_open{name="orders/db2"} 1' in found
    pools.remove(pool)
    found = metrics(statistics)
    assert 'greenimi_pool_takes_total{name="orders"} 1' in found  # counters do not shrink
    assert not any(line.startswith("greenimi_pool_busy{") for line in found)


def test_a_balancer_of_the_application(app_factory: AppFactory, things: Things) -> None:
    @bean(driver="last", provides=IBalancer)
    @implementer(IBalancer)
    class Last:
        def choose(self, nodes: list[Node]) -> Node:
            return nodes[-1]

    pools = app_factory([Last]).container.get(Pools)
    pool = pools.make("orders", things, [Node("a"), Node("b"), Node("c", 0)], settings(balance="last"))
    with pool.use() as thing:
        assert thing.node.name == "b"
    with pytest.raises(MissingBean, match="has no driver 'lst'"):
        pools.make("other", things, [Node("a")], settings(balance="lst"))


def test_an_application_without_pools(app_factory: AppFactory) -> None:
    assert app_factory().container.get(Pools).all() == {}


def test_pools_bring_no_driver() -> None:
    script = (
        "import sys, greenimi.pool; "
        "print([name for name in ('redis', 'pymysql', 'peewee', 'MySQLdb', 'psycopg', 'lmdb', 'sqlite3') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert found.stdout == "[]\n"


def test_the_balancers_are_drivers(app_factory: AppFactory) -> None:
    assert app_factory().container.drivers(IBalancer) == ["least_busy", "random", "round_robin", "weighted"]
