"""The connection that a greenlet keeps."""

from __future__ import annotations

import subprocess
import sys

import peewee
import pytest

from greenimi import green
from greenimi.container import Container
from greenimi.container.context import Scope
from greenimi.pool.database.held import NOTHING
from greenimi.pool.settings import PoolSettings
from tests.pool.database.conftest import DRIVERS, MakeMySQL


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


SCRIPT = """
from greenimi import green

green.patch()

import os
import sys

import peewee

from greenimi.pool.database import DatabaseSettings, StatementError
from greenimi.pool.database.databases import make_database
from greenimi.pool.database.transactions import TransactionError
from greenimi.pool.settings import PoolSettings

db = make_database("shop", DatabaseSettings(url=sys.argv[1], driver=sys.argv[2], pool=PoolSettings(min=0)))
child = 1
try:
    with db.hold():
        db.execute("SET @mine = 5")
        with db.atomic():
            child = os.fork()
            if not child:
                try:
                    db.value("SELECT @mine")
                except peewee.InterfaceError as error:
                    print(str(error).partition(";")[0], flush=True)
            else:
                os.waitpid(child, 0)
            assert child == 0 or db.value("SELECT @mine") == 5
except TransactionError:
    print("over", flush=True)
print(db.value("SELECT 6"), flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_child_process_leaves_alone_what_its_parent_holds(mysql_url: str, driver: str) -> None:
    command = [sys.executable, "-c", SCRIPT, mysql_url, driver]
    found = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert found.stdout.splitlines() == ["the connection that is held belongs to the parent process", "over", "6", "6"]
    assert found.stderr == ""


@pytest.mark.parametrize("driver", DRIVERS)
def test_rows_of_a_hold_that_is_over_do_not_end_early(make_mysql: MakeMySQL, driver: str) -> None:
    database = make_mysql(driver=driver, pool=PoolSettings(max=1, min=0))
    with database.hold():
        rows = database.each("SELECT seq FROM seq_1_to_100000", size=10)
        next(rows)
    with pytest.raises(peewee.OperationalError):
        list(rows)
    assert database.value("SELECT 5") == 5


@pytest.mark.parametrize("driver", DRIVERS)
def test_rows_whose_connection_is_closed_do_not_end_early(make_mysql: MakeMySQL, driver: str) -> None:
    database = make_mysql(driver=driver, pool=PoolSettings(max=1, min=0))
    rows = database.each("SELECT seq FROM seq_1_to_100000", size=10)
    next(rows)
    database.stop()
    with pytest.raises(peewee.OperationalError):
        list(rows)
