"""What is SQLite's own: files and memory, writers in turn, what is registered with connections, forks."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import peewee
import pytest

from greenimi import green
from greenimi.errors import ConfigError
from greenimi.pool import PoolTimeout
from greenimi.pool.database import DatabaseSettings, TransactionError
from greenimi.pool.database.sqlite import SQLite
from greenimi.pool.settings import PoolSettings
from greenimi.testing.support import wait_until

FOREVER = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT COUNT(*) FROM n"

Make = Callable[..., SQLite]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[SQLite] = []

    def make(url: str = "", **changed: Any) -> SQLite:
        found = SQLite("shop", DatabaseSettings(url=url or f"sqlite:///{tmp_path / 'shop.db'}", **changed))
        made.append(found)
        return found

    yield make
    for database in made:
        assert database.primary.statistics().busy == 0
        database.stop()


def test_a_file_is_set_up_well(make: Make) -> None:
    database = make(init=["PRAGMA cache_size = -4000"])
    with database.hold():
        found = {name: database.value(f"PRAGMA {name}") for name in ("journal_mode", "synchronous", "foreign_keys", "cache_size")}
    assert found == {"journal_mode": "wal", "synchronous": 1, "foreign_keys": 1, "cache_size": -4000}


@pytest.mark.parametrize("url", ["sqlite://", ""])
def test_foreign_keys_are_checked(make: Make, url: str) -> None:
    database = make(url)
    database.execute("CREATE TABLE a (id INTEGER PRIMARY KEY)")
    database.execute("CREATE TABLE b (a INTEGER REFERENCES a (id))")
    with pytest.raises(peewee.IntegrityError, match="FOREIGN KEY"):
        database.execute("INSERT INTO b VALUES (7)")


def test_writers_have_their_turns_and_nobody_is_told_it_is_locked(make: Make) -> None:
    database = make(pool=PoolSettings(max=16))
    database.execute("CREATE TABLE counters (id INTEGER PRIMARY KEY, number INTEGER)")
    database.execute("INSERT INTO counters VALUES (1, 0)")
    order: list[int] = []

    def work(worker: int) -> None:
        with database.atomic():
            number = database.value("SELECT number FROM counters")
            green.sleep(0.0005)
            database.execute("UPDATE counters SET number = ?", [number + 1])
            order.append(worker)

    workers = [green.spawn(work, number) for number in range(60)]
    gevent.joinall(workers, raise_error=True)
    assert database.value("SELECT number FROM counters") == 60
    assert len(order) == 60


def test_readers_are_not_stopped_by_a_writer(make: Make) -> None:
    database = make()
    database.execute("CREATE TABLE t (id INTEGER)")
    with database.atomic():
        database.execute("INSERT INTO t VALUES (1)")
        assert green.spawn(database.value, "SELECT COUNT(*) FROM t").get() == 0
        with database.atomic(read_only=False):
            pass
    assert database.value("SELECT COUNT(*) FROM t") == 1


def test_a_writer_that_waits_too_long(make: Make) -> None:
    database = make(busy=0.02)
    database.execute("CREATE TABLE t (id INTEGER)")
    with database.atomic():
        waiting = green.spawn(lambda: caught(lambda: database.execute("INSERT INTO t VALUES (1)")))
        assert "others of this process wrote for 0.02 seconds" in str(waiting.get())
        with database.atomic(read_only=True) if not database.in_transaction() else database.atomic():
            assert database.value("SELECT COUNT(*) FROM t") == 0


def caught(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except peewee.OperationalError as error:
        return error
    raise AssertionError("nothing was raised")


def test_read_only_ones_do_not_wait_for_the_writer(make: Make) -> None:
    database = make()
    database.execute("CREATE TABLE t (id INTEGER)")

    def look() -> int:
        with database.atomic(read_only=True):
            return int(database.value("SELECT COUNT(*) FROM t"))

    with database.atomic():
        database.execute("INSERT INTO t VALUES (1)")
        assert green.spawn(look).get() == 0


@pytest.mark.parametrize("lock", ["deferred", "immediate", "exclusive"])
def test_locks_by_name(make: Make, lock: str) -> None:
    database = make()
    with database.atomic(lock):
        database.execute("CREATE TABLE t (id INTEGER)")
    assert database.value("SELECT COUNT(*) FROM t") == 0


def test_transactions_in_memory_exclude_each_other(make: Make) -> None:
    database = make("sqlite://", pool=PoolSettings(max=50, wait=0.02))
    assert database.primary.settings.max == 1
    database.execute("CREATE TABLE t (id INTEGER)")
    with database.atomic():
        waiting = green.spawn(lambda: pool_timeout(database))
        assert "none of 1 was free" in str(waiting.get())
    database.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(TransactionError, match="needs a second connection"), database.atomic() as level:
        database.check_new(level.held)


def pool_timeout(database: SQLite) -> BaseException:
    try:
        database.value("SELECT COUNT(*) FROM t")
    except PoolTimeout as error:
        return error
    raise AssertionError("nothing was raised")


def test_memory_outlives_kills_and_is_gone_with_stop(make: Make) -> None:
    database = make("sqlite://")
    database.execute("CREATE TABLE t (id INTEGER)")

    def work() -> None:
        with database.atomic():
            database.execute("INSERT INTO t VALUES (1)")
            green.sleep(10)

    victim = green.spawn(work)
    wait_until(lambda: database.primary.statistics().busy == 1)
    victim.kill()
    assert database.value("SELECT COUNT(*) FROM t") == 0
    database.stop()
    database.start()
    with pytest.raises(peewee.OperationalError, match="no such table"):
        database.value("SELECT COUNT(*) FROM t")


@pytest.mark.parametrize("url", ["sqlite://", ""])
def test_functions_reach_connections_that_are_there_already(make: Make, url: str) -> None:
    database: Any = make(url)
    workers = [green.spawn(database.value, "SELECT 1") for _ in range(5)]
    gevent.joinall(workers, raise_error=True)

    @database.func("twice")  # type: ignore[untyped-decorator]
    def twice(number: int) -> int:
        return 2 * number

    database.register_collation(lambda a, b: (a < b) - (a > b), "backwards")
    workers = [green.spawn(database.value, "SELECT twice(?)", [number]) for number in range(5)]
    assert [worker.get() for worker in workers] == [0, 2, 4, 6, 8]
    assert database.column("SELECT 'a' AS x UNION SELECT 'b' ORDER BY x COLLATE backwards") == ["b", "a"]


def test_attached_files(make: Make, tmp_path: Path) -> None:
    database: Any = make()
    database.execute("CREATE TABLE t (id INTEGER)")
    assert database.attach(str(tmp_path / "other.db"), "other")
    database.execute("CREATE TABLE other.things (id INTEGER)")
    assert database.get_tables("other") == ["things"]
    assert database.detach("other")
    with pytest.raises(peewee.OperationalError):
        database.value("SELECT COUNT(*) FROM other.things")


def test_a_killed_statement_is_interrupted_and_its_connection_not_used_again(make: Make) -> None:
    before = threads()
    database = make()
    database.execute("CREATE TABLE t (id INTEGER)")
    for _ in range(5):
        victim = green.spawn(database.value, FOREVER)
        green.sleep(0.01)
        victim.kill()
        assert database.primary.statistics().busy == 0
        assert database.value("SELECT 1") == 1
    wait_until(lambda: threads() <= before + database.primary.size)


def threads() -> int:
    """Of this process."""
    return sum(1 for name in Path("/proc/self/task").glob("*/comm"))


def test_a_forked_process_has_connections_of_its_own(make: Make) -> None:
    database = make()
    memory = make("sqlite://")
    database.execute("CREATE TABLE t (id INTEGER)")
    memory.execute("CREATE TABLE t (id INTEGER)")
    pid = os.fork()
    if not pid:
        status = 1
        try:
            signal.alarm(10)
            database.execute("INSERT INTO t VALUES (1)")
            with pytest.raises(peewee.OperationalError, match="no such table"):
                memory.value("SELECT COUNT(*) FROM t")
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert database.value("SELECT COUNT(*) FROM t") == 1
    assert memory.value("SELECT COUNT(*) FROM t") == 0


def test_several_processes_write(make: Make) -> None:
    database = make(busy=20.0)
    database.execute("CREATE TABLE t (id INTEGER)")

    def work() -> None:
        with database.atomic():
            number = database.value("SELECT COUNT(*) FROM t")
            database.execute("INSERT INTO t VALUES (?)", [number])

    pid = os.fork()
    if not pid:
        status = 1
        try:
            signal.alarm(20)
            gevent.joinall([green.spawn(work) for _ in range(25)], raise_error=True)
            status = 0
        finally:
            os._exit(status)
    mine = 0
    ended = (0, 0)
    while ended == (0, 0):
        work()
        mine += 1
        green.sleep(0.001)
        ended = os.waitpid(pid, os.WNOHANG)
    assert ended[1] == 0
    assert database.column("SELECT id FROM t ORDER BY id") == list(range(25 + mine))


@pytest.mark.parametrize("changed", [{"replicas": ["sqlite:///other.db"]}, {"url": "", "urls": ["sqlite:///a.db", "sqlite:///b.db"]}])
def test_one_file_only(changed: Any) -> None:
    with pytest.raises(ConfigError, match="is one file"):
        SQLite("shop", DatabaseSettings(**{"url": "sqlite:///shop.db", **changed}))
