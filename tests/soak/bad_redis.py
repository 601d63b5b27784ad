"""A Redis that dies, falls silent, hands over to another or moves its slots, while many ask it."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from redis.exceptions import ClusterDownError, ReadOnlyError
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import TimeoutError as LateAnswer

from greenimi import green
from greenimi.pool import PoolTimeout
from greenimi.pool.redis.clients import make_client
from greenimi.pool.redis.errors import NotSent, Unanswered
from greenimi.pool.redis.settings import BlockingSettings, OwnSettings, RedisSettings
from greenimi.testing import services
from greenimi.testing.services.processes import wait_for
from greenimi.testing.services.proxy import Proxy
from greenimi.testing.services.redis_cluster import RedisCluster
from tests.soak.data_load import Load, Wrong, judge, judge_recovery
from tests.soak.places import Verdict

LOST = (LostConnection, LateAnswer, NotSent, Unanswered, PoolTimeout)
"""What a command may end with when its server is gone."""

SILENCE = 1.0
"""``timeout`` and ``connect_timeout`` of these applications."""

WAIT = 1.0
BACK = 3.0
"""Seconds after which everybody must be served again."""

FAIL_OVER = 15.0
"""Seconds after which everybody must be served again when another server has to take over."""

AGAIN = 10.0
"""Seconds after which a replica that is back must be used."""

ASKERS = 64
ROWS = 100
COUNTERS = 20
LARGE = 100_000


class Counted:
    """A client, and what its askers know of the counters that they count."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.counted: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()

    def read(self, who: int) -> None:
        """A text that only this question has."""
        token = f"{who}.{random.random()}"
        found = self.client.set(f"token:{token}", token, px=60_000, get=True) or self.client.get(f"token:{token}")
        if found != token.encode():
            raise Wrong(f"{token} came back as {found!r}")

    def look(self, who: int) -> None:
        """At something that stays as it is."""
        number = random.randrange(ROWS)
        found = self.client.get(f"thing:{number}")
        if found != f"thing {number}".encode():
            raise Wrong(f"asked for thing {number}, got {found!r}")

    def keep(self, who: int) -> None:
        """A key of this asker: what was written last is read, or what was not acknowledged after it."""
        key, value = f"kept:{who}", f"{random.random()}"
        self.client.set(key, value)
        found = self.client.get(key)
        if found != value.encode():
            raise Wrong(f"{key} is {found!r} after {value} was written")

    def count(self, who: int) -> None:
        name = f"counter:{random.randrange(COUNTERS)}"
        self.unknown[name] += 1  # until it is known
        try:
            found = self.client.incr(name)
        except NotSent:
            self.unknown[name] -= 1
            raise
        self.unknown[name] -= 1
        self.counted[name] += 1
        if not self.counted[name] <= found:
            raise Wrong(f"{name} is {found} after it was counted {self.counted[name]} times")

    def large(self, who: int) -> None:
        """On a connection of its own."""
        value = f"{random.random()}".encode() * (LARGE // 16)
        self.client.set(f"large:{who}", value)
        found = self.client.get(f"large:{who}")
        if found != value:
            raise Wrong(f"large:{who} is {found[:20]!r} after {value[:20]!r} was written")

    def several(self, who: int) -> None:
        """In one transaction."""
        token = f"{who}.{random.random()}"
        key = f"several:{who}"
        with self.client.pipeline() as pipe:
            found = pipe.set(key, token).get(key).append(key, "!").execute()
        if found != [True, token.encode(), len(token) + 1]:
            raise Wrong(f"{token} came back as {found!r}")

    def blocking(self, who: int) -> None:
        """From a list that another connection has just filled."""
        token, key = f"{who}.{random.random()}", f"list:{who}:{random.random()}"
        self.client.rpush(key, token)
        found = self.client.blpop([key], timeout=1)
        if list(found or ()) != [key.encode(), token.encode()]:
            raise Wrong(f"{token} came back as {found!r}")

    def mixed(self, who: int) -> None:
        random.choice((self.read, self.read, self.keep, self.count, self.count, self.large, self.several, self.blocking))(who)


@contextmanager
def counted(**settings: Any) -> Iterator[Counted]:
    """An application's client."""
    pool = OwnSettings(max=16, min=0, wait=WAIT, connect_time=SILENCE)
    blocking = BlockingSettings(max=ASKERS, min=0, wait=WAIT, connect_time=SILENCE)
    asked = RedisSettings(timeout=SILENCE, connect_timeout=SILENCE, wait=WAIT, pool=pool, blocking=blocking, **settings)
    client = make_client(asked)
    try:
        yield Counted(client)
    finally:
        client.close()


def judge_counts(verdict: Verdict, its: Counted) -> None:
    """Counts are equal: everything that was acknowledged, and nothing that nobody did."""
    found = {name: int(its.client.get(name) or 0) for name in its.counted}
    wrong = {name: number for name, number in found.items() if not its.counted[name] <= number <= its.counted[name] + its.unknown[name]}
    verdict.check(
        its.counted and not wrong,
        f"{its.counted.total()} acknowledged counts are there, {its.unknown.total()} are unknown, {len(wrong)} counters are wrong "
        f"({sum(found.values())} counted)",
    )


def killed(verdict: Verdict) -> None:
    """SIGKILL of the server, a second without it, and a start."""
    with ExitStack() as ends:
        server = ends.enter_context(services.make("redis", persist=True))
        its = ends.enter_context(counted(url=server.url))
        with Load(its.mixed, ASKERS) as load:
            for _ in range(3):
                load.wait_answers(1000)
                server.kill()
                green.sleep(1)
                server.start()
                judge_recovery(verdict, load, time.monotonic(), BACK)
        judge(verdict, load, longest=2 * (WAIT + 2 * SILENCE), errors=LOST)
        judge_counts(verdict, its)


def silent(verdict: Verdict) -> None:
    """A firewall that drops everything without a word; what it held back arrives late."""
    with ExitStack() as ends:
        server = ends.enter_context(services.make("redis"))
        proxy = ends.enter_context(Proxy(server.host, server.port))
        its = ends.enter_context(counted(host=proxy.host, port=proxy.port))
        with Load(its.mixed, ASKERS) as load:
            for seconds in (0.5 * SILENCE, 2 * SILENCE, 3 * SILENCE):
                load.wait_answers(1000)
                proxy.stall()
                green.sleep(seconds)
                proxy.go_on()
                judge_recovery(verdict, load, time.monotonic(), BACK)
        judge(verdict, load, longest=2 * (WAIT + 2 * SILENCE), errors=LOST)
        judge_counts(verdict, its)


def cut_in_the_middle(verdict: Verdict) -> None:
    """Connections that are reset after some bytes of an answer."""
    with ExitStack() as ends:
        server = ends.enter_context(services.make("redis"))
        proxy = ends.enter_context(Proxy(server.host, server.port))
        its = ends.enter_context(counted(host=proxy.host, port=proxy.port))
        with Load(its.mixed, ASKERS) as load:
            for _ in range(100):
                load.wait_answers(20)
                proxy.answers = random.randrange(3000)
            judge_recovery(verdict, load, time.monotonic(), BACK)
        judge(verdict, load, longest=2 * (WAIT + 2 * SILENCE), errors=LOST)
        judge_counts(verdict, its)


def stopped(verdict: Verdict) -> None:
    """A server that stands still for longer than anybody waits."""
    with ExitStack() as ends:
        server = ends.enter_context(services.make("redis"))
        its = ends.enter_context(counted(url=server.url))
        with Load(its.mixed, ASKERS) as load:
            load.wait_answers(1000)
            server.pause()
            green.sleep(3 * SILENCE)
            server.resume()
            judge_recovery(verdict, load, time.monotonic(), BACK)
        judge(verdict, load, longest=2 * (WAIT + 2 * SILENCE), errors=LOST)
        judge_counts(verdict, its)


def given_up(verdict: Verdict) -> None:
    """Commands that their askers give up after a random time, at every point of them."""
    with ExitStack() as ends:
        server = ends.enter_context(services.make("redis"))
        its = ends.enter_context(counted(url=server.url))
        for within in (0.003, 0.01, 0.03):
            with Load(its.mixed, 8, kill_within=within) as load:
                load.wait_answers(100)
                verdict.check(wait_for(lambda load=load: load.killed > 500, 30), "500 were given up")  # type: ignore[misc]
            judge(verdict, load, longest=within + WAIT)
        judge_counts(verdict, its)


def replica_killed(verdict: Verdict) -> None:
    """A replica that dies and comes back: reads go on at the primary."""
    with ExitStack() as ends:
        replica = ends.enter_context(services.make("redis_replica"))
        for number in range(ROWS):
            replica.primary.call("SET", f"thing:{number}", f"thing {number}")
        replica.catch_up()
        its = ends.enter_context(counted(url=replica.primary.url, replicas=[replica.url], read_from="replica"))
        with Load(its.look, ASKERS) as load:
            load.wait_answers(1000)
            seen = replica.info("commandstats")["cmdstat_get"]["calls"]
            verdict.check(seen > 500, f"reads go to the replica ({seen})")
            replica.kill()
            green.sleep(1)
            judge_recovery(verdict, load, time.monotonic(), BACK)
            replica.start()
            began = time.monotonic()
            while (seen := replica.info("commandstats").get("cmdstat_get", {}).get("calls", 0)) < 500 and time.monotonic() - began < AGAIN:
                green.sleep(0.1)
            verdict.check(seen >= 500, f"reads go to the replica again after {time.monotonic() - began:.1f} s ({AGAIN:g} s)")
        judge(verdict, load, longest=2 * (WAIT + 2 * SILENCE), errors=LOST)


def failed_over(verdict: Verdict) -> None:
    """The primary is killed and the Sentinels make a replica the primary.  Redis may lose what it acknowledged in the last moment."""
    with ExitStack() as ends:
        group = ends.enter_context(services.make("redis_sentinel"))
        its = ends.enter_context(counted(sentinels=group.addresses, service=group.name))
        with Load(its.mixed, ASKERS) as load:
            load.wait_answers(1000)
            dead = group.primary
            began = time.monotonic()
            group.fail_over()
            verdict.say(f"the Sentinels needed {time.monotonic() - began:.1f} s")
            judge_recovery(verdict, load, time.monotonic(), FAIL_OVER)
            dead.start()
            green.sleep(1)
            judge_recovery(verdict, load, time.monotonic(), BACK)
        judge(verdict, load, longest=2 * (WAIT + 2 * SILENCE), errors=(*LOST, ReadOnlyError))


def slots_moved(verdict: Verdict) -> None:
    """Slots of a Cluster move with their keys: nobody may notice."""
    with ExitStack() as ends:
        cluster = ends.enter_context(services.make("redis_cluster"))
        its = ends.enter_context(counted(cluster=cluster.addresses))
        slots = [_slot(cluster, f"counter:{number}") for number in range(COUNTERS)]
        with Load(its.mixed, 16) as load:
            load.wait_answers(1000)
            for slot in slots:
                to = random.choice([node for node in cluster.nodes if node is not cluster.owner(slot)])
                cluster.begin_move(slot, to)
                load.wait_answers(20)
                cluster.move_slot(slot, to)
            judge_recovery(verdict, load, time.monotonic(), BACK)
        judge(verdict, load, longest=WAIT + 2 * SILENCE)
        judge_counts(verdict, its)


def node_killed(verdict: Verdict) -> None:
    """A primary of a Cluster is killed and its replica takes over.  Redis may lose what it acknowledged in the last moment."""
    with ExitStack() as ends:
        cluster = ends.enter_context(services.make("redis_cluster", replicas=1))
        its = ends.enter_context(counted(cluster=cluster.addresses))
        with Load(its.mixed, ASKERS) as load:
            load.wait_answers(1000)
            cluster.nodes[0].kill()
            began = time.monotonic()
            while cluster.owner(0) is cluster.nodes[0] and time.monotonic() - began < FAIL_OVER:
                green.sleep(0.1)
            verdict.say(f"the Cluster needed {time.monotonic() - began:.1f} s")
            judge_recovery(verdict, load, time.monotonic(), FAIL_OVER)
        judge(verdict, load, longest=3 * (WAIT + 2 * SILENCE), errors=(*LOST, ClusterDownError))


def _slot(cluster: RedisCluster, key: str) -> int:
    return int(cluster.nodes[0].call("CLUSTER KEYSLOT", key))
