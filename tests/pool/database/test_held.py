"""The connection that a greenlet keeps."""

from __future__ import annotations

import pytest

from greenimi import green
from greenimi.container import Container
from greenimi.container.context import Scope
from greenimi.pool.database.held import NOTHING
from tests.pool.database.conftest import MakeMySQL


def test_it_goes_back_with_the_last_who_wants_it(make_mysql: MakeMySQL) -> None:
    database = make_mysql()
    holds = database.holds
    first = holds.enter()
    assert holds.enter() is first
    assert holds.now() is first
    assert green.spawn(holds.now).get() is None
    holds.leave(first)
    assert database.primary.statistics().busy == 1
    holds.leave(first)
    assert holds.now() is None
    assert database.primary.statistics().busy == 0
    holds.end(first)  # what ended is not ended again
    assert database.primary.statistics().idle == 1


def test_a_broken_one_is_closed(make_mysql: MakeMySQL) -> None:
    database = make_mysql()
    held = database.holds.enter()
    database.holds.leave(held, broken=True)
    assert database.primary.size == 0


def test_one_hold_may_be_entered_again(make_mysql: MakeMySQL) -> None:
    database = make_mysql()
    hold = database.hold()
    with hold as outer, hold as inner:
        assert inner is outer
        assert inner.count == 2
        assert inner.conn is inner.session.raw
    assert database.is_closed()


def test_messages_are_known_once(make_mysql: MakeMySQL) -> None:
    database = make_mysql()
    with Scope(Container("test")) as scope:
        assert database.message(scope) is database.message(scope)


def test_who_holds_nothing_has_nothing(make_mysql: MakeMySQL) -> None:
    state = make_mysql()._state
    assert state is NOTHING
    assert state.closed
    state.reset()
    with pytest.raises(AttributeError):
        state.ctx.append("x")
