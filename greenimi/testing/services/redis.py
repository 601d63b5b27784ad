"""Redis: a server, and a replica of one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from greenimi.testing.services.processes import ServiceFailed, program, wait_for
from greenimi.testing.services.service import STARTS, Conf, Replica, Service

_TIMEOUT = 5.0


class Redis(Service):
    """A Redis server.  Nothing is written to disk unless ``persist``: then it is after each command.

    password  asked from clients; empty: none is needed.
    options   further lines of ``redis.conf``.
    """

    kind = "redis"

    def __init__(
        self,
        *,
        password: str = "",
        persist: bool = False,
        options: Mapping[str, str] = {},
        attached: bool = True,
    ) -> None:
        super().__init__(attached=attached)
        self.password = password
        self._persist = persist
        self._options = options

    @property
    def socket(self) -> Path:
        return self.folder / "redis.sock"

    @property
    def url(self) -> str:
        secret = f":{quote(self.password, safe='')}@" if self.password else ""
        return f"redis://{secret}{self.host}:{self.port}/0"

    @property
    def conf(self) -> Conf:
        return Conf("redis", {"url": self.url})

    def prepare(self) -> None:
        settings = {
            "bind": self.host,
            "port": str(self.port),
            "unixsocket": str(self.socket),
            "dir": str(self.folder),
            "save": '""',
            "appendonly": "yes" if self._persist else "no",
            "appendfsync": "no",  # a kill takes nothing from what was handed to the kernel
            "enable-debug-command": "local",
            "repl-diskless-sync-delay": "0",
            **dict.fromkeys(("requirepass", "masterauth") if self.password else (), json.dumps(self.password)),
            **self._options,
        }
        self.config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))

    @property
    def config(self) -> Path:
        return self.folder / "redis.conf"

    def command(self) -> list[str]:
        return [program("redis-server", "redis-server"), str(self.config)]

    def check(self) -> None:
        self.call("PING")
        if self.info("persistence")["loading"]:
            raise ServiceFailed("still loading")

    def call(self, *words: str | float | bytes) -> Any:
        """The answer to a command, asked on a connection of its own."""
        with redis.Redis(
            host=self.host, port=self.port, password=self.password or None, socket_timeout=_TIMEOUT, retry=Retry(NoBackoff(), 0)
        ) as client:
            return client.execute_command(*words)

    def info(self, section: str) -> Mapping[str, Any]:
        """``INFO`` of a section, parsed."""
        found: Mapping[str, Any] = self.call("INFO", section)
        return found


class RedisReplica(Replica, Redis):
    """A replica of ``primary``, or of a server of its own."""

    kind = "redis_replica"
    primary: Redis

    def __init__(
        self,
        primary: Redis | None = None,
        *,
        password: str = "",
        options: Mapping[str, str] = {},
        attached: bool = True,
    ) -> None:
        self.owns_primary = primary is None
        self.primary = primary or Redis(password=password, attached=attached)
        of = {"replicaof": f"{self.primary.host} {self.primary.port}"}
        super().__init__(password=self.primary.password, options={**of, **options}, attached=attached)

    @property
    def conf(self) -> Conf:
        return Conf("redis", {"url": self.primary.url, "replicas": [self.url]})

    def check(self) -> None:
        super().check()
        if self.info("replication").get("master_link_status") != "up":
            raise ServiceFailed("not connected with its primary yet")

    def catch_up(self) -> None:
        """Wait until it has all that its primary wrote so far."""
        wanted = self.primary.info("replication")["master_repl_offset"]
        if not wait_for(lambda: self.info("replication").get("slave_repl_offset", 0) >= wanted, STARTS):
            raise ServiceFailed(f"the replica on port {self.port} does not catch up with port {self.primary.port}")
