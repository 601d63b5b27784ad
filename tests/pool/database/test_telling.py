"""The event of each statement and the log of slow ones."""

from __future__ import annotations

import logging

import peewee
import pytest

from greenimi.event import Events
from greenimi.pool.database import StatementExecuted
from tests.pool.database.conftest import DRIVERS, MakeMySQL


def test_each_statement_is_told_once_and_its_values_never(make_mysql: MakeMySQL) -> None:
    for driver in DRIVERS:
        events, heard = Events(), list[StatementExecuted]()
        events.on(StatementExecuted, heard.append)
        database = make_mysql(driver=driver, events=events)
        assert database.column("SELECT ? UNION SELECT ?", ["secret", 5]) == ["secret", "5"]
        with pytest.raises(peewee.ProgrammingError):
            database.value("SELECT * FROM nowhere WHERE id = :id", {"id": "secret"})
        with database.hold():
            database.execute("DO 1")
        first, second, third = heard
        assert (first.database, first.node, first.binds, first.rows, first.error) == (
            "shop",
            database.primary.nodes[0].name,
            ("str(6)", "int"),
            2,
            None,
        )
        assert first.seconds > 0
        assert (second.binds, second.rows, type(second.error).__name__) == (("str(6)",), None, "ProgrammingError")
        assert (third.sql, third.binds, third.rows) == ("DO 1", (), 0)
        assert "secret" not in repr(heard)


def test_slow_statements_are_logged_without_values(make_mysql: MakeMySQL, caplog: pytest.LogCaptureFixture) -> None:
    database = make_mysql(slow=0.02, read_timeout=0.1)
    with caplog.at_level(logging.WARNING, "greenimi.pool.slow"):
        database.value("SELECT 1")
        database.value("SELECT\n SLEEP(0.03), ?", ["secret"])
        with pytest.raises(peewee.OperationalError):
            database.value("SELECT SLEEP(30), ?", ["secret"])
    lines = [record.getMessage() for record in caplog.records if record.name == "greenimi.pool.slow"]
    assert len(lines) == 2
    assert "SELECT SLEEP(0.03), %s" in lines[0]
    assert "1 rows" in lines[0]
    assert "str(6)" in lines[0]
    assert "failed with" in lines[1]
    assert "secret" not in "".join(lines)


def test_nothing_is_slow_with_0(make_mysql: MakeMySQL, caplog: pytest.LogCaptureFixture) -> None:
    make_mysql(slow=0.0).value("SELECT SLEEP(0.02)")
    assert not [record for record in caplog.records if record.name == "greenimi.pool.slow"]
