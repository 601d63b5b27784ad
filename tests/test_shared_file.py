"""A file that processes share: who waits for whom, what cannot be opened, and what is done or not done at all."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenimi import shared_file
from greenimi.errors import GreenimiError, Overloaded, StartError
from greenimi.green import sleep, spawn
from greenimi.shared_file import SharedFile, private_folder

SCHEMA = ("CREATE TABLE things (name TEXT PRIMARY KEY, data BLOB)", "INSERT INTO things VALUES ('first', x'00')")
ROOM = 1 << 20

STANDS_STILL = """
import os, signal, sqlite3, sys
file = sqlite3.connect(sys.argv[1], isolation_level=None)
file.execute("BEGIN IMMEDIATE")
file.execute("INSERT INTO things VALUES ('other', x'01')")
os.kill(os.getpid(), signal.SIGSTOP)
file.execute("COMMIT")
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.sqlite3"


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "a" / "b", "[shop] folder")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert private_folder(folder, "[shop] folder") == folder
    folder.chmod(0o750)
    with pytest.raises(StartError, match="can be entered by others") as caught:
        private_folder(folder, "[shop] folder")
    assert "[shop] folder" in caught.value.hint
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match="cannot be made"):
        private_folder(tmp_path / "file", "[shop] folder")


def opened(path: Path, wait: float = 5.0, size: int = ROOM) -> SharedFile:
    return SharedFile(path, SCHEMA, label="the hub's store", wait=wait, size=size)


def names(file: SharedFile) -> list[str]:
    return sorted(name for (name,) in file.rows("SELECT name FROM things"))


