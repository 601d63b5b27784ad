"""Read what is in a cache: `python -m benchmarks.programs.cached get|get-dict|cacheable|cacheable-dict|lru_cache`."""

from __future__ import annotations

import sys

from gevent import monkey

monkey.patch_all()

from collections.abc import Callable  # noqa: E402
from functools import lru_cache  # noqa: E402

from benchmarks.programs.loop import run  # noqa: E402


def application() -> None:
    from greenimi.cache import includeme
    from greenimi.config import Config
    from greenimi.container import Setup, set_default_container

    setup = Setup(Config({}))
    setup.include(includeme)
    set_default_container(setup.commit())


def of_get(value: object) -> Callable[[], object]:
    from greenimi.facades import Cache

    application()
    Cache.set("user:42", value, 3600.0)
    return lambda: Cache.get("user:42")


def of_cacheable(kind: type) -> Callable[[], object]:
    from greenimi import cacheable

    class Users:
        def name(self, user_id: int) -> str:
            return "ann"

        def row(self, user_id: int) -> dict[str, object]:
            return {"id": user_id, "name": "ann"}

    application()
    cached = cacheable("user:{user_id}", ttl=3600.0)(Users.name if kind is str else Users.row)
    users = Users()
    return lambda: cached(users, 42)


def of_lru_cache() -> Callable[[], object]:
    @lru_cache(maxsize=1000)
    def name(user_id: int) -> str:
        return "ann"

    return lambda: name(42)


CALLS: dict[str, Callable[[], Callable[[], object]]] = {
    "get": lambda: of_get("ann"),
    "get-dict": lambda: of_get({"id": 42, "name": "ann"}),
    "cacheable": lambda: of_cacheable(str),
    "cacheable-dict": lambda: of_cacheable(dict),
    "lru_cache": of_lru_cache,
}

if __name__ == "__main__":
    run(CALLS[sys.argv.pop(1)]())
