"""Millions of questions with random kills, and what of memory, files and connections they leave."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from greenimi import green
from greenimi.testing import services
from tests.soak import bad_databases, bad_redis
from tests.soak.data_load import Load, judge
from tests.soak.measures import Cpu, descriptors, resident
from tests.soak.places import Verdict
from tests.soak.sql_servers import SERVERS

STATEMENTS = 1_000_000
"""By each driver."""

COMMANDS = 2_000_000
QUICK = 25
"""With ``--quick`` it is this part of them."""

ASKERS = 16
KILL_WITHIN = 0.003
KILLED = 0.1
"""Share of questions that are given up."""

MOST_BYTES = 4 << 20
MOST_OBJECTS = 2_000


@dataclass
class Level:
    """What there is at one moment, while nobody asks."""

    bytes: int
    objects: int
    files: int
    connections: int

    @classmethod
    def now(cls, connections: Callable[[], int]) -> Level:
        green.sleep(0.5)  # what was closed is gone from the server's list, too
        gc.collect()
        return cls(resident(os.getpid()), len(gc.get_objects()), descriptors(os.getpid()), connections())


def _soak(verdict: Verdict, questions: int, ask: Callable[[int], object], connections: Callable[[], int]) -> None:
    """A tenth first, so that everything that is kept is there; then the rest."""
    total = questions // QUICK if verdict.quick else questions
    loads: list[Load] = []
    levels: list[Level] = []
    cpu, began = Cpu(os.getpid()), time.monotonic()
    for part in (total // 10, total - total // 10):
        with Load(ask, ASKERS, kill_within=KILL_WITHIN, kill_share=KILLED) as load:
            while load.asked < part:
                green.sleep(0.05)
        loads.append(load)
        levels.append(Level.now(connections))
    for load in loads:
        judge(verdict, load, longest=5)
    asked = sum(load.asked for load in loads)
    verdict.say(f"{asked} questions in {time.monotonic() - began:.0f} s, {cpu.share:.0%} of a core")
    first, last = levels
    verdict.check(last.bytes - first.bytes < MOST_BYTES, f"memory was {first.bytes >> 20} MiB after a tenth, is {last.bytes >> 20} MiB")
    verdict.check(last.objects - first.objects < MOST_OBJECTS, f"objects were {first.objects}, are {last.objects}")
    verdict.check(last.files <= first.files + ASKERS, f"open files were {first.files}, are {last.files}")
    verdict.check(last.connections <= first.connections + ASKERS, f"the server had {first.connections} connections, has {last.connections}")


def database(driver: str, verdict: Verdict) -> None:
    with ExitStack() as ends:
        server = ends.enter_context(SERVERS[driver].start())
        its = ends.enter_context(bad_databases.shop(server, driver))

        def ask(who: int) -> None:
            (its.move if who == 0 else its.read)(who)

        _soak(verdict, STATEMENTS, ask, server.connections)
        bad_databases.judge_pool(verdict, its)
        bad_databases.judge_books(verdict, server, its)


def redis(verdict: Verdict) -> None:
    with ExitStack() as ends:
        server = ends.enter_context(services.make("redis"))
        its = ends.enter_context(bad_redis.counted(url=server.url))

        def ask(who: int) -> None:
            (its.blocking if who == 0 else its.several if who == 1 else its.count if who < 8 else its.keep)(who)

        def connections() -> int:
            return int(server.info("clients")["connected_clients"])

        _soak(verdict, COMMANDS, ask, connections)
        bad_redis.judge_counts(verdict, its)
