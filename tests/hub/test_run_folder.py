"""The run folder: who may enter, numbers, and what the dead left behind."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenimi import green
from greenimi.errors import StartError
from greenimi.hub import run_folder
from greenimi.hub.ids import PROCESSES, process_number
from greenimi.hub.run_folder import VARIABLE, Place, RunFolder, folder_of, open_folder
from greenimi.hub.settings import HubSettings


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


@pytest.fixture
def place(folder: RunFolder) -> Iterator[Place]:
    place, _ = folder.enter(0)
    yield place
    folder.leave(place)


def dead(folder: RunFolder, process: int) -> None:
    """The files of a process that was killed."""
    open_folder(folder.path)
    (folder.path / f"{process}.lock").touch()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(folder.socket_path(process))


def names(folder: RunFolder) -> list[str]:
    return sorted(path.name for path in folder.path.iterdir())


# -- which folder ----------------------------------------------------------------------------------------------------


def test_conf_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert folder_of(HubSettings()) is None
    monkeypatch.setenv(VARIABLE, "/run/of-master")
    assert folder_of(HubSettings()) == Path("/run/of-master")
    assert folder_of(HubSettings(folder="run")) == Path("run").absolute()


def test_a_folder_is_made_for_its_user_alone(tmp_path: Path) -> None:
    made = open_folder(tmp_path / "a" / "b")
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert open_folder(made) == made


@pytest.mark.parametrize("mode", [0o710, 0o701, 0o750, 0o777, 0o1777])
def test_a_folder_that_others_can_enter_is_refused(folder: RunFolder, mode: int) -> None:
    folder.path.mkdir()
    folder.path.chmod(mode)
    with pytest.raises(StartError, match=r"can be entered by others[\s\S]*chmod 700"):
        folder.enter(0)
    assert names(folder) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = open_folder(tmp_path / "run")
    os.chown(theirs, 4242, 4242)
    assert open_folder(theirs) == theirs, "root may look after everybody's"
    monkeypatch.setattr("os.geteuid", lambda: 4243)
    with pytest.raises(StartError, match="not a folder of this user"):
        open_folder(theirs)


def test_what_is_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match=r"file cannot be made: File exists[\s\S]*\[hub\] folder"):
        open_folder(tmp_path / "file")
    with pytest.raises(StartError, match="cannot be made: Not a directory"):
        open_folder(tmp_path / "file" / "run")


def test_a_path_that_is_too_long_is_told_with_what_to_do(tmp_path: Path) -> None:
    longest = Path("/").joinpath("x" * (107 - 1 - 1 - len("4294967295.sock")))
    RunFolder(longest)
    with pytest.raises(StartError, match=r"have up to 108 bytes, the system takes 107[\s\S]*\[hub\] folder"):
        RunFolder(longest.with_name(longest.name + "x"))


def test_the_longest_path_can_be_bound(tmp_path: Path) -> None:
    name = "x" * (107 - len(os.fsencode(tmp_path)) - 2 - len("4294967295.sock"))
    folder = RunFolder(tmp_path / name)
    open_folder(folder.path)
    place = folder._settle((1 << 32) - 1)
    assert len(os.fsencode(folder.socket_path(place.process))) == 107
    folder.leave(place)


def test_a_full_disk_is_told(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("os.pwrite", full)
    with pytest.raises(StartError, match=r"cannot meet others in .*: No space left on device[\s\S]*make room there"):
        folder.enter(0)


# -- numbers ---------------------------------------------------------------------------------------------------------


def test_each_process_has_a_number_that_none_had_before(folder: RunFolder) -> None:
    found = []
    for _ in range(5):
        place, _ = folder.enter(3)
        found.append(place.process)
        folder.leave(place)
    assert found == list(range(found[0], found[0] + 5))
    assert all(process >> 20 == 3 for process in found)
    assert names(folder) == ["numbers"]


def test_numbers_of_a_new_folder_go_on_from_the_clock(folder: RunFolder) -> None:
    """Else those of a service that was stopped and started again would mean other connections."""
    place, _ = folder.enter(0)
    folder.leave(place)
    assert 0 <= (int(time.time() * 16) + 1 - place.process) % PROCESSES < 16 * 60


@pytest.mark.parametrize("text", ["", "nonsense", "-5", "\0" * 20])
def test_a_damaged_file_of_numbers_begins_anew(folder: RunFolder, text: str) -> None:
    open_folder(folder.path).joinpath("numbers").write_text(text)
    place, _ = folder.enter(0)
    folder.leave(place)
    assert int((folder.path / "numbers").read_text().partition("\n")[0]) == place.process


def test_numbers_come_round_and_leave_out_those_in_use(folder: RunFolder) -> None:
    open_folder(folder.path).joinpath("numbers").write_text(f"{PROCESSES - 2}\n")
    places = [folder.enter(1)[0] for _ in range(2)]
    assert [place.process for place in places] == [process_number(1, PROCESSES - 1), process_number(1, 0)]
    (folder.path / "numbers").write_text(f"{PROCESSES - 2}")
    places.append(folder.enter(1)[0])
    assert places[2].process == process_number(1, 1)
    for place in places:
        folder.leave(place)


# -- who is there ----------------------------------------------------------------------------------------------------


def test_who_comes_is_told_who_was_there(folder: RunFolder, place: Place) -> None:
    second, others = folder.enter(0)
    assert list(others) == [place.process]
    assert folder.is_alive(place.process)
    folder.leave(second)
    assert not folder.is_alive(second.process)


def test_others_can_connect_once_somebody_is_there(folder: RunFolder, place: Place) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(folder.socket_path(place.process))
    assert stat.S_IMODE((folder.path / f"{place.process}.lock").stat().st_mode) == 0o600


def test_what_the_dead_left_is_removed(folder: RunFolder, place: Place) -> None:
    for process in (1, 2, 3):
        dead(folder, process)
    (folder.path / "4.sock").touch()
    (folder.path / "5.lock").touch()
    (folder.path / "notes.txt").touch()
    assert list(folder.clear({place.process, 2})) == []
    assert names(folder) == ["2.lock", "2.sock", f"{place.process}.lock", f"{place.process}.sock", "notes.txt", "numbers"]
    second, others = folder.enter(0)
    assert list(others) == [place.process]
    assert "2.sock" not in names(folder)
    folder.leave(second)


def test_a_folder_full_of_the_dead_is_no_obstacle(folder: RunFolder) -> None:
    open_folder(folder.path)
    for process in range(500):
        (folder.path / f"{process}.lock").touch()
        (folder.path / f"{process}.sock").touch()
    place, others = folder.enter(0)
    assert list(others) == []
    known = {place.process}
    before = len(names(folder))
    assert list(folder.clear(known)) == []
    assert 0 < before - len(names(folder)) < before / 2, "some at a time: whoever does it has other things to do"
    while len(names(folder)) > 3:
        folder.clear(known)
    folder.leave(place)


def test_locks_that_cannot_be_read_are_left_alone(folder: RunFolder, place: Place) -> None:
    (folder.path / "7.lock").symlink_to(folder.path / "numbers")
    assert list(folder.clear({place.process})) == [7]


def test_links_are_not_followed(folder: RunFolder, tmp_path: Path) -> None:
    """Root may be in the folder of another user, who must not have it write elsewhere."""
    (tmp_path / "precious").write_text("1")
    open_folder(folder.path).joinpath("numbers").symlink_to(tmp_path / "precious")
    with pytest.raises(StartError, match="symbolic links"):
        folder.enter(0)
    assert (tmp_path / "precious").read_text() == "1"


# -- several at the same time ----------------------------------------------------------------------------------------


def test_who_comes_waits_for_others_who_do(folder: RunFolder) -> None:
    with folder._changing() as _:
        coming = green.spawn(folder.enter, 0)
        green.sleep(0.02)
        assert not coming.ready()
    place, _ = coming.get(timeout=10)
    folder.leave(place)


def test_nobody_waits_for_ever(folder: RunFolder, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folder, "_PATIENCE", 0.05)
    with folder._changing() as _:
        with pytest.raises(StartError, match=r"another process holds .*numbers"):
            folder.enter(0)
        with pytest.raises(BlockingIOError):
            folder.clear(())
        with pytest.raises(BlockingIOError):
            folder.enter_again(place)


def test_a_file_of_numbers_that_was_removed_meanwhile_is_not_trusted(folder: RunFolder) -> None:
    """Who waits for the lock of a file that is gone would be alone with it."""
    path = open_folder(folder.path) / "numbers"
    path.touch()
    with path.open() as old:
        fcntl.flock(old, fcntl.LOCK_EX)
        coming = green.spawn(folder.enter, 0)
        green.sleep(0.01)
        path.unlink()
        place, _ = coming.get(timeout=10)
    assert int(path.read_text()) == place.process & PROCESSES - 1
    folder.leave(place)


# -- files that vanish -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", ["sock", "lock"])
def test_a_place_without_its_files_is_taken_again(folder: RunFolder, place: Place, gone: str) -> None:
    assert folder.has(place)
    (folder.path / f"{place.process}.{gone}").unlink()
    assert not folder.has(place)
    again = folder.enter_again(place)
    assert again.process == place.process
    assert folder.has(again)
    assert folder.is_alive(place.process)
    again.close()


def test_a_place_in_a_folder_that_was_removed_is_taken_again(folder: RunFolder, place: Place) -> None:
    for path in folder.path.iterdir():
        path.unlink()
    folder.path.rmdir()
    assert not folder.has(place)
    again = folder.enter_again(place)
    assert folder.has(again)
    folder.leave(again)


def test_the_files_of_another_with_this_number_are_not_ours(folder: RunFolder, place: Place) -> None:
    lock = folder.path / f"{place.process}.lock"
    lock.unlink()
    lock.touch()
    assert not folder.has(place)
