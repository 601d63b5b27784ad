"""The fixtures: the same service for all tests of a run, a private one on demand; the plugin itself loads none."""

from __future__ import annotations

import subprocess
import sys

from greenimi.testing.services.fixtures import StartService
from greenimi.testing.services.mariadb import MariaDB
from greenimi.testing.services.postgres import Postgres
from greenimi.testing.services.redis import Redis

seen: list[object] = []


def test_each_is_there_once(mariadb: MariaDB, redis_server: Redis, postgres: Postgres) -> None:
    seen.extend([mariadb.id, redis_server.id, postgres.id])
    assert len(seen) == 3


def test_and_is_the_same_for_the_next_test(mariadb: MariaDB, redis_server: Redis, postgres: Postgres) -> None:
    assert seen == [mariadb.id, redis_server.id, postgres.id]


def test_a_private_one_is_another(redis_server: Redis, start_service: StartService) -> None:
    private = start_service("redis")
    seen.append(private)
    assert private.port != redis_server.port
    assert private.call("PING")


def test_and_is_gone_after_its_test() -> None:
    private = seen[-1]
    assert isinstance(private, Redis)
    assert private.processes == []
    assert not private.folder.exists()


def test_the_plugin_imports_no_driver() -> None:
    heavy = "{'redis', 'pymysql', 'psycopg', 'paho'}"
    looks = f"import greenimi.testing.plugin, greenimi.testing.services.fixtures, sys; print(sys.modules.keys() & {heavy})"
    found = subprocess.run([sys.executable, "-c", looks], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"
