"""What every client of Redis does, whatever it talks to: one server by TCP, Unix socket or TLS, a primary behind Sentinels, a Cluster."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from greenimi import green
from greenimi.green import Timeout
from greenimi.pool.redis.pubsub import Gap, Published
from greenimi.pool.redis.scripts import Script
from greenimi.testing.contracts.redis_commands import GROUPS, answer
from greenimi.testing.support import wait_until

ADD = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")


class RedisContract(ABC):
    """The same commands and helpers over every mode.  The servers are this test's own: everything in them is deleted."""

    @abstractmethod
    def make(self) -> Any:
        """A client of ours."""

    @abstractmethod
    def make_plain(self) -> Any:
        """redis-py's own client of the same servers, with the same protocol."""

    @pytest.fixture
    def client(self) -> Iterator[Any]:
        client = self.make()
        client.flushall()
        yield client
        client.close()

    @pytest.fixture
    def plain(self) -> Iterator[Any]:
        plain = self.make_plain()
        yield plain
        plain.close()

    # -- commands ----------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("group", GROUPS)
    def test_each_command_answers_as_redis_py_does(self, client: Any, plain: Any, group: str) -> None:
        steps = GROUPS[group]
        plain.flushall()
        expected = [answer(plain, step) for step in steps]
        client.flushall()
        found = [answer(client, step) for step in steps]
        assert list(zip(steps, found, strict=True)) == list(zip(steps, expected, strict=True))

    def test_many_greenlets_get_each_its_own_reply(self, client: Any) -> None:
        wrong: list[Any] = []

        def work(number: int) -> None:
            for step in range(20):
                key = f"key:{number}"
                client.set(key, f"{number}:{step}")
                if client.get(key) != b"%d:%d" % (number, step):
                    wrong.append((number, step))

        greenlets = [green.spawn(work, number) for number in range(30)]
        for greenlet in greenlets:
            greenlet.get()
        assert wrong == []

    def test_a_greenlet_that_stops_waiting_takes_no_reply_of_another(self, client: Any) -> None:
        keys = [f"key:{number}" for number in range(20)]
        for key in keys:
            client.set(key, key)
        for round_ in range(20):
            waiting = [green.spawn(client.get, key) for key in keys]
            if round_ % 2:
                green.sleep(0)
            for greenlet in waiting[::3]:
                greenlet.kill(block=False)
            try:
                with Timeout(0.0001 * round_):
                    client.get("key:7")
            except Timeout:
                pass
            for number, greenlet in enumerate(waiting):
                if number % 3:
                    assert greenlet.get() == keys[number].encode()

    def test_large_values(self, client: Any) -> None:
        value = bytes(range(256)) * 4096
        client.set("large", value)
        assert client.get("large") == client.get("large") == value

    def test_commands_that_block_hold_up_nobody(self, client: Any) -> None:
        waiting = green.spawn(client.blpop, "list", 5)
        for _ in range(10):
            assert client.set("key", 1)
        client.rpush("list", "x")
        assert list(waiting.get(timeout=5)) == [b"list", b"x"]

    # -- pipelines, transactions -------------------------------------------------------------------------------------------

    def test_pipelines(self, client: Any) -> None:
        with client.pipeline(transaction=False) as pipe:
            for number in range(200):
                pipe.set(f"key:{number}", number)
                pipe.get(f"key:{number}")
                pipe.incr(f"key:{number}")
            found = pipe.execute()
        assert found == [each for number in range(200) for each in (True, b"%d" % number, number + 1)]

    def test_an_error_in_a_pipeline(self, client: Any) -> None:
        with client.pipeline(transaction=False) as pipe:
            pipe.set("a", "text").incr("a").set("b", 1)
            found = pipe.execute(raise_on_error=False)
            assert found[0] is found[2] is True
            assert isinstance(found[1], redis.ResponseError)
            pipe.set("a", "text").incr("a").set("b", 2)
            with pytest.raises(redis.ResponseError, match="Command # 2"):
                pipe.execute()
        assert client.get("b") == b"2"

    def test_transactions(self, client: Any) -> None:
        with client.pipeline(transaction=True) as pipe:
            pipe.set("{t}:a", 1)
            pipe.incr("{t}:a")
            pipe.hset("{t}:h", mapping={"x": 1})
            pipe.hgetall("{t}:h")
            assert pipe.execute() == [True, 2, 1, {b"x": b"1"}]

    def test_a_watched_key_that_changes_ends_the_transaction(self, client: Any) -> None:
        client.set("key", 1)
        with client.pipeline(transaction=True) as pipe:
            pipe.watch("key")
            assert pipe.get("key") == b"1"
            client.set("key", 5)
            pipe.multi()
            pipe.set("key", 2)
            with pytest.raises(redis.WatchError):
                pipe.execute()
        assert client.get("key") == b"5"

    def test_transaction_function_sums_exactly(self, client: Any) -> None:
        def add(pipe: Any) -> None:
            value = int(pipe.get("sum") or 0)
            pipe.multi()
            pipe.set("sum", value + 1)

        for greenlet in [green.spawn(client.transaction, add, "sum") for _ in range(5)]:
            greenlet.get()
        assert client.get("sum") == b"5"

    # -- scripts -----------------------------------------------------------------------------------------------------------

    def test_scripts_survive_a_flush(self, client: Any) -> None:
        add = client.register_script(ADD.script)
        assert add.sha == ADD.sha
        assert add(keys=["n"], args=[2]) == 2
        client.script_flush()
        assert add(keys=["n"], args=[3]) == 5
        assert add(["n"], [1]) == ADD(["n"], [1], client) - 1

    def test_scripts_in_pipelines(self, client: Any) -> None:
        client.script_flush()
        for transaction in (False, True):
            client.delete("{t}:n")
            with client.pipeline(transaction=transaction) as pipe:
                for _ in range(2):
                    pipe.set("{t}:x", 1)
                    ADD(["{t}:n"], [1], pipe)
                    ADD(["{t}:n"], [1], pipe)
                    first = pipe.execute()
                    client.script_flush()
            assert first == [True, 3, 4]

    # -- scans -------------------------------------------------------------------------------------------------------------

    def test_scan_each_gives_every_key(self, client: Any) -> None:
        wanted = {b"key:%d" % number for number in range(300)}
        with client.pipeline(transaction=False) as pipe:
            for key in wanted:
                pipe.set(key, 1)
            pipe.execute()
        client.hset("other", "x", 1)
        assert set(client.scan_each(count=50)) == wanted | {b"other"}
        assert set(client.scan_each(match="key:*")) == wanted
        assert set(client.scan_each(type="hash")) == {b"other"}
        assert set(client.scan_each(match="none*")) == set()

    def test_scans_of_one_key_give_everything(self, client: Any) -> None:
        names = [b"%d" % number for number in range(300)]
        client.hset("hash", mapping={name: b"v" + name for name in names})
        client.sadd("set", *names)
        client.zadd("sorted", {name: float(name) for name in names})
        assert dict(client.hscan_each("hash", count=20)) == {name: b"v" + name for name in names}
        assert set(client.sscan_each("set", count=20)) == set(names)
        assert dict(client.zscan_each("sorted", count=20)) == {name: float(name) for name in names}
        assert set(client.sscan_each("set", match="29*")) == {name for name in names if name.startswith(b"29")}
        assert list(client.hscan_each("none")) == list(client.sscan_each("none")) == []

    def test_keys_with_one_tag_are_together(self, client: Any) -> None:
        name = client.tag("stock:42")
        client.mset({f"{name}:{number}": number for number in range(10)})
        assert client.mget([f"{name}:{number}" for number in range(10)]) == [b"%d" % number for number in range(10)]

    # -- publish and subscribe ---------------------------------------------------------------------------------------------

    def test_subscribers_share_a_connection(self, client: Any) -> None:
        heard: list[Any] = []
        with client.subscribe("news", heard.append), client.subscribe(["news", "more"]) as queue:
            client.publish("news", "one")
            client.publish("more", b"\xff")
            assert queue.get(5) == Published("news", b"one")
            assert queue.get(5) == Published("more", b"\xff")
            assert heard == [Published("news", b"one")]
            assert queue.get(0.01) is None
        client.publish("news", "late")
        assert queue.get(0.01) is None

    def test_patterns(self, client: Any) -> None:
        with client.subscribe("news.*", pattern=True) as queue:
            client.publish("news.tea", "ready")
            assert queue.get(5) == Published("news.tea", b"ready", "news.*")

    def test_a_slow_subscriber_is_told_what_it_lost(self, client: Any) -> None:
        with client.subscribe("news", limit=3) as slow, client.subscribe("news") as quick:
            for number in range(5):
                client.publish("news", number)
            assert [quick.get(5) for _ in range(5)] == [Published("news", b"%d" % number) for number in range(5)]
            assert slow.get(5) == Gap("this subscriber is too slow", 2)
            assert [slow.get(5) for _ in range(3)] == [Published("news", b"%d" % number) for number in (2, 3, 4)]

    def test_a_subscription_comes_back_and_tells_of_the_gap(self, client: Any, plain: Any) -> None:
        with client.subscribe("news") as queue:
            self.kill_subscribers(plain)
            gap = queue.get(5)
            assert isinstance(gap, Gap)
            assert gap.lost is None
            client.publish("news", "again")
            assert queue.get(5) == Published("news", b"again")

    def test_redis_pys_own_pubsub(self, client: Any) -> None:
        with client.pubsub(ignore_subscribe_messages=True) as pubsub:
            pubsub.subscribe("news")
            pubsub.get_message(timeout=1)
            client.publish("news", "one")
            message = wait_until(lambda: pubsub.get_message(timeout=0.1))
            assert (message["type"], message["channel"], message["data"]) == ("message", b"news", b"one")

    # -- lost connections --------------------------------------------------------------------------------------------------

    def test_after_the_server_cut_all_connections_it_goes_on(self, client: Any, plain: Any) -> None:
        client.set("key", 1)
        self.kill_clients(plain)
        assert wait_until(lambda: _tried(client, "key")) == b"1"
        assert client.incr("key") == 2

    @staticmethod
    def nodes(plain: Any) -> list[Any]:
        """A client for each server."""
        if isinstance(plain, redis.RedisCluster):
            return [plain.get_redis_connection(node) for node in plain.get_nodes()]
        return [plain]

    def kill_subscribers(self, plain: Any) -> None:
        for node in self.nodes(plain):
            node.execute_command("CLIENT KILL", "TYPE", "pubsub")

    def kill_clients(self, plain: Any) -> None:
        for node in self.nodes(plain):
            node.execute_command("CLIENT KILL", "TYPE", "normal", "SKIPME", "yes")


def _tried(client: Any, key: str) -> Any:
    try:
        return client.get(key)
    except redis.ConnectionError:
        return None
