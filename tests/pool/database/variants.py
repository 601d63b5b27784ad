"""One database of each kind, for suites that all of them pass."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from greenimi.pool.database import Database, DatabaseSettings
from greenimi.pool.database.databases import make_database
from greenimi.pool.settings import PoolSettings
from greenimi.testing.services.postgres import Postgres

COUNT = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 3000000) SELECT MAX(x) FROM n"


def made(url: str, driver: str = "", **changed: Any) -> Database:
    return make_database("default", DatabaseSettings(url=url, driver=driver, **{"pool": PoolSettings(min=0, max=8), **changed}))


class OnMySQL:
    ddl_commits = True
    slow = "SELECT SLEEP(0.3)"

    @pytest.fixture(autouse=True)
    def _where(self, mysql_url: str) -> None:
        self.url = mysql_url

    def make(self) -> Database:
        return made(self.url)


class OnMySQLClient(OnMySQL):
    def make(self) -> Database:
        return made(self.url, "mysqlclient")


class OnMemory:
    one_connection = True
    row_locks = False

    def make(self) -> Database:
        return made("sqlite://")


class OnFile:
    row_locks = False
    slow = COUNT

    @pytest.fixture(autouse=True)
    def _where(self, tmp_path: Path) -> None:
        self.url = f"sqlite:///{tmp_path / 'shop.db'}"

    def make(self) -> Database:
        return made(self.url)


class OnPostgres:
    slow = "SELECT pg_sleep(0.3)"

    @pytest.fixture(autouse=True)
    def _where(self, postgres: Postgres) -> Iterator[None]:
        """A schema of its own, which is made faster than a database."""
        self.url = postgres.url
        self.schema = f"test_{secrets.token_hex(4)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {self.schema}")
            yield
            connection.execute(f"DROP SCHEMA {self.schema} CASCADE")

    def make(self) -> Database:
        return made(self.url, init=[f"SET search_path TO {self.schema}"])
