"""Values in files: the contract, their bounds, and what goes wrong with files."""

from __future__ import annotations

import fcntl
import os
import random
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from greenimi.cache import file as module
from greenimi.cache.file import FileStore
from greenimi.cache.settings import CacheSettings
from greenimi.errors import ConfigError
from greenimi.interfaces import ICacheStore
from greenimi.testing.contracts import CacheStoreContract
from tests.cache.stores import Clock

LONG = 3600.0
BEGIN = 1_900_000_000.0


class TestFileStore(CacheStoreContract):
    @pytest.fixture(autouse=True)
    def _clock(self, tmp_path: Path) -> None:
        self.clock = Clock(BEGIN)
        self.folder = tmp_path / "cache"

    def make(self, settings: CacheSettings) -> ICacheStore:
        return FileStore(replace(settings, folder=str(self.folder)), self.clock)

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds

    def test_two_stores_share_a_folder(self) -> None:
        one, two = self.make(self.settings), self.make(self.settings)
        one.set("a", b"1", LONG)
        assert two.get("a") == b"1"
        assert not two.add("a", b"2", LONG)


@pytest.fixture
def settings(tmp_path: Path) -> CacheSettings:
    return CacheSettings(folder=str(tmp_path / "run" / "cache"), prefix="cache:mine:")


def files(settings: CacheSettings) -> list[Path]:
    return [path for path in Path(settings.folder).rglob("*") if path.is_file() and path.name != ".lock"]


def test_only_its_user_reads_the_files(settings: CacheSettings) -> None:
    before = os.umask(0)
    try:
        FileStore(settings).set("a", b"1", LONG)
    finally:
        os.umask(before)
    root = Path(settings.folder) / "cache:mine"
    found = [root, *root.rglob("*")]
    assert len(found) == 4  # its folder, a folder, a lock, a value
    assert all(not stat.S_IMODE(path.stat().st_mode) & 0o077 for path in found)


def test_the_driver_needs_a_folder_of_its_own(settings: CacheSettings) -> None:
    with pytest.raises(ConfigError, match="needs a folder"):
        FileStore(CacheSettings())
    root = Path(settings.folder) / "cache:mine"
    root.mkdir(parents=True)
    root.chmod(0o777)
    with pytest.raises(ConfigError, match="others may write"):
        FileStore(settings)


@pytest.mark.parametrize("prefix", ["../..", "/etc", "..", ".", "a/b", "\0"])
def test_a_prefix_that_leads_elsewhere_is_refused(settings: CacheSettings, prefix: str) -> None:
    with pytest.raises(ConfigError, match="no name of a folder"):
        FileStore(replace(settings, prefix=prefix))


@pytest.mark.parametrize("size", [0, 4, 16, 50])
def test_a_file_that_was_cut_short_is_no_value(settings: CacheSettings, size: int) -> None:
    store = FileStore(settings)
    store.set("a", b"1" * 100, LONG)
    [path] = files(settings)
    os.truncate(path, size)
    assert store.get("a") is None
    assert store.add("a", b"2", LONG)


def test_a_value_that_is_written_is_whole_or_not_there(settings: CacheSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(settings)
    store.set("a", b"old", LONG)

    def fail(self: Path, target: Path) -> Path:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(OSError, match="no space left"):
            store.set("a", b"new", LONG)
    assert store.get("a") == b"old"
    assert len(files(settings)) == 1


def test_the_number_of_files_is_bounded(settings: CacheSettings) -> None:
    store = FileStore(replace(settings, max_entries=160))
    for number in range(1000):
        store.set(f"n{number}", b"1", None)
    assert 100 < len(files(settings)) <= 160
    assert store.get("n999") == b"1"
    assert store.get("n0") is None


def test_the_bytes_are_bounded(settings: CacheSettings) -> None:
    store = FileStore(replace(settings, max_bytes=160_000))
    for number in range(400):
        store.set(f"n{number}", b"x" * 3000, None)
    assert 50_000 < sum(path.stat().st_size for path in files(settings)) <= 170_000
    store.set("a", b"x" * 5000, None)
    store.set("a", b"x" * 20_000, None)
    assert store.get("a") is None


def test_another_process_is_counted_too(settings: CacheSettings) -> None:
    """Its files are seen when the folder is looked at, which each process does again and again."""
    one, two = (FileStore(replace(settings, max_entries=160)) for _ in range(2))
    for number in range(500):
        one.set(f"a{number}", b"1", None)
        two.set(f"b{number}", b"1", None)
    assert len(files(settings)) <= 2 * 160


def test_what_is_over_is_collected(settings: CacheSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(BEGIN)
    store = FileStore(settings, clock)
    for number in range(40):
        store.set(f"n{number}", b"1", 10.0)
    store.set("alive", b"1", LONG)
    left_behind = files(settings)[0].with_name("0123456789abcdef.part")
    left_behind.touch()
    os.utime(left_behind, (clock.now, clock.now))
    clock.now += 20.0
    for folder in sorted(store._folders()):
        monkeypatch.setattr(random, "choice", lambda folders, folder=folder: folder)
        while store.collect(1):
            pass
    assert len(files(settings)) == 2
    clock.now += 7200.0
    for folder in sorted(store._folders()):
        monkeypatch.setattr(random, "choice", lambda folders, folder=folder: folder)
        store.collect(10)
    assert files(settings) == []


def test_a_lock_that_is_never_given_back_is_an_error(settings: CacheSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOCK_TIME", 0.05)
    store = FileStore(settings)
    store.set("a", b"1", LONG)
    [path] = files(settings)
    with (path.parent / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert store.get("a") == b"1"
        with pytest.raises(TimeoutError, match="locked by another process"):
            store.set("a", b"2", LONG)
    store.set("a", b"2", LONG)
    assert store.get("a") == b"2"


COUNTS = """
import sys
from greenimi.cache.file import FileStore
from greenimi.cache.settings import CacheSettings
store = FileStore(CacheSettings(folder=sys.argv[1], prefix="cache:mine:"))
print(sum(store.increment("n", 1, 3600.0) and 1 for _ in range(200)), store.add("once", b"1", 3600.0))
"""


def test_processes_lose_nothing_of_each_other(settings: CacheSettings) -> None:
    command = [sys.executable, "-c", COUNTS, settings.folder]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [worker.communicate(timeout=30)[0].split() for worker in workers]
    assert sorted(told) == [["200", "False"], ["200", "True"]]
    assert FileStore(settings).increment("n", 1, LONG) == 401
