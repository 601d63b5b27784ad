"""Locks in a MySQL or MariaDB server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from greenimi import green
from greenimi.errors import ConfigError
from greenimi.interfaces import ILockStore
from greenimi.lock import Lock, LockError, LockLost, LockSettings
from greenimi.lock.database import DatabaseStore
from greenimi.pool.database.databases import make_database
from greenimi.pool.database.settings import DatabaseSettings
from greenimi.testing.contracts import LockStoreContract
from greenimi.testing.services.fixtures import StartService
from greenimi.testing.services.mariadb import MariaDB
from greenimi.testing.support import wait_until

LONG = 3600.0


@contextmanager
def opened(url: str, **settings: Any) -> Iterator[DatabaseStore]:
    database = make_database("default", DatabaseSettings(url=url))
    store = DatabaseStore(database, LockSettings(prefix="lock:default:", **settings))
    try:
        yield store
    finally:
        store.close()
        database.stop()


class TestDatabaseStore(LockStoreContract):
    @pytest.fixture(autouse=True)
    def _stores(self, mysql_url: str) -> Iterator[None]:
        self._url = mysql_url
        with ExitStack() as self._open:
            yield

    def make(self) -> ILockStore:
        return self._open.enter_context(opened(self._url))


def test_names_that_the_server_would_not_tell_apart(mysql_url: str) -> None:
    with opened(mysql_url) as store:
        names = ["a", "A", "á", "x" * 70, "x" * 71, "a "]
        for name in names:
            assert store.acquire(name, name, LONG, 0.0) is not None
        assert store._key("stock:42") == "lock:default:stock:42"
        assert all(len(store._key(name)) <= 64 for name in names)


def test_a_connection_that_is_lost_is_a_lock_that_is_lost(mysql_url: str) -> None:
    with opened(mysql_url) as store:
        lock = Lock(LockSettings(), lambda: store)

        def work() -> None:
            with lock.hold("a", lease=1.0, on_lost="raise"):
                next(iter(store._taken.values())).lease.resource.raw._sock.shutdown(2)
                green.sleep(30)

        with pytest.raises(LockLost, match="its store does not know it any more"):
            work()
        with lock.hold("a", wait=10):
            pass
        lock.stop()


def test_a_server_that_is_restarted(start_service: StartService) -> None:
    server = start_service("mariadb")
    with opened(server.url) as one, opened(server.url) as two:
        assert one.acquire("a", "1", LONG, 0.0) is not None
        server.restart()
        assert not one.renew("a", "1", LONG)
        assert two.acquire("a", "2", LONG, 10.0) is not None
        assert not one.release("a", "1")
        assert two.held("a")


def test_connections_are_given_back(mysql_url: str) -> None:
    with opened(mysql_url, connections=2) as store:
        for number in range(10):
            assert store.acquire("a", str(number), LONG, 0.0) is not None
            assert store.acquire("a", "other", LONG, 0.0) is None
            store.release("a", str(number))
        assert store._pool.statistics().busy == 0
        assert store._taken == {}


def test_killed_while_it_waits(mysql_url: str) -> None:
    with opened(mysql_url) as store:
        assert store.acquire("a", "1", LONG, 0.0) is not None
        waiting = green.spawn(store.acquire, "a", "2", LONG, 60.0)
        wait_until(lambda: store._pool.statistics().busy == 2)
        waiting.kill()
        assert store._pool.statistics().busy == 1


def test_one_holder_only(mysql_url: str) -> None:
    with opened(mysql_url) as store:
        lock = Lock(LockSettings(driver="database"), lambda: store)
        with pytest.raises(LockError, match=r"the database driver of .* gives a lock to one holder only"), lock.reading("a"):
            pass


def test_a_database_without_locks(tmp_path: Path) -> None:
    class Other:
        mysql = False

    with pytest.raises(ConfigError, match="has no locks"):
        DatabaseStore(Other(), LockSettings())  # type: ignore[arg-type]


def test_a_timeout_while_it_is_given_back_reaches_who_set_it(mysql_url: str, mariadb: MariaDB) -> None:
    with opened(mysql_url) as store:
        assert store.acquire("a", "1", LONG, 0.0) is not None
        mariadb.pause()
        try:
            with pytest.raises(TimeoutError), green.timeout(0.1):
                store.release("a", "1")
        finally:
            mariadb.resume()
        assert store.acquire("a", "2", LONG, 10.0) is not None
        assert store.release("a", "2")
