"""Take a resource out of a pool and give it back: `python -m benchmarks.programs.take greenimi|queue|peewee`."""

from __future__ import annotations

import sys

from gevent import monkey

monkey.patch_all()

from collections.abc import Callable  # noqa: E402

from benchmarks.programs.loop import run  # noqa: E402


def of_greenimi() -> Callable[[], object]:
    from greenimi.pool import Node, Pool

    class Things:
        def connect(self, node: Node) -> list[int]:
            return []

        def close(self, resource: list[int]) -> None:
            pass

        def is_open(self, resource: list[int]) -> bool:
            return True

        def check(self, resource: list[int]) -> bool:
            return True

        def reset(self, resource: list[int]) -> bool:
            return True

    pool: Pool[list[int]] = Pool("bench", Things(), [Node("one")])
    pool.start()
    return lambda: pool.take().release()


def of_queue() -> Callable[[], object]:
    from gevent.queue import LifoQueue

    queue: LifoQueue = LifoQueue(32)
    for _ in range(32):
        queue.put([])
    return lambda: queue.put(queue.get())


def of_peewee() -> Callable[[], object]:
    from playhouse.pool import PooledSqliteDatabase

    database = PooledSqliteDatabase(":memory:", max_connections=32)

    def take() -> None:
        database.connect()
        database.close()

    return take


if __name__ == "__main__":
    run({"greenimi": of_greenimi, "queue": of_queue, "peewee": of_peewee}[sys.argv.pop(1)]())
