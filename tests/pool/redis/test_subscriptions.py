"""The shared subscription connection against a real server: it comes back, and it notices silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis

from greenimi import green
from greenimi.pool.redis.connections import TcpConnection
from greenimi.pool.redis.pubsub import Gap, Published
from greenimi.pool.redis.subscriptions import Subscriptions
from greenimi.testing.support import wait_until

Make = Callable[..., Subscriptions]


def connect(port: int, **more: Any) -> Any:
    kind: Any = TcpConnection
    connection = kind(port=port, protocol=2, socket_connect_timeout=1, driver_info=None, **more)
    connection.connect()
    return connection


@pytest.fixture
def make() -> Iterator[Make]:
    """``make(port)``: subscriptions that are closed afterwards."""
    with ExitStack() as ends:

        def made(port: int, **settings: Any) -> Subscriptions:
            user = {name: settings.pop(name) for name in ("username", "password") if name in settings}
            subscriptions = Subscriptions(lambda: connect(port, **user), **settings)
            ends.callback(subscriptions.close)
            return subscriptions

        yield made


def test_restarted_server(start_service: Any, make: Make) -> None:
    server = start_service("redis")
    subscriptions = make(server.port)
    heard: list[Any] = []
    queue = subscriptions.subscribe(["a", "b"])
    subscriptions.subscribe("a*", heard.append, pattern=True)
    server.kill()
    wait_until(lambda: not subscriptions.healthy)
    assert not queue.live.is_set()
    with pytest.raises(redis.TimeoutError, match="not subscribed to c within"):
        subscriptions.subscribe("c", timeout=0.1)
    later = subscriptions.subscribe("c", timeout=0)
    server.start()
    wait_until(lambda: subscriptions.healthy)
    assert isinstance(queue.get(5), Gap)
    assert isinstance(later.get(5), Gap)
    assert len(heard) == 1
    assert server.call("PUBLISH", "b", "again") == 1
    assert queue.get(5) == Published("b", b"again")
    assert subscriptions.lost == 1


def test_a_server_that_stands_still_is_noticed(start_service: Any, make: Make) -> None:
    server = start_service("redis")
    subscriptions = make(server.port, heartbeat=0.1, timeout=0.2)
    queue = subscriptions.subscribe("a")
    green.sleep(0.5)
    assert subscriptions.healthy
    assert subscriptions.lost == 0
    server.pause()
    try:
        wait_until(lambda: not subscriptions.healthy)
    finally:
        server.resume()
    assert queue.live.wait(5)
    assert isinstance(queue.get(5), Gap)


def test_many_channels_come_back(start_service: Any, make: Make) -> None:
    server = start_service("redis")
    subscriptions = make(server.port)
    queue = subscriptions.subscribe([f"channel:{number}" for number in range(5000)])
    server.call("CLIENT", "KILL", "TYPE", "pubsub")
    assert isinstance(queue.get(5), Gap)
    assert server.call("PUBLISH", "channel:4999", "x") == 1
    assert queue.get(5) == Published("channel:4999", b"x")


def test_a_forbidden_channel_harms_no_other(start_service: Any, make: Make) -> None:
    server = start_service("redis")
    server.call("ACL", "SETUSER", "limited", "on", ">secret", "~*", "+@all", "resetchannels", "&good")
    subscriptions = make(server.port, username="limited", password="secret")
    good = subscriptions.subscribe("good")
    with pytest.raises(redis.exceptions.NoPermissionError):
        subscriptions.subscribe(["good", "bad"])
    server.call("PUBLISH", "good", "x")
    assert good.get(5) == Published("good", b"x")
    assert subscriptions.lost == 0


def test_one_after_the_other_on_the_same_channel(start_service: Any, make: Make) -> None:
    server = start_service("redis")
    subscriptions = make(server.port)
    for number in range(50):
        with subscriptions.subscribe("a") as queue:
            assert server.call("PUBLISH", "a", number) == 1
            assert queue.get(5) == Published("a", b"%d" % number)
    assert subscriptions.lost == 0


def test_who_is_killed_while_subscribing_leaves_nothing(start_service: Any, make: Make) -> None:
    server = start_service("redis")
    subscriptions = make(server.port, timeout=30)
    subscriptions.subscribe("a")
    server.pause()
    try:
        waiting = green.spawn(subscriptions.subscribe, "b")
        green.sleep(0.05)
        waiting.kill()
    finally:
        server.resume()
    subscriptions.subscribe("c")
    assert sorted(server.call("PUBSUB", "CHANNELS")) == [b"a", b"c"]


def test_a_flood_lets_others_run(start_service: Any, make: Make) -> None:
    server = start_service("redis")
    subscriptions = make(server.port, limit=100_000)
    queue = subscriptions.subscribe("a")
    with redis.Redis(port=server.port) as client, client.pipeline(transaction=False) as pipe:
        for number in range(5_000):
            pipe.publish("a", number)
        sending = green.spawn(pipe.execute)
        heard = [queue.get(5) for _ in range(5_000)]
        sending.get()
    assert heard == [Published("a", b"%d" % number) for number in range(5_000)]


@pytest.mark.parametrize("names", ["", [], ["a", ""], b""])
def test_channels_have_names(names: Any, make: Make) -> None:
    with pytest.raises(ValueError, match="name at least one channel"):
        make(1).subscribe(names, timeout=0)


def test_another_thread_is_refused(make: Make) -> None:
    subscriptions = make(1)
    subscriptions.subscribe("a", timeout=0)
    with pytest.raises(RuntimeError, match="belong to another thread"):
        green.in_thread(lambda: subscriptions.subscribe("b", timeout=0))
