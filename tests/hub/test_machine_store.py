"""The store that processes share: the contract of all stores, and that no process which is killed leaves anything half done."""

from __future__ import annotations

import itertools
import os
import random
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenimi.errors import Overloaded
from greenimi.green import sleep, spawn
from greenimi.hub.ids import first_number
from greenimi.hub.machine_store import MachineStore
from greenimi.interfaces import IHubStore
from greenimi.testing.contracts import HubStoreContract
from greenimi.testing.support import wait_until
from tests.hub.store_model import Clock
from tests.hub.store_worker import LONG, TOKENS, token

ROOT = Path(__file__).parents[2]
KILLED = int(os.environ.get("GREENIMI_TEST_KILLS", "3"))


class TestMachineStore(HubStoreContract):
    @pytest.fixture(autouse=True)
    def _clock(self, tmp_path: Path) -> Iterator[None]:
        self.clock = Clock()
        self.folder = tmp_path
        self.made: list[IHubStore] = []
        yield
        for store in self.made:
            store.close()

    def make(self, *, kept: int = 1000, histories: int = 1000) -> IHubStore:
        self.made.append(MachineStore(self.folder, kept=kept, histories=histories, clock=self.clock))
        return self.made[-1]

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds

    def test_it_is_shared_and_outlives_who_made_it(self) -> None:
        one, two = self.make(), self.make()
        one.keep(b"a" * 32, b"record", LONG)
        one.claim("ann", 1, 7)
        one.enter("room", "ann", 1, 7, b"info", 0)
        _, epoch = one.append("room", b"message", 10, LONG)
        one.close()
        assert two.take(b"a" * 32) == b"record"
        two.close()
        three = self.make()
        assert three.owner("ann") == 1
        assert three.present("room", 10) == [("ann", b"info", 1)]
        assert three.since("room", 0, 10, epoch) == [(1, b"message")]


# -- bounds ------------------------------------------------------------------------------------------------------------


