"""MariaDB: a server, and a replica of one that follows its binary log by GTID."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import pymysql
import pymysql.cursors
from pymysql.converters import escape_string

from greenimi.testing.services.folders import copy_template, version_of
from greenimi.testing.services.processes import ServiceFailed, program, wait_for
from greenimi.testing.services.service import STARTS, Conf, Replica, Service

PACKAGE = "mariadb-server"
_TIMEOUT = 10

_MADE_WITH = ["--innodb-log-file-size=16M", "--innodb-buffer-pool-size=32M", "--innodb-data-file-path=ibdata1:12M:autoextend"]
_RUN_WITH = [
    *_MADE_WITH,
    "--log-bin=bin",
    "--binlog-format=row",
    "--gtid-strict-mode=1",
    "--skip-name-resolve",
    # What was committed is with the kernel: it survives a kill of the server, and waits for no disk.
    "--innodb-flush-log-at-trx-commit=2",
    "--sync-binlog=0",
    "--max-connections=500",
    "--character-set-server=utf8mb4",
]

_USERS = """\
SET sql_log_bin = 0;
CREATE DATABASE IF NOT EXISTS {database} CHARACTER SET utf8mb4;
ALTER USER root@localhost IDENTIFIED BY '{password}';
CREATE USER IF NOT EXISTS {user} IDENTIFIED BY '{password}';
GRANT ALL ON *.* TO {user} WITH GRANT OPTION;
REVOKE READ ONLY ADMIN, CONNECTION ADMIN ON *.* FROM {user};
"""
"""Run at each start, before anybody may connect.  The user of clients obeys read_only and max_connections, as root does not."""


class MariaDB(Service):
    """A MariaDB server.

    user, password  who clients are: may do everything but write where ``read_only`` is set.  root has the same password.
    database        an empty one.
    options         further options of the server, ``{"wait-timeout": "2"}``.
    """

    kind = "mariadb"
    server_id = 1

    def __init__(self, *, password: str | None = None, options: Mapping[str, str] = {}, attached: bool = True) -> None:
        super().__init__(attached=attached)
        self.user = "app"
        self.password = password if password is not None else secrets.token_urlsafe(12)
        self.database = "app"
        self._options = options

    @property
    def socket(self) -> Path:
        return self.folder / "mysql.sock"

    @property
    def url(self) -> str:
        return self.url_of(self.database)

    def url_of(self, database: str) -> str:
        return f"mysql://{self.user}:{quote(self.password, safe='')}@{self.host}:{self.port}/{database}"

    @property
    def conf(self) -> Conf:
        return Conf("database", {"url": self.url})

    def prepare(self) -> None:
        server = program("mariadbd", PACKAGE)
        installer = program("mariadb-install-db", PACKAGE)

        def make(folder: Path) -> None:
            command = [installer, "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", f"--datadir={folder}"]
            done = subprocess.run([*command, *_MADE_WITH], capture_output=True, text=True, check=False)  # noqa: S603 - looked up above
            if done.returncode:
                raise ServiceFailed(f"mariadb-install-db failed:\n{done.stdout}{done.stderr}")

        copy_template(self.kind, version_of(server) + str(_MADE_WITH), make, self.folder / "data")
        users = _USERS.format(database=self.database, user=self.user, password=escape_string(self.password))
        init = self.folder / "init.sql"
        init.touch(0o600)
        init.write_text(users)

    def command(self) -> Sequence[str]:
        options = {
            "datadir": str(self.folder / "data"),
            "socket": str(self.socket),
            "pid-file": str(self.folder / "pid"),
            "init-file": str(self.folder / "init.sql"),
            "bind-address": self.host,
            "port": str(self.port),
            "server-id": str(self.server_id),
            **self._options,
        }
        root = ["--user=root"] if os.geteuid() == 0 else []
        return [program("mariadbd", PACKAGE), "--no-defaults", *root, *_RUN_WITH, *(f"--{name}={value}" for name, value in options.items())]

    def check(self) -> None:
        with socket.socket(socket.AF_UNIX) as probe:  # PyMySQL would not close a socket that is refused
            probe.connect(str(self.socket))
        self.sql("SELECT 1")

    def sql(self, statement: str, *binds: object) -> list[dict[str, Any]]:
        """The rows of a statement, run by root on a connection of its own and committed."""
        connection = pymysql.connect(
            unix_socket=str(self.socket),
            user="root",
            password=self.password,
            database=self.database,
            cursorclass=pymysql.cursors.DictCursor,
            autocommit=True,
            connect_timeout=_TIMEOUT,
            read_timeout=_TIMEOUT,
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, binds or None)
            return list(cursor.fetchall())

    @contextmanager
    def schema(self) -> Iterator[str]:
        """A fresh schema; it is dropped at the end."""
        name = f"test_{secrets.token_hex(4)}"
        self.sql(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        try:
            yield name
        finally:
            self.sql(f"DROP DATABASE {name}")


class MariaDBReplica(Replica, MariaDB):
    """A replica of ``primary``, or of a server of its own.  Clients of it may only read."""

    kind = "mariadb_replica"
    primary: MariaDB

    def __init__(
        self,
        primary: MariaDB | None = None,
        *,
        options: Mapping[str, str] = {},
        attached: bool = True,
    ) -> None:
        self.owns_primary = primary is None
        self.primary = primary or MariaDB(options=options, attached=attached)
        super().__init__(password=self.primary.password, options={"read-only": "1", **options}, attached=attached)
        self.server_id = self.port  # no two replicas of a primary may have the same

    @property
    def conf(self) -> Conf:
        return Conf("database", {"url": self.primary.url, "replicas": [self.url]})

    def start(self) -> Self:
        super().start()
        if not self.sql("SHOW SLAVE STATUS"):  # else it goes on by itself after a restart
            self.follow()
        return self

    def follow(self, delay: int = 0) -> None:
        """Follow the primary from where it is, or from the very start; ``delay``: that many seconds behind it."""
        self.sql("STOP SLAVE")
        self.sql(
            "CHANGE MASTER TO master_host = %s, master_port = %s, master_user = %s, master_password = %s, master_delay = %s,"
            " master_connect_retry = 1, master_use_gtid = slave_pos",
            *(self.primary.host, self.primary.port, self.primary.user, self.primary.password, delay),
        )
        self.sql("START SLAVE")
        if not wait_for(self._follows, STARTS):
            raise self._failed(f"does not follow port {self.primary.port}: {self.sql('SHOW SLAVE STATUS')}")

    def _follows(self) -> bool:
        [status] = self.sql("SHOW SLAVE STATUS")
        return bool(status["Slave_IO_Running"] == status["Slave_SQL_Running"] == "Yes")

    def catch_up(self) -> None:
        """Wait until it has all that its primary wrote so far."""
        [wanted] = self.primary.sql("SELECT @@gtid_binlog_pos AS pos")
        if not wait_for(lambda: self._has(wanted["pos"]), STARTS):
            raise self._failed(f"does not catch up with port {self.primary.port}: {self.sql('SHOW SLAVE STATUS')}")

    def _has(self, position: str) -> bool:
        [reached] = self.sql("SELECT MASTER_GTID_WAIT(%s, 0) AS missed", position)
        return bool(reached["missed"] == 0)
