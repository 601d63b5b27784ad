"""What happens in the background: filling, old age, reports, heartbeats."""

from __future__ import annotations

import logging
import time

import pytest

from greenimi import green
from greenimi.pool import LeaseError, Node
from greenimi.testing.support import wait_until
from tests.pool.conftest import MakePool
from tests.pool.things import Thing, Things, assert_sound, turn


def test_min_is_filled_at_start_and_again(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(min=2)
    turn(3)
    assert things.made == []
    pool.start()
    wait_until(lambda: len(things.open) == 2)
    pool.take().discard()
    wait_until(lambda: len(things.open) == 2)
    wait_until(lambda: not pool.statistics().connecting)
    assert len(things.made) == 3
    assert_sound(pool, things)


def test_filling_goes_on_when_the_server_is_back(make_pool: MakePool, things: Things, caplog: pytest.LogCaptureFixture) -> None:
    pool = make_pool(min=2, eject=0.01, eject_limit=0.02)
    things.failing["db1"] = OSError("refused")
    pool.start()
    wait_until(lambda: pool.statistics().failures > 4)
    assert caplog.text.count("cannot be connected to") == 1  # and not each time
    things.failing.clear()
    wait_until(lambda: len(things.open) == 2)
    assert_sound(pool, things)


def test_a_dead_server_is_not_asked_all_the_time(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(min=2, eject=1000.0, eject_limit=1000.0)
    things.failing["db1"] = OSError("refused")
    pool.start()
    wait_until(lambda: pool.statistics().failures == 2)
    turn(50)
    assert pool.statistics().failures == 2


def test_what_is_unused_for_long_is_closed_down_to_min(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(max=5, min=2, idle=0.03)
    leases = [pool.take() for _ in range(5)]
    for lease in leases:
        lease.release()
    given_back = time.monotonic()
    wait_until(lambda: len(things.open) == 2)
    assert time.monotonic() - given_back >= 0.03
    assert {thing.number for thing in things.open} == {4, 5}  # which were used last
    turn(20)
    assert len(things.open) == 2
    assert_sound(pool, things)


def test_what_is_old_is_closed_and_replaced(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(min=1, life=0.05)
    pool.start()
    wait_until(lambda: len(things.open) == 1)
    born = time.monotonic()
    wait_until(lambda: not things.made[0].open)
    assert time.monotonic() - born >= 0.04
    wait_until(lambda: len(things.open) == 1 and not pool.statistics().connecting)
    assert_sound(pool, things)


def test_what_is_old_and_in_use_is_closed_when_it_is_given_back(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(life=0.01)
    with pool.use() as thing:
        green.sleep(0.02)
        assert things.open == [thing]
    assert things.open == []
    assert_sound(pool, things)


def test_ages_differ(make_pool: MakePool) -> None:
    pool = make_pool(max=20, life=100.0)
    leases = [pool.take() for _ in range(20)]
    lives = [slot.ends - slot.since for slot in pool._held]
    assert all(89 < life < 111 for life in lives)
    assert max(lives) - min(lives) > 1
    for lease in leases:
        lease.release()


def test_who_holds_one_for_long_is_reported_once(make_pool: MakePool, things: Things, caplog: pytest.LogCaptureFixture) -> None:
    pool = make_pool(report_after=0.02)
    with pool.use():
        wait_until(lambda: caplog.records)
        green.sleep(0.05)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "pool orders: what test_tending.py:" in caplog.text
    assert "in test_who_holds_one_for_long_is_reported_once took " in caplog.text
    assert " seconds ago was not given back yet" in caplog.text
    caplog.clear()
    with pool.use():  # another use is another report
        wait_until(lambda: caplog.records)
    assert_sound(pool, things)


def test_who_holds_one_for_too_long_loses_it(make_pool: MakePool, things: Things, caplog: pytest.LogCaptureFixture) -> None:
    pool = make_pool(max=1, close_after=0.02)
    lease = pool.take()
    with pool.use() as another:  # waits for it
        assert another.number == 2
    assert not things.made[0].open
    assert "test_tending.py" in caplog.text
    with pytest.raises(LeaseError, match="was closed: it was held for"):
        _ = lease.resource
    lease.release()
    assert_sound(pool, things)


def test_heartbeats_check_what_is_free_and_nothing_else(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(max=3, heartbeat=0.01)
    used, free = pool.take(), pool.take()
    free.release()
    asleep = things.made[1]
    wait_until(lambda: asleep.checks >= 3)
    assert used.resource.checks == 0
    used.release()
    wait_until(lambda: things.made[0].checks)
    pool.stop()
    assert_sound(pool, things)


def test_a_heartbeat_replaces_what_is_dead(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(min=2, heartbeat=0.01, eject=0.01)
    pool.start()
    wait_until(lambda: len(things.open) == 2)
    things.made[0].dead = things.made[1].dead = True
    wait_until(lambda: len(things.made) >= 4 and len(things.open) == 2)
    assert not any(thing.dead for thing in things.open)


def test_heartbeats_never_overlap_and_leave_the_rest_alone(make_pool: MakePool, things: Things) -> None:
    """A server that does not answer: one check at a time, and others are served meanwhile."""
    pool = make_pool(max=3, heartbeat=0.01, check_time=30.0)
    leases = [pool.take() for _ in range(3)]
    for lease in leases:
        lease.release()
    under_way = most = 0
    answered = green.Event()

    def slow(what: str) -> None:
        nonlocal under_way, most
        if what == "check":
            under_way += 1
            most = max(most, under_way)
            answered.wait()
            under_way -= 1

    things.pause = slow
    wait_until(lambda: under_way)
    green.sleep(0.05)
    assert most == 1
    with pool.use(), pool.use():  # the other two
        pass
    answered.set()
    wait_until(lambda: sum(thing.checks for thing in things.made) > 3)
    assert most == 1
    pool.stop()
    assert_sound(pool, things)


def test_who_came_during_a_heartbeat_gets_what_was_checked(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(max=1, heartbeat=0.01)
    with pool.use() as thing:
        pass
    answered = green.Event()
    checking = green.Event()

    def slow(what: str) -> None:
        if what == "check":
            checking.set()
            answered.wait()

    things.pause = slow
    checking.wait(5)
    taking = green.spawn(pool.take)
    turn()
    answered.set()
    lease = taking.get(timeout=5)
    assert lease.resource is thing
    lease.release()
    pool.stop()
    assert_sound(pool, things)


def test_a_heartbeat_makes_nothing_younger(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(heartbeat=0.01, idle=0.05)
    with pool.use() as thing:
        pass
    wait_until(lambda: not thing.open)
    assert thing.checks >= 2
    assert_sound(pool, things)


def test_a_heartbeat_changes_no_order(make_pool: MakePool, things: Things) -> None:
    """What was given back last is taken first, so that those too many get old."""
    pool = make_pool(heartbeat=0.03)
    old, young = pool.take(), pool.take()
    old.release()
    green.sleep(0.02)
    young.release()
    wait_until(lambda: things.made[0].checks)
    assert [slot.resource.number for slot in pool._idle] == [1, 2]
    pool.stop()


def test_there_is_a_greenlet_only_while_it_is_needed(make_pool: MakePool, things: Things) -> None:
    quiet = make_pool(name="quiet")
    quiet.start()
    with quiet.use():
        assert quiet._tending._greenlet is None
    pool = make_pool(idle=0.02)
    pool.start()
    turn()
    found = [pool._tending._greenlet]
    with pool.use():
        turn()
        found.append(pool._tending._greenlet)
    with pool.use(), pool.use():
        found.append(pool._tending._greenlet)
    assert found[0] is None
    assert found[1] is found[2] is not None
    wait_until(lambda: pool.size == 0)
    wait_until(lambda: pool._tending._greenlet is None)


def test_a_fault_in_tending_is_logged_and_it_goes_on(
    make_pool: MakePool, things: Things, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pool = make_pool(idle=0.02)
    failed = green.Event()

    def fail() -> float:
        failed.set()
        raise RuntimeError("a mistake of ours")

    with monkeypatch.context() as patch:
        patch.setattr(pool._tending, "_fill", fail)
        with pool.use():
            assert failed.wait(5)
    assert "tending it failed" in caplog.text
    pool._tending.look()
    wait_until(lambda: pool.size == 0)
    assert_sound(pool, things)


def test_stop_ends_it(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(min=1, heartbeat=0.01)
    pool.start()
    wait_until(lambda: things.made and things.made[0].checks)
    greenlet = pool._tending._greenlet
    pool.stop()
    turn(2)
    assert greenlet is not None
    assert greenlet.dead
    assert_sound(pool, things)


def test_a_node_that_comes_later_is_filled(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(min=1)
    pool.set_nodes([])
    pool.start()
    turn(3)
    assert things.made == []
    pool.set_nodes([Node("late")])
    wait_until(lambda: len(things.open) == 1)

    def of_node(thing: Thing) -> str:
        return thing.node.name

    assert [of_node(thing) for thing in things.open] == ["late"]
