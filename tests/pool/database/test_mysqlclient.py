"""What is mysqlclient's own: reading without waiting, threads, its library."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from typing import Any

import peewee
import pytest

from greenimi import green
from greenimi.errors import MissingExtra
from greenimi.pool.database.mysql import AUTOCOMMIT, IN_TRANSACTION, MySQL
from greenimi.pool.database.mysqlclient import MySQLClientSession, status_of
from greenimi.pool.settings import PoolSettings
from tests.pool.database.conftest import MakeMySQL

OK = bytes.fromhex("0700000100000002000000")
OK_IN_TRANSACTION = bytes.fromhex("0700000100000003000000")
OK_OF_MANY = bytes.fromhex("0a000001 00 fc1027 fb 0200 0000".replace(" ", "")) + b"\0"
END_OF_ROWS = bytes.fromhex("0500000afe00000200")
NEW_END_OF_ROWS = bytes.fromhex("0700000afe000002000000")
ERROR = b"\x09\x00\x00\x01\xff\x7a\x04#42S02"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (OK, AUTOCOMMIT),
        (OK_IN_TRANSACTION, AUTOCOMMIT | IN_TRANSACTION),
        (OK_OF_MANY, AUTOCOMMIT),
        (b"rows" * 5 + END_OF_ROWS, AUTOCOMMIT),
        (b"rows" * 5 + NEW_END_OF_ROWS, AUTOCOMMIT),
        (ERROR, AUTOCOMMIT | IN_TRANSACTION),
        (OK[:-1], None),
        (OK[:5], None),
        (b"", None),
        (b"rows" * 5 + END_OF_ROWS[:-1], None),
        (ERROR[:-1], None),
        (b"x" * 20_000 + END_OF_ROWS, None),
    ],
)
def test_the_end_of_an_answer(data: bytes, status: int | None) -> None:
    assert status_of(memoryview(data), AUTOCOMMIT) == status


@pytest.fixture
def client(make_mysql: MakeMySQL) -> MySQL:
    return make_mysql(driver="mysqlclient", pool=PoolSettings(max=1, min=0))


def ticks(function: Any, *args: Any) -> tuple[Any, int]:
    """What the function returns, and how often another greenlet had its turn meanwhile."""
    count = 0

    def tick() -> None:
        nonlocal count
        while True:
            green.sleep(0.002)
            count += 1

    ticker = green.spawn(tick)
    try:
        return function(*args), count
    finally:
        ticker.kill()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT SLEEP(0.1)",
        "SELECT seq, REPEAT('x', 1000), IF(seq % 20 = 0, SLEEP(0.02), 0) FROM seq_1_to_100",  # rows come in while it is executed
        "DO SLEEP(0.1)",
    ],
)
def test_others_go_on_while_the_server_works(client: MySQL, sql: str) -> None:
    client.value("SELECT 1")
    _, turns = ticks(client.execute, sql)
    assert turns >= 10
    _, turns = ticks(lambda: list(client.each(sql)))
    assert turns >= 10


def test_others_go_on_while_many_rows_are_read(client: MySQL) -> None:
    found, turns = ticks(client.rows, "SELECT seq, 'some text' AS text, NOW() AS now FROM seq_1_to_60000")
    assert len(found) == 60_000
    assert (found[0]["seq"], found[-1]["seq"]) == (1, 60_000)
    assert turns >= 3


def test_large_statements(client: MySQL) -> None:
    text = "'\\" * 500_000
    assert client.value("SELECT ?", [text]) == text
    assert client.value("SELECT LENGTH(?)", [b"\0" * 2_000_000]) == 2_000_000


def test_a_kill_while_a_thread_reads_leaves_nothing(client: MySQL) -> None:
    for _ in range(5):
        reader = green.spawn(client.rows, "SELECT seq, REPEAT('x', 1000) FROM seq_1_to_30000")
        green.sleep(0.02)
        reader.kill()
        assert client.value("SELECT 1") == 1
    assert client.primary.statistics().size == 1


def test_a_closed_session_is_closed(client: MySQL) -> None:
    with client.hold() as held:
        session = held.session
        assert isinstance(session, MySQLClientSession)
        session.close()
        session.close()
        assert not session.is_open
        with pytest.raises(peewee.InterfaceError, match="closed"):
            client.value("SELECT 1")
    assert client.value("SELECT 1") == 1


@pytest.fixture
def without_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    name = "greenimi.pool.database.mysqlclient"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "MySQLdb", None)
    yield
    sys.modules.pop(name, None)


def test_without_its_library_the_extra_is_named(without_library: None) -> None:
    with pytest.raises(MissingExtra, match=r"greenimi\[mysqlclient\]"):
        importlib.import_module("greenimi.pool.database.mysqlclient")


def test_it_does_not_count_as_a_driver_that_blocks(client: MySQL) -> None:
    assert client.value("SELECT 1") == 1
    assert "MySQLdb" not in dict(green.blocking_drivers())
