"""@transactional: what it may be put on, and how it finds its database.  What it does is in the contract of transactions."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from greenimi import bean, get, http, transactional
from greenimi.errors import ConfigError, MissingBean
from greenimi.facades import DB, Events
from greenimi.marks import marks_of
from greenimi.pool.database import Database, DatabaseSettings, TransactionError
from greenimi.testing.clients import HttpClient
from greenimi.testing.plugin import AppFactory

TWO = {
    "servers": {"web": {"kind": "http"}},
    "database": {"default": {"url": "sqlite://"}, "reports": {"url": "sqlite://"}},
}


def generator() -> Iterator[int]:
    yield 1


async def coroutine() -> None:
    """Not for this framework."""


class Thing:
    """A class."""


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (generator, "generator would return before its work begins"),
        (coroutine, "coroutine would return before its work begins"),
        (Thing, "for functions and methods"),
        (staticmethod(len), "belongs below @staticmethod"),
        (classmethod(lambda cls: cls), "belongs below @classmethod"),
        ("text", "for functions and methods"),
    ],
)
def test_what_it_cannot_be_put_on(target: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        transactional()(target)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"propagation": "suports"}, "there is no propagation 'suports', there are required, nested, mandatory, new"),
        ({"rollback": "some"}, "rollback is all or part, not 'some'"),
        ({"retry": -1}, "retry is 0 or more"),
        ({"levels": 0}, "levels 1 or more"),
    ],
)
def test_bad_options(options: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        transactional(**options)


def test_it_leaves_a_mark_and_the_name() -> None:
    @transactional(propagation="nested", database="reports")
    def work(number: int) -> int:
        """Does it."""
        return number

    assert work.__name__ == "work"
    assert work.__doc__ == "Does it."
    (mark,) = marks_of(work, "transactional")
    assert mark.options == {"database": "reports", "propagation": "nested"}


def test_importing_it_imports_no_driver() -> None:
    code = "import greenimi, sys; greenimi.transactional(print); print({'gevent', 'peewee', 'pymysql', 'sqlite3'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@bean
class Shop:
    @transactional
    def sell(self, name: str) -> int:
        DB.execute("INSERT INTO sales VALUES (?)", [name])
        Events.emit("sold", data=name, after_commit=True)
        if name == "nothing":
            raise ValueError(name)
        return DB.transaction_depth()


@http
class Till:
    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    @get("/sell/{name}")
    def sell(self, name: str) -> int:
        return self._shop.sell(name)


def test_in_an_application(app_factory: AppFactory) -> None:
    app = app_factory([Shop, Till], TWO)
    DB.execute("CREATE TABLE sales (name TEXT)")
    heard: list[str] = []
    Events.on("sold", lambda event: heard.append(event.data))
    with HttpClient(app) as client:
        assert client.get("/sell/chair").json() == 1
        assert client.get("/sell/nothing").status == 500
    assert DB.column("SELECT name FROM sales") == ["chair"]
    assert heard == ["chair"]


def test_each_database_has_its_own(app_factory: AppFactory) -> None:
    container = app_factory([], TWO).container
    reports = container.get(Database, "reports")

    @transactional(database="reports")
    def work() -> tuple[bool, bool]:
        return reports.in_transaction(), DB.in_transaction()

    @transactional
    def both() -> tuple[bool, bool]:
        return work()[0], DB.in_transaction()

    assert work() == (True, False)
    assert both() == (True, True)

    @transactional(database="nowhere")
    def nowhere() -> None:
        raise AssertionError

    with pytest.raises(MissingBean, match="nowhere"):
        nowhere()


class Wrong:
    @transactional(database="report")
    def work(self) -> None:
        raise AssertionError


def test_its_database_is_looked_for_at_the_start(app_factory: AppFactory) -> None:
    with pytest.raises(ConfigError, match=r"@transactional on .*work: there is no \[database.report\].*reports"):
        app_factory([bean(Wrong)], TWO)


def test_memory_stands_in_without_conf(app_factory: AppFactory, caplog: pytest.LogCaptureFixture) -> None:
    container = app_factory().container
    with pytest.raises(MissingBean):
        container.get(Database, "reports")

    @transactional
    def work() -> str:
        DB.execute("CREATE TABLE sales (name TEXT)")
        return repr(DB)

    assert "SQLite" in work()
    assert "there is no [database.default] in conf" in caplog.text
    assert DB.value("SELECT COUNT(*) FROM sales") == 0
    assert container.get(Database) is container.get(Database, "default")


def test_retry_is_for_the_outermost_only(app_factory: AppFactory, tmp_path: Any) -> None:
    """A part of a transaction cannot succeed another time by itself."""
    from greenimi.pool.database.databases import make_database

    settings = DatabaseSettings(url=f"sqlite:///{tmp_path / 'shop.db'}", busy=0.01)
    app_factory([], {**TWO, "database": {"default": {"url": settings.url, "busy": 0.01}}})
    DB.execute("CREATE TABLE sales (name TEXT)")
    other = make_database("other", settings)
    tries: list[str] = []

    @transactional(retry=2)
    def work(name: str) -> None:
        tries.append(name)
        with other.atomic():
            other.execute("INSERT INTO sales VALUES ('other')")
            DB.execute("INSERT INTO sales VALUES (?)", [name])

    try:
        with pytest.raises(Exception, match="locked"):
            work("outermost")
        assert tries == ["outermost"] * 3
        with pytest.raises(Exception, match="locked"), DB.atomic():
            work("inner")
        assert tries[3:] == ["inner"]
        with pytest.raises(TransactionError, match="no isolation"), DB.atomic("sideways"):
            pass
    finally:
        other.stop()
