"""A holder of a lock who stands still for longer than the lock is his."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from greenimi.lock.front import Lock
from greenimi.lock.redis import RedisStore
from greenimi.lock.settings import LockSettings
from greenimi.pool.redis.clients import make_client
from greenimi.pool.redis.settings import RedisSettings
from greenimi.testing import services
from greenimi.testing.services.processes import ProcessId
from tests.soak.places import ROOT, Verdict

LEASE = 1.0
TAKEN = 1.0
"""Seconds after the end of the lease in which the next one must have it."""


@contextmanager
def locks(url: str) -> Iterator[Lock]:
    """An application's locks in a Redis."""
    client = make_client(RedisSettings(url=url))
    found = Lock(LockSettings(driver="redis"), lambda: RedisStore(client, client.subscribe))
    try:
        found.start()
        yield found
    finally:
        found.stop()
        client.close()


def holder_paused(verdict: Verdict) -> None:
    """The next one gets it with a higher number; the first one is told that he lost it, and takes it from nobody."""
    with ExitStack() as ends:
        server = ends.enter_context(services.make("redis"))
        command = [sys.executable, "-m", "tests.soak.apps.holder", server.url, str(LEASE)]
        holder = ends.enter_context(subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        ends.callback(holder.kill)
        assert holder.stdin is not None
        assert holder.stdout is not None
        first = int(holder.stdout.readline().removeprefix("held "))
        process = ProcessId.of(holder.pid)
        ends.callback(process.resume)
        mine = ends.enter_context(locks(server.url))
        time.sleep(1.5 * LEASE)
        with mine.try_hold("stock") as got:
            verdict.check(not got, "while he works on it is his, for longer than one lease")
        process.pause()
        began = time.monotonic()
        with mine.hold("stock", wait=20, lease=LEASE) as held:
            took = time.monotonic() - began
            verdict.check(took < LEASE + TAKEN, f"the next one had it after {took:.2f} s ({LEASE + TAKEN:g} s)")
            verdict.check(held.fencing > first, f"its number, {held.fencing}, is above his, {first}")
            process.resume()
            holder.stdin.write("\n")
            holder.stdin.flush()
            verdict.check(holder.stdout.readline() == "lost\n", "he is told that he lost it")
            holder.wait(10)
            verdict.check(mine.held("stock") and not held.lost, "what he gave back was not the next one's")
