"""Connecting: in the background, bounded in time, to another node when one fails."""

from __future__ import annotations

import contextlib
import logging

import gevent
import pytest

from greenimi import green
from greenimi.pool import Node, PoolClosed, PoolTimeout
from greenimi.testing.support import wait_until
from tests.pool.conftest import MakePool
from tests.pool.things import Thing, Things, assert_sound, turn


def test_who_takes_gets_the_drivers_error_with_a_note(make_pool: MakePool, things: Things) -> None:
    pool = make_pool()
    things.failing["db1"] = ConnectionRefusedError("nobody there")
    with pytest.raises(ConnectionRefusedError, match="nobody there") as caught:
        pool.take()
    assert caught.value.__notes__ == ["while the pool orders connected to its node db1"]
    del things.failing["db1"]
    with pool.use():  # the only node is tried at once anyway
        pass
    assert_sound(pool, things)


def test_each_taker_gets_an_error_of_its_own(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(max=3)

    def fail(what: str) -> None:
        turn()
        raise OSError("refused")

    things.pause = fail
    takers = [green.spawn(pool.take) for _ in range(20)]
    gevent.joinall(takers)
    assert len({id(taker.exception) for taker in takers}) == 20
    assert all(isinstance(taker.exception, OSError) for taker in takers)
    assert pool.statistics().failures == 20
    assert_sound(pool, things)


def test_an_error_is_for_nobody_for_whom_another_connect_is_under_way(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(max=3)
    held = pool.take()
    answers = [green.Event(), green.Event()]
    asked: list[Node] = []

    def connect(what: str) -> None:
        if what == "connect":
            asked.append(pool.nodes[0])
            number = len(asked)
            answers[number - 1].wait()
            if number == 1:
                raise OSError("refused")

    things.pause = connect
    takers = [green.spawn(pool.take), green.spawn(pool.take)]
    wait_until(lambda: len(asked) == 2)
    held.release()  # for the first of them
    turn()
    answers[0].set()
    wait_until(lambda: pool.statistics().failures)
    answers[1].set()
    for taker in takers:
        taker.get(timeout=5).release()
    assert_sound(pool, things)


def test_connects_count_against_max_and_hold_nobody_up(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(max=3)
    first = pool.take()
    connected = green.Event()
    most = 0

    def slow(what: str) -> None:
        nonlocal most
        if what == "connect":
            most = max(most, pool.size)
            connected.wait()

    things.pause = slow
    waiting = [green.spawn(pool.take) for _ in range(5)]
    turn(2)
    assert pool.statistics().connecting == 2
    first.release()  # goes through while two are connecting
    turn()
    assert sum(waiter.ready() for waiter in waiting) == 1
    connected.set()
    for _ in range(5):
        wait_until(lambda: any(waiter.ready() for waiter in waiting))
        done = next(waiter for waiter in waiting if waiter.ready())
        waiting.remove(done)
        done.get().release()
    assert most == 3
    assert_sound(pool, things)


def test_a_slow_connect_is_given_up(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(connect_time=0.01)
    things.pause = lambda what: green.sleep(30)
    with pytest.raises(TimeoutError, match=r"no connection within 0\.01 seconds"):
        pool.take()
    assert_sound(pool, things)


def test_a_taker_does_not_wait_for_a_slow_connect_longer_than_it_said(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(connect_time=30.0, wait=0.01)
    things.pause = lambda what: green.sleep(30)
    with pytest.raises(PoolTimeout, match=r"none of 3 was free within 0\.01 seconds; 1 are being connected"):
        pool.take()
    pool.stop()
    turn(2)
    assert_sound(pool, things)


def test_another_node_is_tried_and_the_dead_one_left_alone(make_pool: MakePool, things: Things, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    dead, alive = Node("dead"), Node("alive")
    pool = make_pool(nodes=[dead, alive], balance="round_robin", max=20, eject=1000.0, eject_limit=1000.0)
    things.failing["dead"] = OSError("refused")
    leases = [pool.take() for _ in range(20)]  # nobody sees an error
    assert {lease.resource.node.name for lease in leases} == {"alive"}
    assert dead.failures == 1
    assert caplog.text.count("the node dead cannot be connected to: OSError: refused") == 1
    for lease in leases:
        lease.release()
    assert_sound(pool, things)


def test_a_node_is_back_after_one_attempt(make_pool: MakePool, things: Things, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    dead, alive = Node("dead"), Node("alive")
    pool = make_pool(nodes=[dead, alive], balance="least_busy", max=6, eject=0.01, eject_limit=0.01)
    things.failing["dead"] = OSError("refused")
    leases = [pool.take() for _ in range(3)]
    assert dead.open == 0
    del things.failing["dead"]
    wait_until(lambda: dead.available)
    leases += [pool.take() for _ in range(3)]
    assert dead.open == 3  # it has the fewest
    assert "the node dead can be connected to again" in caplog.text
    for lease in leases:
        lease.release()
    assert_sound(pool, things)


def test_while_one_attempt_decides_the_others_go_elsewhere(make_pool: MakePool, things: Things) -> None:
    dead, alive = Node("dead"), Node("alive")
    pool = make_pool(nodes=[dead, alive], balance="least_busy", max=6, eject=0.01, eject_limit=0.01)
    dead.failed("refused")
    wait_until(lambda: dead.available)
    answered = green.Event()
    tried: list[Node] = []
    connect = things.connect

    def connect_slowly(node: Node) -> Thing:
        tried.append(node)
        if node is dead:
            answered.wait()
        return connect(node)

    things.connect = connect_slowly  # type: ignore[method-assign]
    takers = [green.spawn(pool.take) for _ in range(4)]
    turn(3)
    assert tried.count(dead) == 1
    answered.set()
    for lease in [taker.get(timeout=5) for taker in takers]:
        lease.release()
    assert_sound(pool, things)


def test_with_all_ejected_one_is_tried_at_once(make_pool: MakePool, things: Things) -> None:
    nodes = [Node("a"), Node("b")]
    pool = make_pool(nodes=nodes, eject=1000.0, eject_limit=1000.0)
    things.failing = {"a": OSError("refused"), "b": OSError("refused")}
    with pytest.raises(OSError, match="refused"):
        pool.take()
    assert [node.failures for node in nodes] == [1, 1]
    things.failing.clear()
    with pool.use():
        pass
    assert sum(node.available for node in nodes) == 1
    assert_sound(pool, things)


def test_an_attempt_that_is_killed_is_made_again(make_pool: MakePool, things: Things) -> None:
    pool = make_pool()
    connected = green.Event()
    things.pause = lambda what: connected.wait() if what == "connect" else None
    taking = green.spawn(pool.take)
    turn(2)
    attempt = next(iter(pool._connecting.attempts))
    attempt.greenlet.kill()
    connected.set()
    taking.get(timeout=5).release()
    assert_sound(pool, things)


def test_a_pool_stopped_before_an_attempt_began(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(min=3)
    pool.start()
    turn()
    pool.stop()
    turn(2)
    assert things.made == []
    assert_sound(pool, things)


def test_a_driver_that_does_not_let_itself_be_killed(make_pool: MakePool, things: Things) -> None:
    pool = make_pool()

    def swallow(what: str) -> None:
        with contextlib.suppress(gevent.GreenletExit):
            green.sleep(30)

    things.pause = swallow
    taking = green.spawn(pool.take)
    turn(2)
    pool.stop()
    turn(2)
    assert len(things.made) == 1
    assert things.open == []  # closed, as nobody wants it any more
    assert isinstance(taking.exception, PoolClosed)
    assert pool.size == pool.nodes[0].open == 0


def test_an_attempt_that_is_broken_off_decides_nothing(make_pool: MakePool, things: Things) -> None:
    dead, alive = Node("dead"), Node("alive", 0)
    pool = make_pool(nodes=[dead, alive], eject=0.001, eject_limit=0.001)
    dead.failed("refused")
    wait_until(lambda: dead.available)
    things.pause = lambda what: green.sleep(30)
    taking = green.spawn(pool.take)
    wait_until(lambda: not dead.available)  # as it is being tried
    pool.stop()
    wait_until(lambda: dead.available)
    assert isinstance(taking.exception, PoolClosed)
