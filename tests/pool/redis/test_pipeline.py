from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import ResponseError, WatchError

from greenimi import green
from greenimi.pool.redis.client import Redis
from greenimi.pool.redis.errors import OwnConnectionNeeded
from greenimi.testing.services.redis import Redis as Server
from greenimi.testing.support import wait_until
from tests.pool.redis.conftest import MakeRedis


@pytest.fixture
def client(make_redis: MakeRedis) -> Redis:
    return make_redis()


@pytest.mark.parametrize("transaction", [True, False])
def test_over_the_shared_connection(client: Any, transaction: bool) -> None:
    pipeline = client.pipeline(transaction=transaction)
    pipeline.set("a", 1).incr("a").hset("h", mapping={"x": 1}).hgetall("h").mget([]).config_get("maxmemory")
    assert len(pipeline) == 6
    assert pipeline.execute() == [True, 2, 1, {b"x": b"1"}, [], {"maxmemory": "0"}]
    assert (len(pipeline), client.own.pool.size, client.own.blocking.size) == (0, 0, 0)
    assert pipeline.execute() == []


@pytest.mark.parametrize("transaction", [True, False])
def test_errors(client: Any, transaction: bool) -> None:
    client.set("text", "a")
    with pytest.raises(ResponseError, match=r"Command # 2 \(INCRBY text 1\)"):
        client.pipeline(transaction=transaction).set("b", 1).incr("text").set("c", 1).execute()
    found = client.pipeline(transaction=transaction).incr("text").get("c").execute(raise_on_error=False)
    assert isinstance(found[0], ResponseError)
    assert found[1] == b"1"
    with pytest.raises(ResponseError):
        client.pipeline(transaction=transaction).execute_command("NOSUCH").get("c").execute()
    assert client.get("c") == b"1"


def test_a_transaction_is_one_step(client: Any) -> None:
    """Others on the same connection cannot come between its commands."""
    client.set("a", 0)
    wrong = []

    def step() -> None:
        for _ in range(30):
            first, _, last = client.pipeline().incr("a").ping().incr("a").execute()
            if last != first + 1:
                wrong.append((first, last))

    greenlets = [green.spawn(step) for _ in range(8)]
    for greenlet in greenlets:
        greenlet.get()
    assert (wrong, client.get("a")) == ([], b"480")


def test_watch(client: Any) -> None:
    client.set("a", 1)
    with client.pipeline() as pipeline:
        pipeline.watch("a")
        value = int(pipeline.get("a"))
        pipeline.multi()
        pipeline.set("a", value + 1)
        assert pipeline.execute() == [True]
        pipeline.watch("a")
        client.set("a", 5)
        pipeline.multi()
        pipeline.set("a", 0)
        with pytest.raises(WatchError):
            pipeline.execute()
    assert client.get("a") == b"5"
    assert client.transaction(lambda pipe: pipe.set("b", 1), "a") == []
    assert client.own.blocking.statistics().busy == 0


def test_what_a_killed_watcher_held_is_closed(client: Any) -> None:
    def hold() -> None:
        with client.pipeline() as pipeline:
            pipeline.watch("a")
            green.sleep(60)

    holding = green.spawn(hold)
    wait_until(lambda: client.own.blocking.statistics().busy == 1)
    holding.kill()
    assert client.own.blocking.size == 0
    assert client.own._leases == {}


def test_large_and_long_ones_take_a_connection_of_their_own(client: Any) -> None:
    assert client.pipeline().set("a", b"x" * 100_000).execute() == [True]
    pipeline = client.pipeline(transaction=False)
    for _ in range(200):
        pipeline.incr("n")
    assert pipeline.execute()[-1] == 200
    assert client.own.pool.statistics().takes == 2
    client.get("a")  # it is known now that this is large
    assert len(client.pipeline().get("a").execute()[0]) == 100_000
    assert client.own.pool.statistics().takes == 3
    assert client.own.pool.statistics().busy == 0


def test_wait_after_writes(client: Any) -> None:
    assert client.pipeline(transaction=False).set("a", 1).wait(0, 10).execute() == [True, 0]
    assert client.own.pool.size == 1


def test_what_would_change_the_connection(client: Any) -> None:
    with client.pipeline() as pipeline:
        with pytest.raises(OwnConnectionNeeded):
            pipeline.select(1)
        pipeline.watch("a")
        with pytest.raises(OwnConnectionNeeded):
            pipeline.client_setname("a")
        assert pipeline.unwatch()
        pipeline.set("a", 1)
    assert client.own.blocking.statistics().busy == 0


def test_discard(client: Any) -> None:
    pipeline = client.pipeline()
    pipeline.set("a", 1)
    pipeline.discard()
    assert pipeline.execute() == []
    assert client.exists("a") == 0


def test_bytes_that_are_no_text(make_redis: MakeRedis) -> None:
    client: Any = make_redis(decode=True)
    client.set("a", "b")
    text, raw = client.pipeline(transaction=False).get("a").dump("a").execute()
    assert (text, type(raw)) == ("b", bytes)


def test_killed_while_it_waits(client: Any, redis_server: Server) -> None:
    client.ping()
    redis_server.call("CLIENT", "PAUSE", "100", "ALL")
    greenlet = green.spawn(client.pipeline().incr("a").incr("a").execute)
    wait_until(lambda: len(client.link._sent) == 4)
    greenlet.kill()
    assert client.get("b") is None
    assert client.get("a") == b"2"


def test_asking(client: Any) -> None:
    with pytest.raises(ResponseError, match="cluster support disabled"):
        client.pipeline(transaction=False).execute_asking(("BADLY", "a"), {}) if client.exists("a") else client.execute_asking(
            "CLUSTER MYID"
        )
    assert client.execute_asking("GET", "a", keys=["a"]) is None
