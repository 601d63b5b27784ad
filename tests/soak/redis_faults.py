"""Faults of Redis under load: fail-overs of Sentinel and Cluster, slots that move, servers that stand still, subscribers cut off."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.crc import key_slot

from greenimi import green
from greenimi.pool.redis.clients import make_client
from greenimi.pool.redis.pubsub import Gap, Published
from greenimi.pool.redis.settings import RedisSettings
from greenimi.testing import services
from tests.soak.places import NotRun, Verdict, need
from tests.soak.redis_load import Load

WAIT = 15.0
RECOVERY = 10.0
"""Seconds in which all is to be well again; the services' own time-outs are 1 to 1.5 s, and their votes take time."""


def run(folder: Path, verdict: Verdict) -> None:
    need("redis-server")
    for name, fault in FAULTS.items():
        verdict.part(name)
        try:
            fault(verdict)
        except NotRun as error:
            verdict.say(f"left out: {error}")
        except Exception as error:
            verdict.check(ok=False, text=f"it came to its end ({error!r})")


@contextmanager
def under_load(kind: str, *, wait: float = WAIT, **settings: Any) -> Iterator[tuple[Any, Any, Load]]:
    with services.make(kind, **settings) as service:
        conf: dict[str, Any] = {"wait": wait, "timeout": 2.0, "connect_timeout": 1.0}
        if kind == "redis_cluster":
            conf["cluster"] = service.addresses
        elif kind == "redis_sentinel":
            conf.update(sentinels=service.addresses, service=service.name)
        else:
            conf.update(port=service.port)
        client = make_client(RedisSettings(**conf))
        try:
            load = Load(client)
            load.goes_on(5)
            yield service, client, load
        finally:
            client.close()


def judge(verdict: Verdict, load: Load, *, lossless: bool, longest: float = WAIT) -> None:
    """``lossless``: nothing that was answered may be lost, as no server has died that had not told another yet."""
    load.stop()
    verdict.say(f"{load.total} counted, errors {dict(load.errors)}")
    verdict.check(not load.wrong, f"no wrong answer ({load.wrong[:3]})")
    verdict.check(load.longest <= longest + 2, f"nobody waited longer than {longest + 2:g} s ({load.longest:.2f} s)")
    kept = load.kept()
    above = [number for number in kept if kept[number] > load.counted[number] + load.unknown[number]]
    verdict.check(not above, f"nothing was counted twice ({len(above)} keys)")
    lost = sum(max(0, load.counted[number] - kept[number]) for number in kept)
    if lossless:
        verdict.check(not lost, f"nothing that was answered is lost ({lost})")
    else:
        verdict.say(f"{lost} of {load.total} answered counts had not reached the replica")


def recovered(verdict: Verdict, load: Load, seconds: float = RECOVERY) -> None:
    took = load.goes_on(seconds)
    verdict.check(took is not None, f"all go on within {seconds:g} s ({'never' if took is None else f'{took:.2f} s'})")


def sentinel_primary_killed(verdict: Verdict) -> None:
    with under_load("redis_sentinel") as (service, _, load):
        for _ in range(2):
            dead = service.primary
            dead.kill()
            recovered(verdict, load)
            dead.start()
            green.sleep(3)  # until it follows the new one
        judge(verdict, load, lossless=False)


def sentinel_primary_demoted(verdict: Verdict) -> None:
    with under_load("redis_sentinel") as (service, client, load):
        before = service.primary
        service.sentinels[0].call("SENTINEL", "FAILOVER", service.name)
        green.sleep(4)
        recovered(verdict, load)
        verdict.check(client.address.port != before.port, "another server is the primary")
        judge(verdict, load, lossless=False)


def sentinel_primary_stands_still(verdict: Verdict) -> None:
    with under_load("redis_sentinel") as (service, _, load):
        still = service.primary
        still.pause()
        green.sleep(1)  # until what was under way has come
        recovered(verdict, load)
        still.resume()
        green.sleep(2)
        recovered(verdict, load)
        judge(verdict, load, lossless=False)


def cluster_slots_move(verdict: Verdict) -> None:
    with under_load("redis_cluster") as (service, client, load):
        slots = sorted({key_slot(str(number).encode()) for number in load.counted})
        moved = 0
        for turn in range(4):
            for slot in slots:
                service.move_slot(slot, service.nodes[(slot + turn) % 3])
                moved += 1
        recovered(verdict, load)
        verdict.check(not load.errors, f"no command fails while {moved} slots move ({dict(load.errors)})")
        keys = set(client.scan_each())
        verdict.check(all(load.key(number).encode() in keys for number in load.counted), "a scan finds every key")
        judge(verdict, load, lossless=True)


