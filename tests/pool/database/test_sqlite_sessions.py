"""Connections to SQLite themselves."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenimi import green
from greenimi.pool.database.sqlite_sessions import FileSession, MemorySession
from greenimi.pool.database.sqlite_thread import Worker
from greenimi.pool.database.sqlite_turns import Turns
from greenimi.testing.support import wait_until

FOREVER = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT COUNT(*) FROM n"


class Files:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.turns = Turns(0.2)
        self.made: list[FileSession] = []

    def make(self, *, seconds: float = 10.0, busy: float = 0.2) -> FileSession:
        found = FileSession("file", Worker(seconds), self.turns, lambda sql: sql.startswith(("SELECT", "WITH")), busy, 0)
        self.made.append(found)
        found.open(str(self.path))
        found.run("PRAGMA journal_mode = WAL")
        return found


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    found = Files(tmp_path / "shop.db")
    yield found
    for session in found.made:
        session.close()


def test_who_writes_has_the_turn_until_the_end(files: Files) -> None:
    session = files.make()
    session.run("CREATE TABLE t (id INTEGER)")
    had = []
    for statement in ("SELECT * FROM t", "BEGIN", "INSERT INTO t VALUES (1)", "SELECT 1", "COMMIT", "PRAGMA user_version"):
        session.run(statement)
        had.append(session.has_turn)
    assert had == [False, False, True, True, False, False]
    with pytest.raises(sqlite3.OperationalError):
        session.run("INSERT INTO nowhere VALUES (1)")
    assert not session.has_turn


def test_another_process_that_writes_is_waited_for(files: Files) -> None:
    session = files.make(busy=5.0)
    session.run("CREATE TABLE t (id INTEGER)")
    other = sqlite3.connect(files.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = green.spawn(session.run, "INSERT INTO t VALUES (1)")
    for _ in range(20):
        green.sleep(0.002)
    assert not waiting.ready()
    other.execute("COMMIT")
    other.close()
    waiting.get(timeout=5)
    assert session.run("SELECT COUNT(*) FROM t").fetchall() == [(1,)]


def test_another_process_that_does_not_end(files: Files) -> None:
    session = files.make(busy=0.05)
    other = sqlite3.connect(files.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="database is locked"):
        session.run("CREATE TABLE t (id INTEGER)")
    assert not session.has_turn
    assert session.is_open
    other.close()
    session.run("CREATE TABLE t (id INTEGER)")


def test_a_snapshot_that_is_old_cannot_be_waited_for(files: Files) -> None:
    session = files.make(busy=60.0)
    session.run("CREATE TABLE t (id INTEGER)")
    session.run("BEGIN")
    session.run("SELECT * FROM t")
    other = sqlite3.connect(files.path, isolation_level=None)
    other.execute("INSERT INTO t VALUES (1)")
    other.close()
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        session.run("INSERT INTO t VALUES (2)")
    session.run("ROLLBACK")


def test_a_statement_that_takes_too_long_is_interrupted(files: Files) -> None:
    session = files.make(seconds=0.05)
    with pytest.raises(sqlite3.OperationalError, match="took too long"):
        session.run(FOREVER)
    assert session.late
    assert not session.is_open
    wait_until(lambda: not session._worker.busy)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        session.run("SELECT 1")


def test_the_turn_of_one_who_is_killed_is_given_after_its_rollback(files: Files) -> None:
    first, second = files.make(), files.make()
    first.run("CREATE TABLE t (id INTEGER)")
    first.run("BEGIN IMMEDIATE")
    first.run("INSERT INTO t VALUES (1)")
    waiting = green.spawn(first.run, "INSERT INTO t " + FOREVER)
    green.sleep(0.02)
    waiting.kill()
    assert not first.is_open
    second.run("INSERT INTO t VALUES (2)")
    assert second.run("SELECT id FROM t").fetchall() == [(2,)]


def test_rows_one_by_one(files: Files) -> None:
    session = files.make()
    session.run("CREATE TABLE t (id INTEGER)")
    session.run("INSERT INTO t VALUES (1), (2), (3)")
    description, rows = session.stream("SELECT id FROM t", None, 2)
    assert [column[0] for column in description] == ["id"]
    assert list(rows) == [(1,), (2,), (3,)]
    description, rows = session.stream("INSERT INTO t VALUES (4) RETURNING id", None, 2)
    assert list(rows) == [(4,)]
    assert not session.has_turn


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    files = Files(tmp_path / "nowhere" / "shop.db")
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        files.make()
    files.made[0].close()
    files.made[0].close()
    assert not files.made[0].is_open


def test_closing_a_use_of_memory_leaves_the_database() -> None:
    raw = sqlite3.connect(":memory:", isolation_level=None)
    session = MemorySession(raw, "memory")
    session.run("CREATE TABLE t (id INTEGER)")
    session.run("BEGIN")
    session.run("INSERT INTO t VALUES (1)")
    session.run("PRAGMA query_only = ON")
    session.close()
    assert not session.is_open
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        session.run("SELECT 1")
    again = MemorySession(raw, "memory")
    again.run("INSERT INTO t VALUES (2)")
    assert again.run("SELECT id FROM t").fetchall() == [(2,)]
    raw.close()


def test_what_belongs_to_a_connection_is_renewed() -> None:
    raw = sqlite3.connect(":memory:", isolation_level=None)
    session = MemorySession(raw, "memory")
    session.run('CREATE TEMP TABLE "a ""b" (id INTEGER)')
    session.run("CREATE TEMP VIEW v AS SELECT 1")
    session.renew()
    assert session.run("SELECT name FROM sqlite_temp_master").fetchall() == []
    assert session.run("PRAGMA foreign_keys").fetchall() == [(1,)]
    raw.close()
