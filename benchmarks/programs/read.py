"""Read a value of Redis by its key: `python -m benchmarks.programs.read KIND`, by 32 greenlets at once.

greenimi         our client: the greenlets share a connection
greenimi-python  the same without hiredis
redis-py         redis-py with hiredis, a connection for each greenlet, so that no pool costs anything
redis-py-pool    redis-py with its BlockingConnectionPool
beside-large     our client, while another greenlet reads a value of 1 MiB 20 times a second
shared-large     the same over the shared connection, as if it were small
"""

from __future__ import annotations

import sys

from gevent import monkey

monkey.patch_all()

from collections.abc import Callable  # noqa: E402
from contextlib import ExitStack  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402

from benchmarks.programs.beside import beside  # noqa: E402
from benchmarks.programs.loop import run_many  # noqa: E402

GREENLETS = 32
KEYS = [f"key{number}" for number in range(1000)]
LARGE = 1 << 20
PAUSE = 0.05


def of_greenimi(url: str, ends: ExitStack, **settings: Any) -> Callable[[int], object]:
    from greenimi.pool.redis import RedisSettings
    from greenimi.pool.redis.clients import make_client

    client = ends.enter_context(make_client(RedisSettings(url=url, **settings)))
    if settings:
        ends.callback(gevent.spawn(read_large, client).kill)
    return lambda number: client.get(KEYS[number % len(KEYS)])


def read_large(client: Any) -> None:
    while len(client.get("large")) == LARGE:
        gevent.sleep(PAUSE)


def of_redis_py(url: str, ends: ExitStack) -> Callable[[int], object]:
    import redis
    from gevent.local import local

    class Own(local):
        def __init__(self) -> None:
            self.client = redis.Redis.from_url(url, single_connection_client=True)

    own = Own()
    return lambda number: own.client.get(KEYS[number % len(KEYS)])


def of_redis_py_pool(url: str, ends: ExitStack) -> Callable[[int], object]:
    import redis

    client = ends.enter_context(redis.Redis.from_pool(redis.BlockingConnectionPool.from_url(url, max_connections=GREENLETS)))
    return lambda number: client.get(KEYS[number % len(KEYS)])


KINDS: dict[str, Callable[[str, ExitStack], Callable[[int], object]]] = {
    "greenimi": of_greenimi,
    "greenimi-python": of_greenimi,
    "redis-py": of_redis_py,
    "redis-py-pool": of_redis_py_pool,
    "beside-large": lambda url, ends: of_greenimi(url, ends, large=64 * 1024),
    "shared-large": lambda url, ends: of_greenimi(url, ends, large=LARGE * 2),
}


if __name__ == "__main__":
    kind = sys.argv.pop(1)
    if kind == "greenimi-python":
        sys.modules["hiredis"] = None  # type: ignore[assignment]  # importing it fails
    with beside("redis") as server, ExitStack() as ends:
        for key in KEYS:
            server.call("SET", key, f"the value of {key}")
        server.call("SET", "large", b"x" * LARGE)
        run_many(KINDS[kind](server.url, ends), GREENLETS)
