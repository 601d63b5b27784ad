"""What the client sends which way.  That its replies are those of redis-py is tested over every mode in test_modes.py."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from redis.exceptions import ResponseError

from greenimi import green
from greenimi.pool.errors import PoolTimeout
from greenimi.pool.redis.client import Redis
from greenimi.pool.redis.errors import LateAnswer, NotSent, OwnConnectionNeeded, Unanswered
from greenimi.pool.redis.settings import BlockingSettings
from greenimi.testing.services.redis import Redis as Server
from greenimi.testing.support import free_port, wait_until
from tests.pool.redis.between import Between
from tests.pool.redis.conftest import MakeRedis


@pytest.fixture
def client(make_redis: MakeRedis) -> Redis:
    return make_redis()


def connections(server: Server) -> int:
    """How many there are beside the one that asks."""
    return len(server.call("CLIENT", "LIST", "TYPE", "normal").splitlines()) - 1


def test_is_a_client_of_redis_py(client: Any) -> None:
    assert isinstance(client, redis.Redis)
    assert client.set("a", "1", ex=100)
    assert (client.get("a"), client.incr("a"), client.mget([])) == (b"1", 2, [])
    with client as same:
        assert same is client
    assert "Redis default at 127.0.0.1" in repr(client)


def test_small_commands_share_one_connection(client: Any, redis_server: Server) -> None:
    before = connections(redis_server)
    greenlets = [green.spawn(client.set, f"key{number}", number) for number in range(30)]
    assert all(greenlet.get() for greenlet in greenlets)
    assert connections(redis_server) == before + 1
    assert client.own.pool.size == client.own.blocking.size == 0


def test_large_values_take_a_connection_of_their_own(client: Any) -> None:
    client.set("large", b"x" * 200_000)
    assert client.own.pool.size == 1
    assert client.link.is_open is False
    assert client.get("large") == b"x" * 200_000  # the first comes over the shared one
    assert client.link.large
    commands = len(client.link.large)
    assert client.get("large") == b"x" * 200_000
    assert client.own.pool.counts.takes == 2
    client.link.large.update(dict.fromkeys(client.link.large, 0.0))  # as if long ago
    client.set("large", b"x")
    assert client.get("large") == b"x"
    assert (commands, client.link.large, client.own.pool.counts.takes) == (1, {}, 2)


def test_not_shared(make_redis: MakeRedis) -> None:
    client: Any = make_redis(shared=False)
    client.set("a", 1)
    assert client.pipeline(transaction=False).get("a").execute() == [b"1"]
    assert client.own.pool.counts.takes == 2
    assert not client.link.is_open


def test_who_blocks_holds_up_nobody(client: Any) -> None:
    waiting = [green.spawn(client.blpop, f"list{number}", 0) for number in range(5)]
    stream = green.spawn(client.xread, {"stream": "$"}, block=0)
    wait_until(lambda: client.own.blocking.size == 6)
    assert client.ping()
    for number in range(5):
        client.rpush(f"list{number}", number)
    assert [greenlet.get() for greenlet in waiting] == [[b"list%d" % number, b"%d" % number] for number in range(5)]
    client.xadd("stream", {"a": 1})
    assert stream.get()
    assert client.blpop("list0", 0.01) is None


def test_blocking_commands_may_take_longer_than_others(make_redis: MakeRedis) -> None:
    client = make_redis(timeout=0.1)
    assert client.blpop("list", 0.3) is None
    waiting = green.spawn(client.blpop, "list", 0)
    green.sleep(0.2)
    client.rpush("list", 1)
    assert waiting.get() == [b"list", b"1"]
    assert client.get("list2") is None


def test_killed_while_it_blocks(client: Any, redis_server: Server) -> None:
    waiting = green.spawn(client.blpop, "list", 0)
    wait_until(lambda: redis_server.info("clients")["blocked_clients"] == 1)
    waiting.kill()
    wait_until(lambda: redis_server.info("clients")["blocked_clients"] == 0)
    client.rpush("list", "kept")
    assert client.lpop("list") == b"kept"
    assert client.own.blocking.size == 0


def test_own_connections_are_bounded(redis_url: str, make_redis: MakeRedis) -> None:
    client = make_redis(blocking=BlockingSettings(max=1, wait=0.05))
    waiting = green.spawn(client.blpop, "list", 0)
    wait_until(lambda: client.own.blocking.size == 1)
    with pytest.raises(PoolTimeout, match=r"redis\.default\.blocking"):
        client.blpop("other", 0)
    waiting.kill()


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda client: client.select(1), "[redis.NAME]"),
        (lambda client: client.execute_command("MULTI"), "pipeline()"),
        (lambda client: client.execute_command("SUBSCRIBE", "a"), "pubsub()"),
        (lambda client: client.client_setname("a"), "client()"),
        (lambda client: client.execute_command("CLIENT", "REPLY", "OFF"), "client()"),
        (lambda client: client.quit(), "close()"),
        (lambda client: client.wait(1, 10), "a pipeline that writes and then waits"),
    ],
)
def test_what_would_change_the_shared_connection_is_refused(client: Any, call: Any, hint: str) -> None:
    with pytest.raises(OwnConnectionNeeded) as caught:
        call(client)
    assert hint in str(caught.value)
    assert not client.link.is_open


def test_client_has_a_connection_that_may_be_changed(client: Any) -> None:
    single = client.client()
    assert single.select(1)
    assert single.client_setname("mine")
    single.set("there", 1)
    assert (single.client_getname(), single.exists("there"), client.exists("there")) == (b"mine", 1, 0)
    single.close()
    assert client.own.blocking.size == 0


def test_monitor_and_pubsub(client: Any) -> None:
    client.ping()
    with client.monitor() as monitor:
        client.set("watched", 1)
        assert monitor.next_command()["command"] == "SET watched 1"
    with client.pubsub() as pubsub:
        pubsub.subscribe("news")
        assert pubsub.get_message(timeout=5)["type"] == "subscribe"
        client.publish("news", "hello")
        assert pubsub.get_message(timeout=5)["data"] == b"hello"
    assert client.own.blocking.size == 0


def test_callbacks_set_later_count(client: Any) -> None:
    client.set("a", 1)
    assert client.get("a") == b"1"
    client.set_response_callback("GET", lambda reply: ("mine", reply))
    assert client.get("a") == ("mine", b"1")


def test_text(make_redis: MakeRedis) -> None:
    client: Any = make_redis(decode=True)
    client.set("a", "ä")
    assert client.get("a") == "ä"
    assert isinstance(client.dump("a"), bytes)  # what is no text is not made one
    assert client.restore("b", 0, client.dump("a"))
    assert client.get("b") == "ä"


def test_lost_answers_of_reads_are_asked_for_again(make_redis: MakeRedis, redis_server: Server) -> None:
    client = make_redis()
    client.set("a", 1)
    number = client.client_id()
    client.link.execute("CLIENT", "PAUSE", "100", "ALL")
    reading, writing = green.spawn(client.get, "a"), green.spawn(client.incr, "a")
    wait_until(lambda: len(client.link._sent) == 2)
    client.link.give_up("a test")
    with pytest.raises(Unanswered):
        writing.get()
    assert reading.get() in (b"1", b"2")
    assert client.client_id() != number
    assert make_redis(retry_reads=False)._again is False


def test_lost_connections_of_ones_own(make_redis: MakeRedis, redis_server: Server) -> None:
    with Between((redis_server.host, redis_server.port)) as between:
        client = make_redis(f"redis://127.0.0.1:{between.port}", shared=False)
        client.set("a", 1)
        between.hold()
        reading, writing = green.spawn(client.get, "a"), green.spawn(client.incr, "a")
        wait_until(lambda: client.own.pool.size == 2)
        green.sleep(0.02)
        between.cut()
        between.pass_on()
        with pytest.raises((Unanswered, NotSent)):
            writing.get()
        assert reading.get() == b"1"


def test_no_server(make_redis: MakeRedis) -> None:
    client = make_redis(f"redis://127.0.0.1:{free_port()}", wait=0.05)
    for call in (lambda: client.get("a"), lambda: client.blpop("a", 0), lambda: client.set("a", b"x" * 100_000)):
        with pytest.raises(NotSent, match="not sent"):
            call()


def test_own_connections_time_out(make_redis: MakeRedis, redis_server: Server) -> None:
    client = make_redis(shared=False, timeout=0.1)
    client.ping()
    redis_server.call("CLIENT", "PAUSE", "200", "ALL")
    with pytest.raises(LateAnswer):
        client.get("a")
    assert client.own.pool.size == 0
    assert wait_until(lambda: _answers(client))


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except (LateAnswer, NotSent):
        return False


def test_errors_of_the_server(client: Any) -> None:
    client.set("a", 1)
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        client.lpush("a", 1)
    with pytest.raises(ResponseError, match="unknown command"):
        client.execute_command("NOSUCH")


def test_close(client: Any) -> None:
    client.ping()
    client.set("large", b"x" * 100_000)
    client.close()
    client.close()
    with pytest.raises(NotSent):
        client.ping()
    assert wait_until(lambda: client.own.pool.size == 0) is True
