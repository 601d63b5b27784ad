"""The clients of an application: found, used, closed."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from greenimi import facades, green
from greenimi.errors import ConfigError, MissingBean, StartError
from greenimi.pool import Pools
from greenimi.pool.redis import NotSent, Redis, RedisSettings
from greenimi.pool.redis.clients import make_client
from greenimi.testing.plugin import AppFactory
from greenimi.testing.services.redis import Redis as Server
from greenimi.testing.support import free_port, make_app

WEB: dict[str, Any] = {"servers": {"web": {"kind": "http"}}}


def test_each_table_is_a_client(app_factory: AppFactory, redis_url: str, redis_server: Server) -> None:
    tables = {"default": {"url": redis_url}, "sessions": {"socket": str(redis_server.socket), "db": 1, "decode": True}}
    app = app_factory([], {**WEB, "redis": tables})
    default, sessions = app.container.get(Redis, "default"), app.container.get(Redis, "sessions")
    assert facades.Redis.set("a", 1)
    assert facades.Redis.get("a") == b"1"
    assert sessions.set("a", "mine")
    assert (default.get("a"), sessions.get("a")) == (b"1", "mine")
    assert {"redis.default", "redis.default.blocking", "redis.sessions"} <= app.container.get(Pools).all().keys()
    app.stop()
    with pytest.raises(NotSent, match="closed"):
        default.get("a")


def test_nothing_connects_before_it_is_used(app_factory: AppFactory) -> None:
    app = app_factory([], {**WEB, "redis": {"default": {"port": free_port()}}})
    assert not app.container.get(Redis, "default").link.is_open


def test_a_start_that_checks() -> None:
    app = make_app({**WEB, "redis": {"default": {"port": free_port()}}, "pool": {"check": True}}, [])
    with pytest.raises(StartError, match=r"redis\.default"):
        app.start()


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"prot": 6379}, "unknown key prot"),
        ({"port": 0}, r"redis\.default\.port: 0"),
        ({"url": "http://a"}, r"redis\.default\.url: it begins with none of"),
    ],
)
def test_wrong_conf(table: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        make_app({**WEB, "redis": {"default": table}}, []).start()


def test_a_thread_that_asks_first_does_not_take_it_from_the_handlers(app_factory: AppFactory, redis_url: str) -> None:
    tables = {"default": {"url": redis_url}, "read": {"url": redis_url, "replicas": [redis_url], "read_from": "any"}}
    app = app_factory([], {**WEB, "redis": tables})
    for name in tables:
        client = app.container.get(Redis, name)
        with pytest.raises(RuntimeError, match="belongs to another thread"):
            green.in_thread(client.get, "a")
        assert client.get("a") is None


def test_no_table(app_factory: AppFactory) -> None:
    app = app_factory([], WEB)
    with pytest.raises(MissingBean):
        app.container.get(Redis, "default")


def test_by_hand(redis_url: str) -> None:
    with make_client(RedisSettings(url=redis_url)) as client:
        assert client.ping()


HELLO = """
import sys

from greenimi import green

green.patch()
from greenimi.testing.support import make_app

app = make_app({"servers": {"web": {"kind": "http"}}}, [])
app.start()
app.stop()
print(sorted({name.partition(".")[0] for name in sys.modules} & {"redis", "hiredis"}))
"""


def test_an_application_without_a_table_does_not_import_redis() -> None:
    found = subprocess.run([sys.executable, "-c", HELLO], capture_output=True, text=True, timeout=30, check=False)
    assert found.stdout == "[]\n", found.stderr
