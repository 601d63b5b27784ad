"""What is done to databases of each kind from outside of the application."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

from greenimi.testing import services
from greenimi.testing.services.proxy import Proxy


class SqlServer:
    """A server of databases, by the name of the driver that is used for it."""

    kind = "mariadb"
    sleeps = "SELECT SLEEP(0.05)"
    forgets: ClassVar[Mapping[str, str]] = {"wait-timeout": "1"}
    """Options of a server that closes what was unused for a second."""

    def __init__(self, service: Any) -> None:
        self.service = service

    @classmethod
    @contextmanager
    def start(cls, *, forgets: bool = False) -> Iterator[Self]:
        with services.make(cls.kind, options=cls.forgets if forgets else {}) as service:
            yield cls(service)

    def url(self, through: Proxy | None = None) -> str:
        url: str = self.service.url
        return url if through is None else url.replace(f":{self.service.port}/", f":{through.port}/")

    def column(self, statement: str) -> list[Any]:
        """The first column of what a statement finds, asked by another client than the application."""
        return [next(iter(row.values())) for row in self.service.sql(statement)]

    def end_connections(self) -> None:
        """Of the application."""
        self.service.sql("KILL USER %s", self.service.user)

    def connections(self) -> int:
        """Of the application."""
        return len(self.service.sql("SELECT id FROM information_schema.processlist WHERE user = %s", self.service.user))

    def read_only(self, *, on: bool) -> None:
        self.service.sql(f"SET GLOBAL read_only = {int(on)}")


class PostgresServer(SqlServer):
    kind = "postgres"
    sleeps = "SELECT pg_sleep(0.05)"
    forgets: ClassVar[Mapping[str, str]] = {"idle_session_timeout": "1s"}

    def column(self, statement: str) -> list[Any]:
        return [row[0] for row in self.service.sql(statement)]

    def end_connections(self) -> None:
        self.service.sql(f"SELECT pg_terminate_backend(pid) {_OTHERS}")

    def connections(self) -> int:
        return len(self.service.sql(f"SELECT pid {_OTHERS}"))

    def read_only(self, *, on: bool) -> None:
        self.service.sql(f"ALTER SYSTEM SET default_transaction_read_only = {'on' if on else 'off'}")
        self.service.sql("SELECT pg_reload_conf()")


class SqliteFile(SqlServer):
    """No server at all."""

    def __init__(self, file: Path) -> None:
        super().__init__(None)
        self._file = file

    @classmethod
    @contextmanager
    def start(cls, *, forgets: bool = False) -> Iterator[Self]:
        with tempfile.TemporaryDirectory(prefix="greenimi-sqlite-") as folder:
            yield cls(Path(folder) / "shop.db")

    def url(self, through: Proxy | None = None) -> str:
        return f"sqlite:///{self._file}"

    def column(self, statement: str) -> list[Any]:
        connection = sqlite3.connect(self._file)
        try:
            return [row[0] for row in connection.execute(statement)]
        finally:
            connection.close()

    def connections(self) -> int:
        return sum(path.resolve() == self._file for path in Path("/proc/self/fd").iterdir())


_OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"

SERVERS: dict[str, type[SqlServer]] = {"mysql": SqlServer, "mysqlclient": SqlServer, "postgres": PostgresServer, "sqlite": SqliteFile}
"""By driver."""
