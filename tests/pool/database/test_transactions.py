"""What the contract of transactions leaves to see: several databases, pauses, transactions beside others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peewee
import pytest

from greenimi import green
from greenimi.event import Events
from greenimi.pool.database import Database, DatabaseSettings, TransactionError
from greenimi.pool.database.databases import make_database
from greenimi.pool.database.transactions import AfterCommit
from greenimi.pool.settings import PoolSettings
from greenimi.pool.wishes import Options, Wish
from greenimi.testing.contracts.database import TABLE, busy
from greenimi.testing.support import wait_until


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Database, Database]]:
    """A shop in a file, its reports in memory, the same events."""
    events = Events()
    shop = make_database("shop", DatabaseSettings(url=f"sqlite:///{tmp_path / 'shop.db'}"), events)
    reports = make_database("reports", DatabaseSettings(url="sqlite://"), events)
    for database in (shop, reports):
        database.execute(TABLE)
    yield shop, reports
    for database in (shop, reports):
        assert busy(database) == 0
        database.stop()


def test_events_go_by_the_transaction_that_was_begun_last(two: tuple[Database, Database]) -> None:
    shop, reports = two
    events: Any = shop.telling._events
    heard: list[str] = []
    events.on("sold", lambda event: heard.append(event.data))
    with shop.atomic():
        with reports.atomic():
            events.emit("sold", data="reports", after_commit=True)
        assert heard == ["reports"]
        events.emit("sold", data="shop", after_commit=True)
        with pytest.raises(ZeroDivisionError), reports.atomic():  # noqa: PT012 - it leaves the block
            events.emit("sold", data="lost", after_commit=True)
            raise ZeroDivisionError
        assert heard == ["reports"]
    assert heard == ["reports", "shop"]


def test_events_of_a_part_that_was_undone_are_never_told(two: tuple[Database, Database]) -> None:
    shop, _ = two
    events: Any = shop.telling._events
    heard: list[str] = []
    events.on("sold", lambda event: heard.append(event.data))
    with shop.atomic():
        shop.rollback()
        events.emit("sold", data="undone", after_commit=True)
    assert heard == []


def test_a_database_that_is_gone_is_not_asked(two: tuple[Database, Database]) -> None:
    hook = AfterCommit()
    assert not hook(lambda: None)
    hook.databases.add(two[0])
    assert not hook(lambda: None)
    with two[0].atomic():
        assert hook(lambda: None)


def test_what_it_does_aside_is_another_ones(two: tuple[Database, Database]) -> None:
    shop, _ = two
    with shop.atomic("deferred"):  # which does not write yet
        shop.value("SELECT COUNT(*) FROM things")
        with shop.holds.aside():
            assert not shop.in_transaction()
            shop.begin()
            shop.execute("INSERT INTO things (id) VALUES (1)")
            assert busy(shop) == 2
        assert busy(shop) == 1  # what was left open there is rolled back
        assert shop.transaction_depth() == 1
    assert shop.value("SELECT COUNT(*) FROM things") == 0
    with shop.holds.aside():
        assert shop.value("SELECT COUNT(*) FROM things") == 0


def test_a_new_one_that_could_never_write_is_refused(two: tuple[Database, Database]) -> None:
    shop, reports = two
    wish = Wish("new", 0, "", 1, Options())
    for database, text in ((shop, "one writer at a time"), (reports, "the pool has one")):
        with database.atomic(), pytest.raises(TransactionError, match=text):
            database.call(wish, lambda: None, "work")


def test_tries_are_counted_and_apart_in_time(two: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch) -> None:
    shop, _ = two
    pauses: list[float] = []
    monkeypatch.setattr(green, "sleep", pauses.append)
    monkeypatch.setattr(shop, "is_transient", lambda error: "again" in str(error))
    tries: list[int] = []

    def work() -> str:
        tries.append(shop.transaction_depth())
        if len(tries) < 4:
            try:
                raise peewee.OperationalError("again")
            except peewee.OperationalError as error:
                raise RuntimeError("something else came of it") from error
        return "done"

    assert shop.call(Wish("required", 3, "", 1, Options()), work, "work") == "done"
    assert tries == [1, 1, 1, 1]
    assert len(pauses) == 3
    assert all(0.5 * most <= pause <= most for pause, most in zip(pauses, (0.01, 0.02, 0.04), strict=True))
    tries.clear()
    with pytest.raises(RuntimeError):
        shop.call(Wish("required", 1, "", 1, Options()), work, "work")
    assert len(tries) == 2


def test_an_error_of_another_kind_is_not_tried_again(two: tuple[Database, Database]) -> None:
    tries: list[int] = []

    def work() -> None:
        tries.append(1)
        two[0].execute("SELECT * FROM nowhere")

    with pytest.raises(peewee.OperationalError, match="no such table"):
        two[0].call(Wish("required", 3, "", 1, Options()), work, "work")
    assert tries == [1]


def test_each_transaction_waits_for_a_connection_no_longer_than_the_pool_lets_it(tmp_path: Path) -> None:
    database = make_database("shop", DatabaseSettings(url=f"sqlite:///{tmp_path / 'shop.db'}", pool=PoolSettings(max=1, wait=0.01)))

    database.start()
    wait_until(lambda: database.primary.statistics().idle == 1)

    def work() -> str:
        try:
            with database.atomic():
                return "begun"
        except TimeoutError as error:
            return str(error)

    with database.atomic():
        assert "held longest by test_transactions.py" in green.spawn(work).get()
    assert work() == "begun"
    database.stop()
