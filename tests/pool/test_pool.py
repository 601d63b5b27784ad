"""Taking and giving back: bounds, order, owners."""

from __future__ import annotations

import logging
import time
from typing import Any

import gevent
import pytest

from greenimi import green
from greenimi.container import Container, Scope
from greenimi.errors import ConfigError, NoScope
from greenimi.pool import Node, NoNode, Pool, PoolClosed, PoolError, PoolTimeout
from greenimi.testing.support import wait_until
from tests.pool.conftest import MakePool
from tests.pool.things import Thing, Things, assert_sound, settings, turn


def test_what_is_given_back_is_taken_again(make_pool: MakePool, things: Things) -> None:
    pool = make_pool()
    with pool.use() as first:
        pass
    with pool.use() as second:
        assert second is first
    assert len(things.made) == 1
    assert things.resets == 2
    assert_sound(pool, things)


def test_max_is_never_exceeded_and_nobody_starves(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(max=10, wait=30.0)
    most = 0
    waits: list[float] = []
    served: list[int] = []

    def work(number: int) -> None:
        nonlocal most
        began = time.monotonic()
        with pool.use() as thing, thing.used():
            waits.append(time.monotonic() - began)
            served.append(number)
            most = max(most, len(things.open))
            green.sleep(0.001)

    gevent.joinall([green.spawn(work, number) for number in range(500)], raise_error=True)
    assert most == 10
    assert len(things.made) == 10
    assert max(waits) <= 3 * sum(waits) / len(waits)
    assert served == sorted(served)
    assert_sound(pool, things)


def test_what_is_given_back_goes_to_who_waits_longest_and_nobody_overtakes(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(max=1)
    got: list[str] = []

    def take(name: str) -> None:
        with pool.use():
            got.append(name)

    lease = pool.take()
    waiting = [green.spawn(take, name) for name in ("a", "b", "c")]
    turn()
    lease.release()
    take("newcomer")  # is there before any of them could run
    gevent.joinall(waiting, raise_error=True)
    assert got == ["a", "b", "c", "newcomer"]
    assert_sound(pool, things)


def test_one_too_many_times_out_and_is_told_who_has_them(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(max=2, wait=0.01)
    held = [pool.take(), pool.take()]
    expected = r"pool orders: none of 2 was free within 0\.01 seconds; held longest by test_pool.py:\d+ in"
    with pytest.raises(PoolTimeout, match=expected) as caught:
        pool.take()
    assert caught.value.status == 503
    with pytest.raises(PoolTimeout, match="within 0 seconds"):
        pool.take(0)
    assert pool.statistics().timeouts == 2
    for lease in held:
        lease.release()
    with pool.use(0):  # nobody is left in the queue
        pass
    assert_sound(pool, things)


def test_the_number_of_those_who_wait_is_bounded(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(max=1, queue=2)
    lease = pool.take()
    waiting = [green.spawn(lambda: pool.take().release()) for _ in range(2)]
    turn()
    with pytest.raises(PoolTimeout, match="2 wait already"):
        pool.take()
    lease.release()
    gevent.joinall(waiting, raise_error=True)
    assert_sound(pool, things)


def test_who_waits_takes_what_is_there_first(make_pool: MakePool, things: Things) -> None:
    """Also when a new one is being connected for it, which takes long."""
    pool = make_pool(max=2)
    lease = pool.take()
    connected = green.Event()
    things.pause = lambda what: connected.wait() if what == "connect" else None
    waiting = green.spawn(pool.take)
    turn()
    assert pool.statistics().connecting == 1
    thing = lease.resource
    lease.release()
    got = waiting.get(timeout=5)
    assert got.resource is thing
    connected.set()
    wait_until(lambda: pool.statistics().idle == 1)
    got.release()
    assert_sound(pool, things)


def test_what_was_connected_for_one_who_gave_up_is_for_the_next(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(max=1)
    connected = green.Event()
    things.pause = lambda what: connected.wait() if what == "connect" else None
    with pytest.raises(PoolTimeout, match="1 are being connected"):
        pool.take(0.001)
    later = green.spawn(pool.take)
    turn()
    connected.set()
    later.get(timeout=5).release()
    assert len(things.made) == 1
    assert_sound(pool, things)


@pytest.mark.parametrize("error", [gevent.GreenletExit(), gevent.Timeout(1), KeyboardInterrupt()])
def test_what_something_else_than_an_exception_passed_by_is_discarded(make_pool: MakePool, things: Things, error: BaseException) -> None:
    pool = make_pool()
    with pytest.raises(type(error)), pool.use():
        raise error

    def by_hand() -> None:
        lease = pool.take()
        try:
            raise error
        finally:
            lease.release()

    with pytest.raises(type(error)):
        by_hand()
    assert things.open == []
    assert_sound(pool, things)


def test_what_is_used_while_a_timeout_is_handled_is_kept(make_pool: MakePool, things: Things) -> None:
    pool = make_pool()
    try:
        raise gevent.Timeout(1)
    except gevent.Timeout:
        with pool.use() as thing:
            pass
    assert things.open == [thing]
    assert_sound(pool, things)


def test_an_exception_is_no_reason_to_discard(make_pool: MakePool, things: Things) -> None:
    pool = make_pool()
    with pytest.raises(ValueError, match="mine"), pool.use():
        raise ValueError("mine")
    assert len(things.open) == 1
    assert_sound(pool, things)


@pytest.mark.parametrize("fault", ["lost", "stale"])
def test_what_is_lost_or_cannot_be_reset_is_not_lent_again(make_pool: MakePool, things: Things, fault: str) -> None:
    pool = make_pool()
    with pool.use() as thing:
        setattr(thing, fault, True)
    with pool.use() as another:
        assert another is not thing
    assert not thing.open
    assert_sound(pool, things)


def test_a_reset_that_raises_is_not_the_takers_problem(make_pool: MakePool, things: Things) -> None:
    pool = make_pool()

    def fail(what: str) -> None:
        if what == "reset":
            raise OSError("gone away")

    things.pause = fail
    with pool.use():
        pass
    assert things.open == []
    assert_sound(pool, things)


def test_what_was_unused_for_long_is_checked_first(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(idle_check=0.0)
    with pool.use() as thing:
        pass
    with pool.use():
        assert thing.checks == 1
    thing.dead = True
    with pool.use() as another:  # nobody sees an error
        assert another is not thing
    assert pool.statistics().failed_checks == 1
    assert_sound(pool, things)


def test_what_was_used_a_moment_ago_is_not_checked(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(idle_check=1000.0)
    for _ in range(3):
        with pool.use() as thing:
            pass
    assert thing.checks == 0
    assert pool.statistics().checks == 0


def test_when_one_is_found_dead_the_others_of_its_node_are_checked(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(max=3)
    leases = [pool.take() for _ in range(3)]
    for lease in leases:
        lease.resource.dead = True
        lease.release()
    with pool.use() as thing:
        thing.lost = True
    with pool.use() as thing:
        assert not thing.dead
    assert pool.statistics().failed_checks == 1  # which is enough: they were not heard of for longer yet
    assert len(things.open) == 1
    assert_sound(pool, things)


def test_when_one_is_known_to_be_lost_the_others_are_checked(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(max=3)
    leases = [pool.take() for _ in range(3)]
    for lease in leases:
        lease.release()
    things.made[2].lost = True  # while it is idle
    things.made[1].dead = True  # which nobody knows yet
    with pool.use() as thing:
        assert thing.number == 4
    assert_sound(pool, things)


def test_a_check_that_hangs_is_given_up(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(idle_check=0.0, check_time=0.01)
    with pool.use() as thing:
        pass
    things.pause = lambda what: green.sleep(30) if what == "check" else None
    with pool.use() as another:
        assert another is not thing
    assert not thing.open
    assert_sound(pool, things)


def test_whoever_found_a_dead_one_does_not_queue_again(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(max=1, idle_check=0.0)
    got: list[str] = []

    def take(name: str) -> None:
        with pool.use():
            got.append(name)

    with pool.use() as thing:
        pass
    thing.dead = True
    things.pause = lambda what: turn(3)
    first = green.spawn(take, "first")
    turn()
    second = green.spawn(take, "second")
    gevent.joinall([first, second], raise_error=True)
    assert got == ["first", "second"]
    assert_sound(pool, things)


def test_uses_are_counted(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(uses=2)
    used = []
    for _ in range(4):
        with pool.use() as thing:
            used.append(thing.number)
    assert used == [1, 1, 2, 2]
    assert_sound(pool, things)


# -- of a message ------------------------------------------------------------------------------------------------------


def test_a_message_has_one_and_gives_it_back(make_pool: MakePool, things: Things) -> None:
    pool = make_pool()
    with Scope(Container("app")):
        thing = pool.bound()
        assert pool.bound() is thing
        assert pool.statistics().busy == 1
    assert pool.statistics().idle == 1

    def fail() -> None:
        with Scope(Container("app")):
            assert pool.bound() is thing
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fail()
    assert_sound(pool, things)


def test_a_killed_message_gives_it_back_too(make_pool: MakePool, things: Things) -> None:
    pool = make_pool()

    def handle() -> None:
        with Scope(Container("app")):
            pool.bound()
            green.sleep(30)

    handler = green.spawn(handle)
    wait_until(lambda: pool.statistics().busy)
    handler.kill()
    assert things.open == []  # it may have been in the middle of something
    assert_sound(pool, things)


def test_what_is_lost_during_a_message_is_replaced(make_pool: MakePool, things: Things) -> None:
    pool = make_pool()
    with Scope(Container("app")):
        thing = pool.bound()
        thing.lost = True
        another = pool.bound()
        assert another is not thing
        assert pool.bound() is another
    assert_sound(pool, things)


def test_a_child_greenlet_of_a_message_has_one_of_its_own(make_pool: MakePool, things: Things) -> None:
    pool = make_pool()
    with Scope(Container("app")):
        thing = pool.bound()
        child: Any = green.spawn(pool.bound)
        assert child.get(timeout=5) is not thing
    assert_sound(pool, things)


def test_outside_of_a_message_there_is_none(make_pool: MakePool) -> None:
    with pytest.raises(NoScope):
        make_pool().bound()


# -- its life ----------------------------------------------------------------------------------------------------------


def test_stop_closes_everything_and_wakes_who_waits(make_pool: MakePool, things: Things, caplog: pytest.LogCaptureFixture) -> None:
    pool = make_pool(max=2)
    held, idle = pool.take(), pool.take()
    idle.release()
    keeps = pool.take()
    waiting = green.spawn(pool.take)
    turn()
    pool.stop()
    with pytest.raises(PoolClosed, match="was stopped"):
        waiting.get(timeout=5)
    assert things.open == []
    with pytest.raises(PoolClosed, match="pool orders is stopped"):
        pool.take()
    assert len([record for record in caplog.records if "was not given back" in record.message and "test_pool.py:" in record.message]) == 2
    with pytest.raises(PoolError, match="was closed: the pool was stopped"):
        _ = held.resource
    held.release()  # is no error
    keeps.discard()
    pool.stop()  # twice is once
    assert_sound(pool, things)


def test_stop_breaks_off_what_is_being_connected(make_pool: MakePool, things: Things) -> None:
    pool = make_pool()
    things.pause = lambda what: green.sleep(30)
    waiting = green.spawn(pool.take)
    turn(2)
    assert pool.nodes[0].open == 1
    pool.stop()
    turn(2)
    assert things.made == []
    with pytest.raises(PoolClosed):
        waiting.get(timeout=5)
    assert_sound(pool, things)


def test_stop_while_one_is_checked(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(idle_check=0.0)
    with pool.use():
        pass
    things.pause = lambda what: turn(3)
    taking = green.spawn(pool.take)
    turn()
    pool.stop()
    with pytest.raises(PoolClosed):
        taking.get(timeout=5)
    assert_sound(pool, things)


def test_stop_while_one_is_reset(make_pool: MakePool, things: Things) -> None:
    pool = make_pool()
    lease = pool.take()
    things.pause = lambda what: turn(3)
    releasing = green.spawn(lease.release)
    turn()
    pool.stop()
    releasing.get(timeout=5)
    assert_sound(pool, things)


def test_a_stopped_pool_can_be_started_again(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(min=1)
    pool.start()
    wait_until(lambda: pool.statistics().idle == 1)
    pool.stop()
    pool.start()
    with pool.use() as thing:
        assert thing.number == 2
    assert_sound(pool, things)


def test_a_drained_pool_is_not_filled_but_serves(make_pool: MakePool, things: Things) -> None:
    pool = make_pool(min=2)
    pool.start()
    wait_until(lambda: pool.statistics().idle == 2)
    pool.drain()
    pool.take().discard()
    pool.take().discard()
    turn(5)
    assert pool.size == 0
    with pool.use():
        pass
    assert_sound(pool, things)


def test_another_thread_is_refused(make_pool: MakePool, things: Things) -> None:
    pool = make_pool()
    lease = pool.take()
    found: list[str] = []

    def elsewhere() -> None:
        for call in (pool.take, pool.start, lease.release, lease.discard):
            try:
                call()
            except PoolError as error:
                found.append(error.text)

    green.in_thread(elsewhere)
    assert found == ["pool orders belongs to another thread"] * 4
    lease.release()
    assert_sound(pool, things)


# -- nodes -------------------------------------------------------------------------------------------------------------


def test_other_nodes(make_pool: MakePool, things: Things) -> None:
    one, two = Node("one"), Node("two")
    pool = make_pool(nodes=[one])
    held = pool.take()
    with pool.use() as idle:
        pass
    pool.set_nodes([two])
    assert not idle.open
    assert held.resource.open  # until it is given back
    with pool.use() as thing:
        assert thing.node is two
    held.release()
    assert [thing.node for thing in things.open] == [two]
    assert one.open == 0
    assert_sound(pool, things)


def test_what_is_connected_to_a_node_that_went_meanwhile_is_not_used(make_pool: MakePool, things: Things) -> None:
    one, two = Node("one"), Node("two")
    pool = make_pool(nodes=[one])
    connected = green.Event()
    things.pause = lambda what: connected.wait() if what == "connect" else None
    taking = green.spawn(pool.take)
    wait_until(lambda: one.open)
    pool.set_nodes([two])
    connected.set()
    lease = taking.get(timeout=5)
    assert lease.resource.node is two
    lease.release()
    assert_sound(pool, things)


def test_without_nodes(make_pool: MakePool) -> None:
    pool = make_pool()
    pool.set_nodes([])
    with pytest.raises(NoNode, match="pool orders has no node"):
        pool.take()


def test_what_cannot_be() -> None:
    with pytest.raises(ConfigError, match="pool orders: max: it must be above 0"):
        Pool("orders", Things(), [Node("a")], settings(max=0))
    with pytest.raises(ConfigError, match="there is no balancer mine"):
        Pool("orders", Things(), [Node("a")], settings(balance="mine"))


def test_a_resource_that_cannot_be_closed_is_logged(make_pool: MakePool, things: Things, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Things):
        def close(self, resource: Thing) -> None:
            raise OSError("no")

    pool: Pool[Thing] = Pool("orders", Broken(), [Node("a")], settings())
    pool.take().discard()
    assert pool.size == 0
    assert "could not be closed" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR


def test_it_shows_itself(make_pool: MakePool) -> None:
    pool = make_pool()
    with pool.use():
        assert repr(pool) == "<Pool orders: 1 in use, 0 idle, 0 waiting>"
