"""Sessions in memory and in files: the contract of all stores, and what is each one's own."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from greenimi.errors import ConfigError
from greenimi.green import sleep
from greenimi.interfaces import ISessionStore
from greenimi.testing.contracts import SessionStoreContract
from greenimi.web import session_stores
from greenimi.web.session_stores import FileStore, MemoryStore
from greenimi.web.settings import SessionSettings

LONG = 3600.0


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def key() -> str:
    return secrets.token_hex(32)


class TestMemoryStore(SessionStoreContract):
    @pytest.fixture(autouse=True)
    def _clock(self) -> None:
        self.clock = Clock(1000.0)

    def make(self, settings: SessionSettings) -> ISessionStore:
        return MemoryStore(settings, self.clock)

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds


class TestFileStore(SessionStoreContract):
    @pytest.fixture(autouse=True)
    def _clock(self, tmp_path: Path) -> None:
        self.clock = Clock(1_900_000_000.0)
        self.folder = tmp_path / "sessions"

    def make(self, settings: SessionSettings) -> ISessionStore:
        return FileStore(replace(settings, folder=str(self.folder)), self.clock)

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds

    def test_two_stores_share_a_folder(self) -> None:
        one, two = self.make(self.settings), self.make(self.settings)
        name = key()
        one.set(name, {"a": b"1"}, LONG)
        assert two.change(name, {"b": b"2"}, [], LONG)
        found = one.get(name)
        assert found is not None
        assert dict(found[0]) == {"a": b"1", "b": b"2"}


def test_memory_is_bounded() -> None:
    store = MemoryStore(SessionSettings(max_sessions=3))
    keys = [key() for _ in range(4)]
    for name in keys[:3]:
        store.set(name, {"a": b"1"}, LONG)
    store.get(keys[0])
    store.set(keys[3], {"a": b"1"}, LONG)
    assert [store.get(name) is not None for name in keys] == [True, False, True, True]


def test_memory_forgets_what_is_over() -> None:
    clock = Clock(0.0)
    store = MemoryStore(SessionSettings(), clock)
    for _ in range(50):
        store.set(key(), {"a": b"1"}, 10.0)
    clock.now = 20.0
    assert [store.collect(20) for _ in range(4)] == [20, 20, 10, 0]


# -- files -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run" / "sessions"


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]


def test_only_its_user_reads_the_files(folder: Path) -> None:
    before = os.umask(0)
    try:
        FileStore(SessionSettings(folder=str(folder))).set(key(), {"a": b"1"}, LONG)
    finally:
        os.umask(before)
    found = list(folder.rglob("*"))
    assert len(found) == 3  # a folder, its lock, the session
    assert all(not stat.S_IMODE(path.stat().st_mode) & 0o077 for path in [folder, *found])


def test_the_driver_needs_a_folder_of_its_own(folder: Path) -> None:
    with pytest.raises(ConfigError, match="needs a folder"):
        FileStore(SessionSettings())
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match="others may write"):
        FileStore(SessionSettings(folder=str(folder)))


def test_a_file_that_was_cut_short_is_no_session(folder: Path) -> None:
    store = FileStore(SessionSettings(folder=str(folder)))
    name = key()
    store.set(name, {"a": b"1" * 100}, LONG)
    [file] = files(folder)
    facts = file.stat()
    os.truncate(file, 20)
    os.utime(file, (facts.st_atime, facts.st_mtime))
    assert store.get(name) is None
    assert not store.change(name, {"b": b"2"}, [], LONG)


def test_collecting_goes_through_all_folders(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(1_900_000_000.0)
    store = FileStore(SessionSettings(folder=str(folder)), clock)
    names = [f"{shard:02x}{key()[2:]}" for shard in (0, 0, 0, 7)]
    for name in names:
        store.set(name, {"a": b"1"}, 10.0)
    left_behind = folder / "00" / "0123456789abcdef.part"
    left_behind.touch()
    os.utime(left_behind, (clock.now, clock.now))
    clock.now += 20.0
    monkeypatch.setattr(secrets, "randbelow", lambda most: 0)
    assert store.collect(0) == 0
    assert store.collect(2) == 2
    assert len(files(folder)) == 3
    assert store.collect(2) == 1
    assert left_behind in files(folder)
    clock.now += 7200.0
    assert store.collect(2) == 1
    assert [path.parent.name for path in files(folder)] == ["07"]
    monkeypatch.setattr(secrets, "randbelow", lambda most: 99)
    assert store.collect(2) == 0


def test_a_session_that_was_revived_meanwhile_is_not_collected(folder: Path) -> None:
    clock = Clock(1_900_000_000.0)
    store = FileStore(SessionSettings(folder=str(folder)), clock)
    name = key()
    store.set(name, {"a": b"1"}, LONG)
    store._delete_over(name)
    assert store.get(name) is not None


def test_a_lock_that_is_never_given_back_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_stores, "_LOCK_TIME", 0.05)
    store = FileStore(SessionSettings(folder=str(folder)))
    name = key()
    store.set(name, {"a": b"1"}, LONG)
    with (folder / name[:2] / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert store.get(name) is not None
        with pytest.raises(TimeoutError, match="locked by another process"):
            store.change(name, {"b": b"2"}, [], LONG)
    assert store.change(name, {"b": b"2"}, [], LONG)


CHANGES = """
import sys
from greenimi.web.session_stores import FileStore
from greenimi.web.settings import SessionSettings
folder, key, first = sys.argv[1:]
store = FileStore(SessionSettings(folder=folder))
for number in range(int(first), int(first) + 100):
    assert store.change(key, {str(number): b"x"}, [], 3600.0)