def cluster_node_killed(verdict: Verdict) -> None:
    with under_load("redis_cluster", replicas=1) as (service, _, load):
        for node in service.nodes[:2]:
            node.kill()
            recovered(verdict, load)
            node.start()
            green.sleep(3)
        judge(verdict, load, lossless=False)


def cluster_node_stands_still(verdict: Verdict) -> None:
    with under_load("redis_cluster", replicas=1) as (service, _, load):
        service.nodes[0].pause()
        green.sleep(1)  # until what was under way has come
        recovered(verdict, load)
        service.nodes[0].resume()
        green.sleep(2)
        recovered(verdict, load)
        judge(verdict, load, lossless=False)


def server_stands_still(verdict: Verdict) -> None:
    with under_load("redis", wait=1.0) as (service, _, load):
        service.pause()
        green.sleep(4)
        verdict.check(load.errors["TimeoutError"] or load.errors["LateAnswer"], f"who waits gets an error ({dict(load.errors)})")
        service.resume()
        recovered(verdict, load, 3)
        judge(verdict, load, lossless=True, longest=5)


def server_restarts(verdict: Verdict) -> None:
    with under_load("redis", wait=1.0, persist=True) as (service, _, load):
        for _ in range(3):
            service.kill()
            green.sleep(1)
            service.start()
            recovered(verdict, load, 3)
        judge(verdict, load, lossless=True, longest=5)


def subscribers_cut_off(verdict: Verdict) -> None:
    """Numbers are published in order; a subscriber may miss some only where it was told of a gap."""
    with services.make("redis") as service:
        port: int = service.port
        client = make_client(RedisSettings(port=port, heartbeat=0.5, connect_timeout=0.5, subscriber_queue=100_000))
        publisher = redis.Redis(port=port)
        queues = [client.subscribe("numbers") for _ in range(5)]
        running = True

        def publish() -> None:
            number = 0
            while running:
                try:
                    publisher.publish("numbers", number)
                    number += 1
                except redis.RedisError:
                    pass
                green.sleep(0.0005)

        publishing = green.spawn(publish)
        longest = 0.0
        for turn in range(20):
            green.sleep(0.2)
            if turn % 5 == 4:
                service.pause()
                began = time.monotonic()
                while client.subscriptions.healthy and time.monotonic() - began < 5:
                    green.sleep(0.01)
                verdict.check(time.monotonic() - began < 1.5, f"silence is noticed ({time.monotonic() - began:.2f} s)")
                service.resume()
            else:
                service.call("CLIENT", "KILL", "TYPE", "pubsub")
            began = time.monotonic()
            green.sleep(0.01)
            while not client.subscriptions.healthy and time.monotonic() - began < 10:
                green.sleep(0.001)
            longest = max(longest, time.monotonic() - began)
        running = False
        publishing.get()
        green.sleep(0.2)
        verdict.check(longest < 2, f"heard again within 2 s each time ({longest:.2f} s)")
        hidden = gaps = heard = 0
        for queue in queues:
            queue.close()
            last, told = -1, True
            for each in queue:
                if isinstance(each, Gap):
                    told, gaps = True, gaps + 1
                elif isinstance(each, Published):
                    number = int(each.data)
                    hidden += number != last + 1 and not told
                    hidden += number <= last
                    last, told, heard = number, False, heard + 1
        verdict.check(gaps >= 15 * len(queues), f"gaps are told ({gaps})")
        verdict.check(heard and not hidden, f"nothing is missed without a gap, nothing twice ({hidden} of {heard})")
        client.close()


FAULTS: dict[str, Callable[[Verdict], None]] = {
    "Sentinel: the primary is killed": sentinel_primary_killed,
    "Sentinel: another server is made the primary": sentinel_primary_demoted,
    "Sentinel: the primary stands still": sentinel_primary_stands_still,
    "Cluster: slots move": cluster_slots_move,
    "Cluster: nodes are killed, replicas take over": cluster_node_killed,
    "Cluster: a node stands still": cluster_node_stands_still,
    "one server stands still": server_stands_still,
    "one server is killed and started again": server_restarts,
    "subscribers are cut off": subscribers_cut_off,
}
