"""PostgreSQL."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from greenimi.testing.services.folders import belongs_to, copy_template, version_of
from greenimi.testing.services.processes import ServiceFailed, program
from greenimi.testing.services.service import Conf, Service

PACKAGE = "postgresql"
FOLDERS = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name))]
"""Where Debian has the programs, the newest version first."""

_INITDB = ["--username=postgres", "--encoding=UTF8", "--locale=C", "--auth=trust", "--no-sync"]
_TIMEOUT = 10

# The socket is in a folder that only the server's user, and root, may enter.
_ACCESS = """\
local all all trust
host all all 127.0.0.1/32 scram-sha-256
"""


class Postgres(Service):
    """A PostgreSQL server.  It does not run as root: where this process is root, it is run as Debian's user postgres.

    user, password  who clients are: the superuser.
    database        an empty one.
    options         further settings of the server, ``{"max_connections": "20"}``.
    """

    kind = "postgres"
    end_signal = signal.SIGINT  # "fast": does not wait until clients are gone
    run_as = "postgres"

    def __init__(self, *, password: str | None = None, options: Mapping[str, str] = {}, attached: bool = True) -> None:
        super().__init__(attached=attached)
        self.user = "postgres"
        self.password = password if password is not None else secrets.token_urlsafe(12)
        self.database = "app"
        self._options = options

    @property
    def socket(self) -> Path:
        return self.folder / f".s.PGSQL.{self.port}"

    @property
    def url(self) -> str:
        return self.url_of(self.database)

    def url_of(self, database: str) -> str:
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{database}"

    @property
    def conf(self) -> Conf:
        return Conf("database", {"url": self.url})

    def prepare(self) -> None:
        initdb = program("initdb", PACKAGE, FOLDERS)

        def make(folder: Path) -> None:
            command = [initdb, *_INITDB, f"--pgdata={folder}"]
            if os.geteuid() == 0:
                command = [program("setpriv", "util-linux"), f"--reuid={self.run_as}", f"--regid={self.run_as}", "--clear-groups", *command]
                belongs_to(folder.parent, self.run_as)
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - looked up above
            if done.returncode:
                raise ServiceFailed(f"initdb failed:\n{done.stdout}{done.stderr}")

        copy_template(self.kind, version_of(initdb) + str(_INITDB), make, self.folder / "data")
        (self.folder / "data/pg_hba.conf").write_text(_ACCESS)

    def command(self) -> Sequence[str]:
        options = {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            # What was committed is with the kernel: it survives a kill of the server, and waits for no disk.
            "fsync": "off",
            "full_page_writes": "off",
            **self._options,
        }
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return [program("postgres", PACKAGE, FOLDERS), "-D", str(self.folder / "data"), *settings]

    def check(self) -> None:
        self._psql("postgres", "SELECT 1")

    def start(self) -> Self:
        new = not self.log.exists()
        super().start()
        if new:
            self._psql("postgres", f"ALTER USER {self.user} PASSWORD '{self.password}'")
            self._psql("postgres", f"CREATE DATABASE {self.database}")
        return self

    def sql(self, statement: str, database: str = "") -> list[list[str]]:
        """The rows of a statement as text, run on a connection of its own."""
        return self._psql(database or self.database, statement)

    def _psql(self, database: str, statement: str) -> list[list[str]]:
        command = [program("psql", PACKAGE, FOLDERS), "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1"]
        where = ["-h", str(self.folder), "-p", str(self.port), "-U", self.user, "-d", database, "-c", statement]
        done = subprocess.run([*command, *where], capture_output=True, text=True, check=False, timeout=_TIMEOUT)  # noqa: S603
        if done.returncode:
            raise ServiceFailed(f"PostgreSQL refused {statement!r}: {done.stderr.strip()}")
        return [line.split("\t") for line in done.stdout.splitlines()]

    @contextmanager
    def schema(self) -> Iterator[str]:
        """A fresh database; it is dropped at the end, with connections that were left open."""
        name = f"test_{secrets.token_hex(4)}"
        self.sql(f"CREATE DATABASE {name}")
        try:
            yield name
        finally:
            self.sql(f"DROP DATABASE {name} WITH (FORCE)")