"""


def test_processes_lose_no_change_of_each_other(folder: Path) -> None:
    store = FileStore(SessionSettings(folder=str(folder)))
    name = key()
    store.set(name, {}, LONG)
    workers = [subprocess.Popen([sys.executable, "-c", CHANGES, str(folder), name, str(first)]) for first in (0, 100)]
    assert [worker.wait(30) for worker in workers] == [0, 0]
    found = store.get(name)
    assert found is not None
    assert set(found[0]) == {str(number) for number in range(200)}


class _Reviving(MemoryStore):
    """Makes a session anew by changing it."""

    def change(self, key: str, changed: Mapping[str, bytes], removed: Sequence[str], lifetime: float) -> bool:
        if self.get(key) is None:
            self.set(key, {}, lifetime)
        return super().change(key, changed, removed, lifetime)


class _Overwriting(MemoryStore):
    """Writes what it read a moment ago, whatever came meanwhile."""

    def change(self, key: str, changed: Mapping[str, bytes], removed: Sequence[str], lifetime: float) -> bool:
        found = self.get(key)
        sleep(0)
        if found is not None:
            self.set(key, {**found[0], **changed}, lifetime)
        return found is not None


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (_Reviving, "test_a_session_that_is_not_there_is_not_made_by_changing_it"),
        (_Reviving, "test_of_those_who_delete_one_is_told_so"),
        (_Overwriting, "test_change_leaves_the_rest"),
        (_Overwriting, "test_changes_at_the_same_time_are_all_kept"),
    ],
)
def test_the_contract_notices_what_is_wrong(kind: type[MemoryStore], test: str) -> None:
    class Wrong(SessionStoreContract):
        def make(self, settings: SessionSettings) -> ISessionStore:
            return kind(settings)

        def pass_time(self, seconds: float) -> None: ...

    with pytest.raises(AssertionError):
        getattr(Wrong(), test)()


def test_files_are_bounded(tmp_path: Path) -> None:
    """Anybody without a cookie may begin a session; those that would end first make room."""
    store = FileStore(SessionSettings(folder=str(tmp_path / "sessions"), max_files=2 * 256))
    keys = [f"ab{number:062x}" for number in range(5)]
    for lifetime, name in zip((50.0, 10.0, 40.0, 30.0, 20.0), keys, strict=True):
        store.set(name, {"a": b"1"}, lifetime)
    assert [name for name in keys if store.get(name)] == [keys[0], keys[4]], "the latest has room whenever it ends"
    store.set(keys[0], {"a": b"2"}, 50.0)
    assert store.get(keys[4]), "one that is there already needs none"
    store.set(f"cd{0:062x}", {}, 50.0)
    assert store.get(keys[0])
