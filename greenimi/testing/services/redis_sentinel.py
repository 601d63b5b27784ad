"""Redis watched by Sentinels: a primary, replicas, and those who make a replica the primary when that is gone."""

from __future__ import annotations

import json

from greenimi.testing.services.processes import ServiceFailed, program, wait_for
from greenimi.testing.services.redis import Redis, RedisReplica
from greenimi.testing.services.service import STARTS, Conf, ServiceGroup

NAME = "main"
"""What the Sentinels call the primary and its replicas."""


class Sentinel(Redis):
    """One that watches ``primary``.  ``down_after``: seconds of silence after which a server counts as dead."""

    kind = "sentinel"

    def __init__(self, primary: Redis, *, quorum: int, down_after: float, attached: bool = True) -> None:
        super().__init__(attached=attached)
        self._primary = primary
        self._quorum = quorum
        self._down_after = down_after

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}"

    def prepare(self) -> None:
        lines = [
            f"bind {self.host}",
            f"port {self.port}",
            f"dir {self.folder}",
            f"sentinel monitor {NAME} {self._primary.host} {self._primary.port} {self._quorum}",
            f"sentinel down-after-milliseconds {NAME} {int(self._down_after * 1000)}",
            f"sentinel failover-timeout {NAME} {int(self._down_after * 3000)}",
        ]
        if self._primary.password:
            lines.append(f"sentinel auth-pass {NAME} {json.dumps(self._primary.password)}")
        self.config.write_text("\n".join([*lines, ""]))

    def command(self) -> list[str]:
        return [program("redis-server", "redis-server"), str(self.config), "--sentinel"]

    def check(self) -> None:
        self.call("PING")


class RedisSentinel(ServiceGroup):
    """A primary, replicas and Sentinels.

    name      what the Sentinels call it.
    servers   all Redis servers; which of them is the primary changes with a fail-over.
    sentinels those who watch.
    password  of the servers; the Sentinels ask for none.
    """

    kind = "redis_sentinel"

    def __init__(
        self, *, replicas: int = 2, sentinels: int = 3, password: str = "", down_after: float = 1.0, attached: bool = True
    ) -> None:
        self.name = NAME
        self.password = password
        first = Redis(password=password, attached=attached)
        self.servers = [first, *(RedisReplica(first, attached=attached) for _ in range(replicas))]
        quorum = sentinels // 2 + 1
        self.sentinels = [Sentinel(first, quorum=quorum, down_after=down_after, attached=attached) for _ in range(sentinels)]
        self.members = [*self.servers, *self.sentinels]

    @property
    def url(self) -> str:
        """Of the primary of now."""
        return self.primary.url

    @property
    def addresses(self) -> list[str]:
        """``host:port`` of the Sentinels."""
        return [f"{sentinel.host}:{sentinel.port}" for sentinel in self.sentinels]

    @property
    def conf(self) -> Conf:
        secret = {"password": self.password} if self.password else {}
        return Conf("redis", {"sentinels": self.addresses, "service": self.name, **secret})

    @property
    def primary(self) -> Redis:
        """The primary of now, by the Sentinels."""
        for sentinel in self.sentinels:
            if sentinel.process is not None:
                port = int(sentinel.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name)[1])
                return next(server for server in self.servers if server.port == port)
        raise ServiceFailed("no Sentinel runs")

    @property
    def replicas(self) -> list[Redis]:
        """All servers but the primary of now."""
        primary = self.primary
        return [server for server in self.servers if server is not primary]

    def fail_over(self) -> Redis:
        """Kill the primary, and wait until the Sentinels made a replica the new one, which is returned."""
        dead = self.primary
        dead.kill()

        def changed() -> bool:
            return self.primary is not dead and self.primary.info("replication")["role"] == "master"

        if not wait_for(changed, STARTS):
            raise ServiceFailed(f"the Sentinels made no other server the primary instead of the one on port {dead.port}")
        return self.primary

    def join(self) -> None:
        if not wait_for(self._met, STARTS):
            raise ServiceFailed("the Sentinels did not find each other and the replicas")

    def _met(self) -> bool:
        for sentinel in self.sentinels:
            found = sentinel.info("sentinel")["master0"]
            if (found["slaves"], found["sentinels"]) != (len(self.servers) - 1, len(self.sentinels)):
                return False
        return True
