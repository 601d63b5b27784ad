"""Locks in a Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import redis

from greenimi import green
from greenimi.interfaces import ISharedLockStore
from greenimi.lock import Held, Lock, LockFailed, LockLost, LockSettings
from greenimi.lock.redis import RedisStore
from greenimi.testing.contracts import SharedLockStoreContract
from greenimi.testing.services.fixtures import StartService
from greenimi.testing.services.redis_cluster import RedisCluster
from greenimi.testing.support import wait_until
from tests.lock.redis_clients import own_store, plain_store

LONG = 3600.0


class TestRedisStore(SharedLockStoreContract):
    @pytest.fixture(autouse=True)
    def _stores(self, redis_url: str) -> Iterator[None]:
        self._url = redis_url
        with ExitStack() as self._open:
            yield

    def make(self) -> ISharedLockStore:
        return self._open.enter_context(own_store(url=self._url))


def check_two(one: RedisStore, two: RedisStore, names: list[str]) -> None:
    """Each lock has one holder at a time, and who waits is told of its end."""
    for name in names:
        assert one.acquire(name, "1", LONG, 0.0) is not None
        assert two.acquire(name, "2", LONG, 0.0) is None
        waiting = green.spawn(two.acquire, name, "2", LONG, 30.0)
        wait_until(lambda: two._waiting)
        assert one.renew(name, "1", LONG)
        assert one.release(name, "1")
        assert waiting.get(timeout=10) is not None
        assert two.release(name, "2")


def test_clients_of_redis_py_itself(redis_url: str) -> None:
    with plain_store(redis_url) as one, plain_store(redis_url) as two:
        check_two(one, two, ["a", "b"])


def test_a_cluster(redis_cluster: RedisCluster) -> None:
    conf = dict(redis_cluster.conf.keys)
    with own_store(**conf) as one, own_store(**conf) as two:
        check_two(one, two, [f"a{number}" for number in range(12)])
        assert one.share("s", "1", LONG, 0.0, 2) is not None
        assert two.share("s", "2", LONG, 0.0, 2) is not None
        assert two.share("s", "3", LONG, 0.0, 2) is None


@pytest.fixture
def store(redis_url: str) -> Iterator[RedisStore]:
    with plain_store(redis_url) as made:
        yield made


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


def test_who_is_gone_leaves_nothing_for_ever(store: RedisStore, client: redis.Redis) -> None:
    assert store.acquire("a", "1", 5.0, 0.0) is not None
    waiting = green.spawn(store.acquire, "a", "2", 5.0, 10.0)
    wait_until(lambda: len(client.keys("*waiting*")) == 1)
    assert all(0 < client.pttl(key) <= 7000 for key in client.keys("*") if b"fencing" not in key)
    waiting.kill()
    store.release("a", "1")
    assert [key for key in client.keys("*") if b"fencing" not in key] == []


def test_numbers_for_fencing_are_few_however_many_locks_there_are(store: RedisStore, client: redis.Redis) -> None:
    for number in range(600):
        assert store.acquire(f"a{number}", "1", LONG, 0.0) is not None
        store.release(f"a{number}", "1")
    assert len(client.keys()) <= 256


def test_keys_of_a_lock_are_together_on_a_cluster(store: RedisStore) -> None:
    for name in ("a", "a{b}c", "}", "{}", "ä" * 100):
        keys = store._keys(name)
        assert len({client_slot(key) for key in keys}) == 1
        assert all(key.startswith("lock:default:{") for key in keys)


def client_slot(key: str) -> int:
    from redis.crc import key_slot

    return int(key_slot(key.encode()))


def test_a_release_is_told_only_where_somebody_waits(store: RedisStore, client: redis.Redis) -> None:
    with client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe("lock:default:released")
        wait_until(lambda: client.pubsub_numsub("lock:default:released")[0][1] == 1)
        assert store.acquire("a", "1", LONG, 0.0) is not None
        store.release("a", "1")
        assert store.acquire("b", "1", LONG, 0.0) is not None
        waiting = green.spawn(store.acquire, "b", "2", LONG, 10.0)
        wait_until(lambda: client.keys("*waiting*"))
        store.release("b", "1")
        assert waiting.get(timeout=10) is not None
        found = wait_until(lambda: listener.get_message(timeout=1))
        assert found["data"] == b"b"


def test_scripts_are_sent_again_when_the_server_forgot_them(store: RedisStore, client: redis.Redis) -> None:
    assert store.acquire("a", "1", LONG, 0.0) is not None
    client.script_flush()
    assert store.renew("a", "1", LONG)
    client.script_flush()
    assert store.held("a")
    assert store.release("a", "1")


def test_numbers_grow_though_the_server_lost_everything(store: RedisStore, client: redis.Redis) -> None:
    first = store.acquire("a", "1", LONG, 0.0)
    client.flushall()
    second = store.acquire("a", "2", LONG, 0.0)
    assert first is not None
    assert second is not None
    assert second[0] > first[0]


def test_numbers_grow_though_the_clock_is_set_back(store: RedisStore, client: redis.Redis) -> None:
    ahead = 4_000_000_000_000_000
    client.set(store._keys("a")[2], ahead)
    found = store.acquire("a", "1", LONG, 0.0)
    assert found is not None
    assert found[0] == ahead + 1


def test_who_waits_is_told_after_the_subscription_was_lost(store: RedisStore, client: redis.Redis) -> None:
    assert store.acquire("a", "1", LONG, 0.0) is not None
    waiting = green.spawn(store.acquire, "a", "2", LONG, 20.0)
    wait_until(lambda: client.pubsub_numsub("lock:default:released")[0][1] == 1)
    client.client_kill_filter(_type="pubsub")
    store.release("a", "1")
    assert waiting.get(timeout=10) is not None


def test_a_fail_over_may_lose_a_lock_but_no_number_comes_twice(start_service: StartService) -> None:
    servers = start_service("redis_sentinel", replicas=1, sentinels=1)
    with own_store(**servers.conf.keys) as store:
        lock = Lock(LockSettings(), lambda: store)
        with lock.hold("a", lease=30.0, on_lost="log") as held:
            servers.fail_over()

            def take() -> Held | None:
                try:
                    with lock.try_hold("b") as other:
                        return other
                except LockFailed:
                    return None

            other = wait_until(take, 30.0)
            assert other is not None
            assert other.fencing > held.fencing
            assert store.renew("a", held.token, 30.0) or store.acquire("a", "x", 1.0, 0.0) is not None
        lock.stop()


def test_a_redis_that_is_gone_and_comes_back(start_service: StartService) -> None:
    server = start_service("redis")
    with own_store(url=server.url, wait=0.1) as store:
        lock = Lock(LockSettings(), lambda: store)

        def work() -> None:
            with lock.hold("a", lease=0.5, on_lost="raise"):
                server.kill()
                green.sleep(30)

        with pytest.raises(LockLost, match=r"its lease of 0\.5 seconds was over"):
            work()
        with pytest.raises(LockFailed, match="the lock 'a' cannot be asked for"):
            lock.hold("a").__enter__()
        server.start()

        def take() -> bool:
            try:
                with lock.hold("a", wait=10.0) as held:
                    return not held.lost
            except LockFailed:  # it is not connected yet
                return False

        assert wait_until(take)
        lock.stop()


def test_a_restart_loses_locks_and_nobody_waits_for_ever(start_service: StartService) -> None:
    server = start_service("redis")
    with plain_store(server.url) as one, plain_store(server.url) as two:
        assert one.acquire("a", "1", LONG, 0.0) is not None
        server.restart()
        assert not one.renew("a", "1", LONG)
        assert two.acquire("a", "2", LONG, 0.0) is not None
        assert not one.release("a", "1")
        assert two.held("a")
