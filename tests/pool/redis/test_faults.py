"""Kills, timeouts and cut connections at any point of any command: whoever gets an answer gets his own, and nothing is left behind."""

from __future__ import annotations

import random
from typing import Any

import pytest
from redis.exceptions import RedisError, WatchError

from greenimi import green
from greenimi.pool.redis.errors import LateAnswer, LostConnection
from greenimi.testing.services.redis import Redis as Server
from greenimi.testing.support import wait_until
from tests.pool.redis.conftest import MakeRedis

KEYS = 24
TURNS = 40


def one_turn(client: Any, number: int, turn: int) -> tuple[Any, Any]:
    """What came, and what should have."""
    key, value = f"key{number}", b"value%d" % number
    kind = turn % 5
    if kind == 0:
        return client.pipeline().get(key).echo(key).execute(), [value, key.encode()]
    if kind == 1:
        return client.lrange(f"list{number}", 0, -1), [value] * 3
    if kind == 2:
        with client.pipeline() as pipeline:
            pipeline.watch(key)
            found = pipeline.get(key)
            pipeline.multi()
            pipeline.get(key)
            return [found, *pipeline.execute()], [value, value]
    if kind == 3:
        return client.blpop([f"empty{number}"], 0.001), None
    return client.get(key), value


@pytest.mark.parametrize("shared", [True, False])
def test_everybody_gets_his_own(make_redis: MakeRedis, redis_server: Server, shared: bool) -> None:
    client: Any = make_redis(shared=shared, wait=5.0)
    for number in range(KEYS):
        client.set(f"key{number}", f"value{number}")
        client.rpush(f"list{number}", *[f"value{number}"] * 3)
    wrong: list[Any] = []
    counts = {"right": 0, "timeouts": 0, "lost": 0}
    dice = random.Random(7)

    def work(number: int) -> None:
        for turn in range(TURNS):
            try:
                with green.timeout(dice.choice((None, 0.0, 0.0002, 0.001, 0.003)), TimeoutError):
                    found, wanted = one_turn(client, number, turn)
            except TimeoutError:
                counts["timeouts"] += 1
            except (LostConnection, LateAnswer, WatchError):  # the last when it was lost while keys were watched
                counts["lost"] += 1
            except RedisError as error:
                wrong.append(error)
            else:
                counts["right"] += 1
                if found != wanted:
                    wrong.append((number, turn, found))

    workers = [green.spawn(work, number) for number in range(KEYS)]
    victims = [green.spawn(work, number) for number in range(KEYS)]
    for number, victim in enumerate(victims):
        green.sleep(0.001)
        if number % 6 == 0:
            redis_server.call("CLIENT", "KILL", "TYPE", "normal")
        victim.kill()
    for worker in workers:
        worker.join()
    assert wrong == []
    assert min(counts.values()) > 5, counts
    wait_until(lambda: client.own.pool.statistics().busy == client.own.blocking.statistics().busy == 0)
    assert client.own._leases == {}
    assert wait_until(lambda: not client.link._sent and not client.link._unsent)
    assert client.get("key0") == b"value0"
