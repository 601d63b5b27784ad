"""What is particular about transactions of MySQL: errors that end them, and do not say so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import peewee
import pytest

from greenimi import green
from greenimi.pool.database import TransactionOver
from greenimi.pool.database.mysql import MySQL
from greenimi.pool.database.mysql_transactions import code_of
from greenimi.pool.settings import PoolSettings
from tests.pool.database.conftest import DRIVERS, MakeMySQL


@pytest.fixture(params=DRIVERS)
def database(request: pytest.FixtureRequest, make_mysql: MakeMySQL) -> MySQL:
    """With two rows to lock; locks are waited for a second."""
    found = make_mysql(driver=request.param, init=["SET SESSION innodb_lock_wait_timeout = 1"])
    found.execute("CREATE TABLE things (id INT PRIMARY KEY, number INT) ENGINE=InnoDB")
    found.execute("INSERT INTO things VALUES (1, 0), (2, 0)")
    return found


UPDATE = "UPDATE things SET number = number + 1 WHERE id = ?"


@pytest.fixture
def locked(database: MySQL) -> Iterator[MySQL]:
    """The first row is locked by somebody else."""
    ready, over = green.Event(), green.Event()

    def hold() -> None:
        with database.atomic():
            database.execute(UPDATE, [1])
            ready.set()
            over.wait()

    other = green.spawn(hold)
    ready.wait()
    yield database
    over.set()
    other.get()


def test_a_lock_that_is_not_free_undoes_its_statement_only(locked: MySQL) -> None:
    with locked.atomic():
        locked.execute(UPDATE, [2])
        with pytest.raises(peewee.OperationalError, match="Lock wait timeout") as caught:
            locked.execute(UPDATE, [1])
        assert locked.is_transient(caught.value)
        assert locked.in_transaction()
        assert locked.value("SELECT number FROM things WHERE id = 2") == 1
    assert locked.value("SELECT number FROM things WHERE id = 2") == 1


def test_a_deadlock_ends_the_transaction_and_nothing_seems_to_be_a_part_of_it(database: MySQL) -> None:
    ready, go = green.Event(), green.Event()

    def other() -> None:
        with database.atomic():
            database.execute("UPDATE things SET number = number + 10")  # heavier: it will win
            database.execute("INSERT INTO things SELECT seq + 100, 0 FROM seq_1_to_50")
            ready.set()

    def victim() -> Any:
        with database.atomic():
            database.execute("SELECT * FROM things WHERE id = 2 LOCK IN SHARE MODE")
            go.set()
            green.sleep(0.05)
            with pytest.raises(peewee.OperationalError, match="Deadlock") as caught:
                database.execute("UPDATE things SET number = 5 WHERE id = 1")
            assert code_of(caught.value) == 1213
            with pytest.raises(TransactionOver, match="the database rolled it back"):
                database.execute("INSERT INTO things VALUES (99, 0)")

    running = green.spawn(lambda: pytest.raises(TransactionOver, victim))  # noqa: RUF061 - in a greenlet
    go.wait()
    winner = green.spawn(other)
    assert running.get()
    winner.get()
    assert database.value("SELECT COUNT(*) FROM things WHERE id = 99") == 0


def test_the_isolation_of_one_that_could_not_begin_is_not_the_next_ones(make_mysql: MakeMySQL, monkeypatch: pytest.MonkeyPatch) -> None:
    database = make_mysql(pool=PoolSettings(min=0, max=1))
    statements: list[str] = []
    execute = database._execute

    def fails(session: Any, sql: str, params: Any) -> Any:
        statements.append(sql)
        if sql == "BEGIN":
            raise peewee.OperationalError("no")
        return execute(session, sql, params)

    first = database.value("SELECT CONNECTION_ID()")
    monkeypatch.setattr(database, "_execute", fails)
    with pytest.raises(peewee.OperationalError), database.atomic("serializable"):
        pass
    assert statements == ["SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "BEGIN"]
    monkeypatch.undo()
    assert database.value("SELECT CONNECTION_ID()") != first


def test_a_connection_that_the_server_cuts_in_a_transaction(database: MySQL) -> None:
    told: list[str] = []
    with pytest.raises(TransactionOver, match="its connection was lost"), database.atomic():  # noqa: PT012 - it leaves the block
        database.execute(UPDATE, [1])
        database.after_rollback(lambda: told.append("rolled back"))
        connection = database.value("SELECT CONNECTION_ID()")
        green.spawn(database.execute, f"KILL {connection}").get()
        with pytest.raises(peewee.OperationalError):
            database.execute(UPDATE, [2])
        with pytest.raises(TransactionOver):
            database.execute(UPDATE, [2])
    assert database.column("SELECT number FROM things") == [0, 0]
    assert told == ["rolled back"]


def test_a_connection_that_is_lost_before_the_commit(database: MySQL) -> None:
    told: list[str] = []
    with pytest.raises((peewee.OperationalError, peewee.InterfaceError)), database.atomic():  # noqa: PT012 - it leaves the block
        database.execute(UPDATE, [1])
        database.after_commit(lambda: told.append("committed"))
        connection = database.value("SELECT CONNECTION_ID()")
        green.spawn(database.execute, f"KILL {connection}").get()
        green.sleep(0.05)
    assert told == []
    assert database.column("SELECT number FROM things") == [0, 0]
