"""A start that fails fast when a pool cannot connect."""

from __future__ import annotations

import pytest

from greenimi import green
from greenimi.config.secret import Secret
from greenimi.errors import StartError
from greenimi.pool import Node
from greenimi.pool.check import check_pools
from tests.pool.conftest import MakePool
from tests.pool.things import Things, assert_sound


def test_all_is_well(make_pool: MakePool, things: Things) -> None:
    pool = make_pool()
    check_pools([pool])
    assert pool.statistics().takes == 1
    assert_sound(pool, things)


def test_pool_node_and_error_are_named_and_no_password(make_pool: MakePool, things: Things) -> None:
    things.failing = {"db1": OSError("refused"), "db2": OSError("ann:hush is not let in")}
    well = make_pool(name="well", nodes=[Node("db0")])
    pools = [well, make_pool(), make_pool(name="reports", nodes=[Node("db1"), Node("db2", settings={"password": Secret("hush")})])]
    with pytest.raises(StartError) as caught:
        check_pools(pools)
    assert caught.value.text.splitlines() == [
        "the pool orders cannot connect: node db1: OSError: refused",
        "the pool reports cannot connect: node db1: OSError: refused; node db2: OSError: ann:*** is not let in",
    ]


def test_one_node_of_several_is_enough(make_pool: MakePool, things: Things) -> None:
    things.failing = {"db1": OSError("refused")}
    check_pools([make_pool(nodes=[Node("db1"), Node("db2")])])
    assert [thing.node.name for thing in things.open] == ["db2"]


def test_a_server_that_does_not_answer(make_pool: MakePool, things: Things) -> None:
    things.pause = lambda what: green.sleep(30)
    with pytest.raises(StartError, match=r"node db1: ConnectTimeout: no connection within 0\.01 seconds"):
        check_pools([make_pool(connect_time=0.01)])


def test_a_pool_without_nodes(make_pool: MakePool) -> None:
    pool = make_pool()
    pool.set_nodes([])
    with pytest.raises(StartError, match="NoNode: pool orders has no node to connect to"):
        check_pools([pool])
