"""Levels of transactions that end as nobody wanted; what is bounded.  What they do otherwise is in the contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import peewee
import pytest

from greenimi import green
from greenimi.pool.database import Database, TransactionError, TransactionOver
from greenimi.pool.database.databases import make_database
from greenimi.pool.database.levels import State, check_inside
from greenimi.pool.database.settings import DatabaseSettings
from greenimi.pool.wishes import Options
from greenimi.testing.contracts.database import TABLE, busy


@pytest.fixture
def memory() -> Iterator[Database]:
    found = make_database("default", DatabaseSettings(url="sqlite://", hooks=3))
    found.execute(TABLE)
    yield found
    assert busy(found) == 0
    found.stop()


def test_options_of_inner_ones() -> None:
    outer = Options("SERIALIZABLE", True)
    for same in (Options(), Options("SERIALIZABLE"), Options("", True)):
        check_inside(same, outer)
    with pytest.raises(TransactionError, match="it is not isolation READ COMMITTED"):
        check_inside(Options("READ COMMITTED"), outer)
    with pytest.raises(TransactionError, match="it is not read only"):
        check_inside(Options("", True), Options())


def test_hooks_are_bounded(memory: Database) -> None:
    with memory.atomic():
        memory.after_commit(print)
        with memory.atomic():
            memory.after_rollback(print)
            memory.after_commit(lambda: None)
            with pytest.raises(TransactionError, match="3 things are to be done after this transaction, no more may"):
                memory.after_commit(print)
        memory.rollback()


def test_errors_name_the_line(memory: Database) -> None:
    level = memory.begin()
    assert "begun at test_levels.py:" in repr(level)
    assert repr(level).endswith(", open>")
    memory.rollback()
    assert level.state is State.UNDONE
    with pytest.raises(TransactionOver, match=r"that test_levels\.py:\d+ in test_errors_name_the_line began is over: test_levels\.py:\d+"):
        level.check()
    with pytest.raises(TransactionError, match="is over"):
        level.commit()


def test_a_connection_that_is_given_back_under_a_block(memory: Any) -> None:
    told: list[str] = []
    with pytest.raises(TransactionOver, match="its connection was given back"), memory.atomic():  # noqa: PT012 - it leaves the block
        memory.execute("INSERT INTO things (id) VALUES (1)")
        memory.after_rollback(lambda: told.append("rolled back"))
        memory.dispose()
        assert told == ["rolled back"]
    assert memory.value("SELECT COUNT(*) FROM things") == 0
    assert told == ["rolled back"]


def test_rows_that_were_not_read_to_the_end(memory: Database) -> None:
    memory.execute("INSERT INTO things (id) VALUES (1), (2)")
    with pytest.raises(TransactionError, match="the rows of a statement were not read to the end"), memory.atomic():  # noqa: PT012 - it leaves the block
        memory.execute("INSERT INTO things (id) VALUES (3)")
        rows = memory.each("SELECT id FROM things")
        next(rows)
    del rows
    assert memory.value("SELECT COUNT(*) FROM things") == 2


def test_hooks_of_an_inner_block_wait_for_the_outer_one_when_all_is_undone(memory: Database) -> None:
    """Else they would be called where nothing can be done."""
    seen: list[object] = []
    with pytest.raises(TransactionOver), memory.atomic():  # noqa: PT012 - it leaves the block
        with memory.atomic():
            memory.after_rollback(lambda: seen.append(memory.value("SELECT COUNT(*) FROM things")))
            memory.rollback()
        assert seen == []
    assert seen == [0]


def test_an_error_in_the_rollback_hides_nothing(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: object) -> None:
        raise peewee.OperationalError("no")

    with pytest.raises(ValueError, match="the first"), memory.atomic():  # noqa: PT012 - it leaves the block
        memory.execute("INSERT INTO things (id) VALUES (1)")
        monkeypatch.setattr(memory, "end_on", fails)
        raise ValueError("the first")
    monkeypatch.undo()
    assert memory.value("SELECT COUNT(*) FROM things") == 0


def test_a_commit_that_fails_is_rolled_back(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    end_on = memory.end_on

    def fails(session: Any, options: Options, verb: str) -> None:
        if verb == "COMMIT":
            raise peewee.OperationalError("no")
        end_on(session, options, verb)

    monkeypatch.setattr(memory, "end_on", fails)
    with pytest.raises(peewee.OperationalError), memory.atomic():  # noqa: PT012 - it leaves the block
        memory.execute("INSERT INTO things (id) VALUES (1)")
        memory.after_commit(lambda: told.append("committed"))
        memory.after_rollback(lambda: told.append("rolled back"))
    assert told == ["rolled back"]
    assert memory.value("SELECT COUNT(*) FROM things") == 0


def test_a_greenlet_that_ends_in_a_transaction(memory: Database, caplog: pytest.LogCaptureFixture) -> None:
    def forgets() -> None:
        memory.begin()
        memory.execute("INSERT INTO things (id) VALUES (1)")

    green.spawn(forgets).get()
    import gc

    gc.collect()
    green.sleep(0.01)
    assert memory.value("SELECT COUNT(*) FROM things") == 0
    assert "lost it" in caplog.text
