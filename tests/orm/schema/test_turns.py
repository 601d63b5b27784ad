from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from greenimi import green
from greenimi.orm.schema import turns
from greenimi.orm.schema.turns import Occupied, turn
from greenimi.pool.database.database import Database
from greenimi.pool.database.databases import make_database
from greenimi.pool.database.settings import DatabaseSettings
from tests.orm.conftest import every_kind

Open = Callable[[], Database]


@pytest.fixture
def url(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/a.db" if kind == "sqlite" else str(request.getfixturevalue(f"{kind}_url"))


@pytest.fixture
def opened(url: str) -> Iterator[Open]:
    """Opens the database as another process would: with connections of its own."""
    found: list[Database] = []

    def make() -> Database:
        found.append(make_database("default", DatabaseSettings(url=url)))
        return found[-1]

    yield make
    for database in found:
        database.stop()


@contextmanager
def held(database: Database, name: str = "one") -> Iterator[None]:
    """Somebody else has the turn."""
    have, end = green.Event(), green.Event()

    def hold() -> None:
        with turn(database, name, 0):
            have.set()
            end.wait()

    other = green.spawn(hold)
    have.wait(10)
    yield
    end.set()
    other.join(10)


@every_kind
def test_one_after_the_other(opened: Open) -> None:
    mine, theirs = opened(), opened()
    with held(theirs):
        with pytest.raises(Occupied, match="another process changes the tables"), turn(mine, "one", 0):
            pass
        with turn(mine, "two", 0):
            assert mine.value("SELECT 1") == 1
    with turn(mine, "one", 0):
        assert mine.value("SELECT 1") == 1


@every_kind
def test_who_waits_gets_it(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    waited = green.Event()

    def sleep(seconds: float) -> None:
        waited.set()
        green.sleep(seconds)

    monkeypatch.setattr(turns, "green", SimpleNamespace(sleep=sleep))
    mine, theirs = opened(), opened()
    done: list[str] = []

    def wait() -> None:
        with turn(mine, "one", 10):
            done.append("mine")

    with held(theirs):
        waiting = green.spawn(wait)
        assert waited.wait(10)
        done.append("theirs")
    waiting.join(10)
    assert done == ["theirs", "mine"]


@every_kind
def test_it_is_given_back_after_an_error_and_a_kill(opened: Open) -> None:
    mine, theirs = opened(), opened()
    with pytest.raises(KeyError), turn(mine, "one", 0):
        raise KeyError
    forever, have = green.Event(), green.Event()

    def hold() -> None:
        with turn(mine, "one", 0):
            have.set()
            forever.wait()

    killed = green.spawn(hold)
    have.wait(10)
    killed.kill()
    with turn(theirs, "one", 10):
        assert theirs.value("SELECT 1") == 1


def test_who_gives_up_leaves_no_file_open(opened: Open, tmp_path: Path) -> None:
    mine, theirs = opened(), opened()

    def descriptors() -> list[Path]:
        return [
            each for each in Path("/proc/self/fd").iterdir() if each.is_symlink() and str(each.readlink()) == f"{tmp_path}/a.db.one.lock"
        ]

    with held(theirs):
        with pytest.raises(Occupied), turn(mine, "one", 0.3):
            pass
        assert len(descriptors()) == 1
    assert descriptors() == []


def test_nobody_else_has_a_database_in_memory() -> None:
    database = make_database("default", DatabaseSettings(url="sqlite:///:memory:"))
    try:
        with turn(database, "one", 0):
            assert database.value("SELECT 1") == 1
    finally:
        database.stop()
