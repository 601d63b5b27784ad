"""Fixtures of the tests of databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

import pytest

from greenimi.event import Events
from greenimi.pool.database.databases import make_database
from greenimi.pool.database.mysql import MySQL
from greenimi.pool.database.settings import DatabaseSettings
from greenimi.pool.settings import PoolSettings

DRIVERS = ("mysql", "mysqlclient")


class MakeMySQL(Protocol):
    def __call__(
        self,
        url: str = ...,
        *,
        driver: str = ...,
        pool: PoolSettings = ...,
        events: Events = ...,
        **changed: Any,
    ) -> MySQL: ...


@pytest.fixture
def make_mysql(mysql_url: str) -> Iterator[MakeMySQL]:
    """``make_mysql(slow=0.1)`` is a database with these settings; it is stopped at the end, and whatever is in use then was leaked."""
    made: list[MySQL] = []

    def make(url: str = "", *, driver: str = "mysql", events: Events | None = None, **changed: Any) -> MySQL:
        settings = replace(DatabaseSettings(), **{"url": url or mysql_url, "driver": driver, "pool": PoolSettings(min=0), **changed})
        found = make_database("shop", settings, events)
        assert isinstance(found, MySQL)
        made.append(found)
        return found

    yield make
    for database in made:
        assert database.primary.statistics().busy == 0
        database.stop()


@pytest.fixture(params=DRIVERS)
def mysql(request: pytest.FixtureRequest, make_mysql: MakeMySQL) -> MySQL:
    """A database with a table ``things`` of three rows, by each of the drivers."""
    found = make_mysql(driver=request.param)
    found.execute("CREATE TABLE things (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(50), number INT)")
    found.execute("INSERT INTO things (name, number) VALUES ('one', 1), ('two', 2), ('three', 3)")
    return found