def rows(folder: Path) -> dict[str, int]:
    """How many rows each table has, those that have none left out."""
    with sqlite3.connect(next(folder.glob("*.sqlite3"))) as file:
        tables = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        counts = {table: file.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    file.close()
    return {table: number for table, number in counts.items() if number}


def test_nothing_is_left_of_what_is_over(tmp_path: Path) -> None:
    clock = Clock()
    store = MachineStore(tmp_path, clock=clock)
    for number in range(50):
        store.alive(number, 10.0)
        store.keep(token(number), b"record", 10.0)
        store.claim(f"user{number}", number, number)
        store.release(f"user{number}", number, 10.0)
        store.claim(f"other{number}", number, number)
        store.enter(f"room{number}", "ann", number, number, b"", 0)
        store.enter(f"room{number}", "bob", number + 1000, number, b"", 0)
        store.leave(f"room{number}", number, 10.0)
        store.append(f"room{number}", b"message", 10, 10.0)
    clock.now += 10.0
    told = [each for _ in range(51) for each in store.expired(1000)]
    assert len(told) == len(set(told)) == 100
    assert store.collect(1000) == 150
    assert rows(tmp_path) == {"counts": 4, "histories": 50}


def until_full(call: Callable[[int], object]) -> int:
    """How many calls were made before there was no room."""
    for number in itertools.count():
        try:
            call(number)
        except Overloaded as error:
            if "room" in error.text:
                return number
            raise
    raise AssertionError


def test_without_room_nothing_is_half_done(tmp_path: Path) -> None:
    store = MachineStore(tmp_path, size=400_000)
    store.alive(1, LONG)
    store.claim("ann", 1, 1)
    number = until_full(lambda number: store.keep(token(number), b"x" * 3000, LONG))
    entered = until_full(lambda number: store.enter("room", f"user{number}", number, 1, b"x" * 1000, 0))
    members, connections = store.size("room")
    assert members == connections == entered == len(store.present("room", 10_000))
    assert store.owner("ann") == 1
    assert [store.take(token(each)) is not None for each in range(number + 1)] == [True] * number + [False]
    assert store.enter("other", "ann", 1, 1, b"x" * 1000, 0) == (True, True)


def test_burying_many_lets_others_in_between(tmp_path: Path) -> None:
    store, other = MachineStore(tmp_path), MachineStore(tmp_path, wait=0.0)
    store.alive(1, LONG)
    for number in range(450):
        store.enter(f"room{number % 7}", f"user{number}", number, 1, b"", 0)
    burial = spawn(store.bury, 1)
    writes = 0
    while not burial.ready():
        other.claim(f"user{writes}", writes, 2)  # would raise if it had to wait
        writes += 1
        sleep(0)
    told = burial.get()
    assert writes > 3
    assert len(told) == len(set(told)) == 450
    assert other.size("room1") == (0, 0)


def test_a_process_that_comes_back_while_it_is_buried_is_left_alone(tmp_path: Path) -> None:
    store, other = MachineStore(tmp_path), MachineStore(tmp_path)
    store.alive(1, LONG)
    for number in range(450):
        store.enter("room", f"user{number}", number, 1, b"", 0)
    burial = spawn(store.bury, 1)
    while other.size("room")[0] == 450:
        sleep(0)
    assert not other.alive(1, LONG)
    assert [other.enter("room", f"user{number}", number, 1, b"", 0)[0] for number in range(450)] == [True] * 450
    told = burial.get(timeout=10)
    assert 0 < len(told) < 450
    assert store.size("room") == (450, 450)


# -- killed ------------------------------------------------------------------------------------------------------------


class Workers:
    """Processes that use a store, each with a number of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[int, subprocess.Popen[bytes]] = {}
        self.started = 0

    def start(self) -> None:
        self.started += 1
        self.journal(self.started).touch()
        command = [sys.executable, "-m", "tests.hub.store_worker", str(self.folder), str(self.started), str(self.journal(self.started))]
        self.running[self.started] = subprocess.Popen(command, cwd=ROOT)

    def journal(self, number: int) -> Path:
        return self.folder / f"journal{number}"

    def lines(self, number: int) -> int:
        return self.journal(number).read_bytes().count(b"\n")

    def kill(self, number: int) -> None:
        process = self.running.pop(number)
        process.kill()
        process.wait()

    def told(self) -> list[list[str]]:
        return [line.split(" ") for number in range(1, self.started + 1) for line in self.journal(number).read_text().splitlines()]


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    found = Workers(tmp_path)
    yield found
    for number in list(found.running):
        found.kill(number)


def test_processes_that_are_killed_at_any_moment(workers: Workers) -> None:
    """Several open the store at the same time, use it at the same time, and are killed one after the other wherever they are."""
    for _ in range(3):
        workers.start()
    store = MachineStore(workers.folder, wait=30.0)
    for number in range(TOKENS):
        store.keep(token(number), b"record", LONG)
    chance = random.Random(KILLED)
    for _ in range(KILLED):
        victim = min(workers.running)
        enough = workers.lines(victim) + chance.randrange(50, 150)
        wait_until(lambda victim=victim, enough=enough: workers.lines(victim) >= enough, 30.0)  # type: ignore[misc]
        workers.kill(victim)
        store.bury(victim)
        assert all(seat >= first_number(victim + 1) for seat in _seats(workers.folder))
        workers.start()
    for number in list(workers.running):
        workers.kill(number)
        store.bury(number)
    told = workers.told()
    kinds = Counter(words[0] for words in told)
    assert kinds["took"] > 100
    assert kinds["appended"] > 100
    assert not kinds["crowded"]
    assert not kinds["not"]

    taken = [int(words[1]) for words in told if words[0] == "took"]
    assert len(taken) == len(set(taken))
    left = sum(store.take(token(number)) is not None for number in range(TOKENS))
    assert 0 <= TOKENS - left - len(taken) <= workers.started  # whoever was killed may not have come to write down his last

    last, epoch = store.position("room")
    messages = dict(store.since("room", 0, 1_000_000))
    assert list(messages) == list(range(1, last + 1))
    assert len(set(messages.values())) == last
    noted = {int(words[1]): words[3].encode() for words in told if words[0] == "appended"}
    assert {words[2] for words in told if words[0] == "appended"} == {epoch}
    assert all(messages[offset] == message for offset, message in noted.items())
    assert 0 <= last - len(noted) <= workers.started

    wait_until(lambda: not store.expired(100) and store.size("room") == (0, 0))
    assert [store.owner(user) for user in ("user0", "user1")] == [None, None]
    assert set(rows(workers.folder)) <= {"counts", "histories", "messages", "processes"}


def _seats(folder: Path) -> list[int]:
    """The connections in groups whose process is there."""
    with sqlite3.connect(folder / "store-1.sqlite3", timeout=10) as file:
        found = [connection for (connection,) in file.execute("SELECT connection FROM seats WHERE process IS NOT NULL")]
    file.close()
    return found


def test_a_file_that_was_removed_is_made_anew(tmp_path: Path) -> None:
    one, two = MachineStore(tmp_path), MachineStore(tmp_path)
    one.alive(1, 60)
    one.append("room", b"old", 10, 60)
    for path in tmp_path.iterdir():
        path.unlink()
    assert not one.alive(1, 60)  # so who is here is said anew
    assert not two.alive(2, 60)
    two.append("room", b"new", 10, 60)
    assert one.since("room", 0, 10) == [(1, b"new")]
    two.close()
    assert one.alive(1, 60)
    one.close()
