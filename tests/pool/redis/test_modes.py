"""The same commands over every way to a Redis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from greenimi.pool.redis.clients import make_client
from greenimi.pool.redis.settings import RedisSettings, TlsSettings
from greenimi.testing import services
from greenimi.testing.contracts.redis import RedisContract
from greenimi.testing.services.redis import Redis, RedisReplica
from greenimi.testing.services.redis_cluster import RedisCluster
from greenimi.testing.services.redis_sentinel import RedisSentinel
from greenimi.testing.services.service import free_port
from tests.certificates import certificates


class _OneServer(RedisContract):
    server: Any

    def make_plain(self) -> Any:
        return redis.Redis(port=self.server.port, protocol=3)


class TestTcp(_OneServer):
    @pytest.fixture(autouse=True)
    def _server(self, redis_server: Redis) -> None:
        self.server = redis_server

    def make(self) -> Any:
        return make_client(RedisSettings(host=self.server.host, port=self.server.port))


class TestUnixSocket(TestTcp):
    def make(self) -> Any:
        return make_client(RedisSettings(socket=str(self.server.socket)))


@pytest.fixture(scope="module")
def tls_server() -> Iterator[tuple[Any, int]]:
    """A server, and its port for TLS."""
    files, port = certificates(), free_port()
    options = {
        "tls-port": str(port),
        "tls-cert-file": files.file("server.pem"),
        "tls-key-file": files.file("server.key"),
        "tls-ca-cert-file": files.file("ca.pem"),
        "tls-auth-clients": "no",
    }
    with services.make("redis", options=options) as service:
        yield service, port


class TestTls(_OneServer):
    @pytest.fixture(autouse=True)
    def _server(self, tls_server: tuple[Any, int]) -> None:
        self.server, self.port = tls_server

    def make(self) -> Any:
        return make_client(RedisSettings(port=self.port, tls=TlsSettings(on=True, ca=certificates().file("ca.pem"))))


class TestReplica(_OneServer):
    @pytest.fixture(autouse=True)
    def _server(self, redis_replica: RedisReplica) -> None:
        self.replica = redis_replica
        self.server = redis_replica.primary

    def make(self) -> Any:
        return make_client(RedisSettings(port=self.server.port, replicas=[self.replica.url], read_from="replica"))


class TestSentinel(_OneServer):
    @pytest.fixture(autouse=True)
    def _server(self, redis_sentinel: RedisSentinel) -> None:
        self.service = redis_sentinel
        self.server = redis_sentinel.primary

    def make(self) -> Any:
        return make_client(RedisSettings(sentinels=self.service.addresses, service=self.service.name))


class TestCluster(RedisContract):
    @pytest.fixture(autouse=True)
    def _server(self, redis_cluster: RedisCluster) -> None:
        self.service = redis_cluster

    def make(self) -> Any:
        return make_client(RedisSettings(cluster=self.service.addresses))

    def make_plain(self) -> Any:
        return redis.RedisCluster(port=self.service.nodes[0].port, host="127.0.0.1", protocol=3)
