"""A process that is forked leaves alone what belongs to its parent."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
from greenimi import green

green.patch()

import os

from greenimi.pool import Node, Pool, PoolError
from tests.pool.things import Things, settings

things = Things()
pool = Pool("orders", things, [Node("db1")], settings())
held = pool.take()
other = pool.take()
with pool.use() as idle:
    pass
child = os.fork()
if not child:
    other.release()
    with pool.use() as mine:
        print("fresh" if mine is not idle else "shared")
    try:
        held.resource
    except PoolError as error:
        print(error.text.rpartition(": ")[2])
    held.release()
    print(pool.size, len(things.open), flush=True)
    os._exit(0)
os.waitpid(child, 0)
with pool.use() as again:
    print("mine" if again is idle else "another")
held.release()
other.release()
print(pool.statistics().idle)
"""


def test_a_child_process() -> None:
    found = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=30, check=True)
    assert found.stdout.splitlines() == ["fresh", "it belongs to the parent process", "1 4", "mine", "3"]
    assert found.stderr == ""