@pytest.fixture
def stopped(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that stands still in the middle of a step."""
    opened(path).close()
    process = subprocess.Popen([sys.executable, "-c", STANDS_STILL, str(path)])
    try:
        assert os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        yield process
    finally:
        process.kill()
        process.wait()


# -- steps -------------------------------------------------------------------------------------------------------------


def test_two_see_what_each_other_does(path: Path) -> None:
    one, two = opened(path), opened(path)
    with one.step as execute:
        execute("INSERT INTO things VALUES ('a', '')", ())
        execute("INSERT INTO things VALUES ('b', '')", ())
        assert names(two) == ["first"]
    assert names(two) == ["a", "b", "first"]


def test_a_step_that_fails_is_not_done(path: Path) -> None:
    file = opened(path)

    def step(then: Callable[[], object]) -> None:
        with file.step as execute:
            execute("INSERT INTO things VALUES ('a', '')", ())
            then()

    with pytest.raises(ValueError, match="invalid literal"):
        step(lambda: int("no number"))
    with pytest.raises(sqlite3.IntegrityError):
        step(lambda: file.execute("INSERT INTO things VALUES ('first', '')", ()))
    assert names(file) == ["first"]


def test_a_file_belongs_to_the_process_that_opened_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = opened(path)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with pytest.raises(RuntimeError, match="before a fork"):
        file.rows("SELECT 1")
    with pytest.raises(RuntimeError, match="before a fork"), file.step:
        pass


# -- others ------------------------------------------------------------------------------------------------------------


def test_nobody_waits_long_for_a_process_that_stands_still(path: Path, stopped: subprocess.Popen[bytes]) -> None:
    file = opened(path, wait=0.2)  # opening does not wait either
    turns = []

    def tick() -> None:
        while True:
            turns.append(1)
            sleep(0.01)

    ticker = spawn(tick)
    refused = []

    def write() -> None:
        with pytest.raises(Overloaded, match="busy") as caught:
            file.rows("DELETE FROM things")
        refused.append(caught.value)

    writers = [spawn(write) for _ in range(5)]
    assert names(file) == ["first"]  # readers need not wait
    for writer in writers:
        writer.get(timeout=10)
    assert len(refused) == 5
    assert str(path) not in str(refused[0])
    with pytest.raises(Overloaded, match="busy"), file.step:
        pytest.fail("it is not locked")
    assert len(turns) > 3  # the others went on all the time
    ticker.kill()
    stopped.send_signal(signal.SIGCONT)
    assert stopped.wait(10) == 0
    assert names(file) == ["first", "other"]


def test_who_waits_gets_his_turn_in_order(path: Path, stopped: subprocess.Popen[bytes]) -> None:
    file = opened(path, wait=20.0)
    writers = [spawn(file.rows, "INSERT INTO things VALUES (?, '')", (f"n{number}",)) for number in range(5)]
    sleep(0)
    stopped.send_signal(signal.SIGCONT)
    for writer in writers:
        writer.get(timeout=10)
    rows = file.rows("SELECT name FROM things ORDER BY rowid")
    assert [name for (name,) in rows] == ["first", "other", "n0", "n1", "n2", "n3", "n4"]


def test_a_process_that_is_killed_in_a_step_has_done_nothing(path: Path, stopped: subprocess.Popen[bytes]) -> None:
    file = opened(path, wait=20.0)
    writer = spawn(file.rows, "INSERT INTO things VALUES ('mine', '')")
    sleep(0)
    stopped.kill()
    writer.get(timeout=10)
    assert names(file) == ["first", "mine"]


def test_who_gives_up_waiting_leaves_the_line(path: Path, stopped: subprocess.Popen[bytes]) -> None:
    file = opened(path, wait=20.0)
    first, second = (spawn(file.rows, "INSERT INTO things VALUES (?, '')", (name,)) for name in ("a", "b"))
    sleep(0)
    first.kill()
    stopped.kill()
    second.get(timeout=10)
    assert names(file) == ["b", "first"]


# -- opening -----------------------------------------------------------------------------------------------------------


def test_nobody_else_may_read_it(path: Path) -> None:
    before = os.umask(0)
    try:
        opened(path).rows("INSERT INTO things VALUES ('a', '')")
        file = opened(path)
    finally:
        os.umask(before)
    assert names(file) == ["a", "first"]
    assert {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()} == {
        path.name + end: 0o600 for end in ("", "-wal", "-shm")
    }


def test_a_file_that_others_may_read_is_refused(path: Path) -> None:
    opened(path).close()
    path.chmod(0o644)
    with pytest.raises(StartError, match=f"{path.name} is not a file of this user alone"):
        opened(path)


def test_a_link_is_refused(path: Path) -> None:
    path.symlink_to(path.parent / "elsewhere")
    with pytest.raises(StartError, match="is not a file of this user alone"):
        opened(path)
    assert not (path.parent / "elsewhere").exists()


def test_a_folder_must_be_there(path: Path) -> None:
    with pytest.raises(StartError, match=r"nowhere/file\.sqlite3 cannot be made: No such file"):
        opened(path.parent / "nowhere" / path.name)


def test_what_is_no_database_is_refused(path: Path) -> None:
    content = b"not a database" * 100
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StartError, match=rf"{path.name} cannot be opened: file is not a database") as caught:
        opened(path)
    assert "remove the file" in str(caught.value)
    assert path.read_bytes() == content


def test_the_database_of_somebody_else_is_refused_as_it_is(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (a)")
    other.close()
    path.chmod(0o600)
    before = path.read_bytes()
    with pytest.raises(StartError, match=f"{path.name} is not the hub's store"):
        opened(path)
    assert path.read_bytes() == before


def test_a_damaged_file_is_named(path: Path) -> None:
    file = opened(path)
    for number in range(200):
        file.rows("INSERT INTO things VALUES (?, zeroblob(1000))", (str(number),))
    file.close()
    with path.open("r+b") as damaged:
        damaged.seek(4096)
        damaged.write(b"\xa5" * (path.stat().st_size - 4096))
    file = opened(path)
    with pytest.raises(GreenimiError, match=f"{path.name} is damaged") as caught:
        names(file)
    assert "remove the file" in caught.value.hint


def test_a_file_that_was_cut_short_is_named(path: Path) -> None:
    file = opened(path)
    for number in range(200):
        file.rows("INSERT INTO things VALUES (?, zeroblob(1000))", (str(number),))
    file.close()
    os.truncate(path, 4096)
    with pytest.raises(GreenimiError, match=f"{path.name} (is damaged|cannot be opened)"):
        names(opened(path))


def test_an_old_sqlite_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_file, "_OLDEST", (99, 0, 0))
    with pytest.raises(StartError, match="too old"):
        opened(path)


def test_a_file_held_by_another_process_while_it_is_made(path: Path) -> None:
    path.touch(0o600)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StartError, match="is held by another process"):
        opened(path, wait=0.05)
    other.execute("ROLLBACK")
    assert names(opened(path)) == ["first"]


# -- no room -----------------------------------------------------------------------------------------------------------


def fill(file: SharedFile) -> int:
    """How many steps of two things were done before there was no room."""
    first = len(names(file))
    for number in range(10_000):
        try:
            with file.step as execute:
                for half in "ab":
                    execute("INSERT INTO things VALUES (?, zeroblob(3000))", (f"{first + number}{half}",))
        except Overloaded:
            return number
    return -1


def test_a_size_that_is_not_exceeded(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = opened(path, size=ROOM)
    with caplog.at_level(logging.ERROR, logger="greenimi"):
        done = fill(file)
        assert fill(file) == 0
    assert done > 10
    assert len(names(file)) == 1 + 2 * done  # no half of a step
    assert path.stat().st_size <= ROOM
    assert [record.getMessage() for record in caplog.records] == [f"no room for the hub's store {path}: database or disk is full"]
    file.rows("DELETE FROM things")
    assert fill(file) == pytest.approx(done, abs=2)


NO_DISK = """
import resource, sys
from pathlib import Path
from greenimi.errors import Overloaded
from greenimi.shared_file import SharedFile

file = SharedFile(Path(sys.argv[1]), (), label="the hub's store", wait=1.0, size=1 << 30)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
done = 0
try:
    while True:
        with file.step as execute:
            for half in "ab":
                execute("INSERT INTO things VALUES (?, zeroblob(3000))", (f"{done}{half}",))
        done += 1
except Overloaded:
    pass
assert done > 10, done
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert file.rows("SELECT count(*) FROM things") == [(1 + 2 * done,)], done
file.rows("INSERT INTO things VALUES ('more', '')")
assert file.rows("PRAGMA integrity_check") == [("ok",)]
"""


def test_a_disk_that_takes_no_more(path: Path) -> None:
    """As far as it can be had without a disk of our own: the system lets files grow no further."""
    opened(path).close()
    done = subprocess.run([sys.executable, "-c", NO_DISK, str(path)], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    assert names(opened(path))[-1] == "more"
