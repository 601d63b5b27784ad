"""Who gets nothing is told why."""

from __future__ import annotations

from greenimi import green
from greenimi.pool import Node
from greenimi.pool.waiting import who_holds
from tests.pool.conftest import MakePool
from tests.pool.things import Things, turn


def test_the_longest_are_named(make_pool: MakePool) -> None:
    pool = make_pool(max=5)
    leases = [pool.take() for _ in range(5)]
    told = who_holds(pool)
    assert told.count("test_waiting.py:") == 3
    assert told.endswith(" and 2 more")
    for lease in leases:
        lease.release()
    assert who_holds(pool) == "none is there"


def test_what_goes_on_and_what_failed_is_told(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(nodes=[Node("a")])
    pool.nodes[0].failed("OSError: refused")
    things.pause = lambda what: green.sleep(30)
    taking = green.spawn(pool.take)
    turn()
    assert who_holds(pool) == "1 are being connected; a: OSError: refused"
    taking.kill()
