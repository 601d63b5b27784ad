"""What a pool tells of itself is what was done with it."""

from __future__ import annotations

import gevent
import pytest

from greenimi import green
from greenimi.pool import Node, PoolTimeout
from tests.pool.conftest import MakePool
from tests.pool.things import Things, turn


def test_a_run_by_script(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(max=2, idle_check=0.0)
    a, b = pool.take(), pool.take()  # both wait for a connect
    with pytest.raises(PoolTimeout):
        pool.take(0.001)
    waiting = green.spawn(lambda: pool.take().release())
    turn()
    found = pool.statistics()
    assert (found.name, found.max, found.size, found.idle, found.busy, found.connecting, found.waiting) == ("orders", 2, 2, 0, 2, 0, 1)
    assert [held.where.partition(":")[0] for held in found.held] == ["test_statistics.py"] * 2
    a.release()
    gevent.joinall([waiting], raise_error=True)
    b.discard()
    with pool.use():  # after a check
        pass
    things.failing["db1"] = OSError("refused")
    kept = pool.take()
    with pytest.raises(OSError, match="refused"):
        pool.take()
    kept.release()
    found = pool.statistics()
    assert (found.takes, found.waits, found.timeouts) == (5, 3, 1)
    assert (found.connects, found.failures, found.closed) == (2, 1, 1)
    assert (found.checks, found.failed_checks, found.lost) == (2, 0, 0)
    assert 0 < found.longest_wait <= found.wait_seconds
    node = found.nodes[0]
    assert (node.name, node.open, node.connects, node.failures, node.problem) == ("db1", 1, 2, 1, "OSError: refused")
    assert 0 < node.ejected <= 1


def test_numbers_are_those_of_the_statistics(make_pool: MakePool) -> None:
    pool = make_pool(nodes=[Node("a"), Node("b")])
    lease = pool.take()
    numbers, found = pool.numbers(), pool.statistics()
    assert numbers == {
        "max": found.max,
        "idle": found.idle,
        "busy": found.busy,
        "connecting": found.connecting,
        "waiting": found.waiting,
        "takes_total": found.takes,
        "waits_total": found.waits,
        "wait_seconds_total": found.wait_seconds,
        "timeouts_total": found.timeouts,
        "connects_total": found.connects,
        "failures_total": found.failures,
        "failed_checks_total": found.failed_checks,
        "closed_total": found.closed,
        "lost_total": found.lost,
    }
    lease.release()
