"""The relay of one machine: the contract, and what only sockets and folders can do to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi import green
from greenimi.errors import StartError
from greenimi.hub import local
from greenimi.hub.ids import PROCESSES
from greenimi.hub.local import LocalRelay, is_younger
from greenimi.hub.run_folder import VARIABLE, RunFolder
from greenimi.hub.settings import HubSettings
from greenimi.interfaces import IRelay
from greenimi.testing.contracts import RelayContract
from greenimi.testing.contracts.relay import LONG, Member, Recorder
from greenimi.testing.support import wait_until


class TestContract(RelayContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "run"

    def make(self, settings: HubSettings) -> IRelay:
        return LocalRelay(replace(settings, folder=str(self.folder)))

    def kill(self, relay: IRelay) -> None:
        assert isinstance(relay, LocalRelay)
        kill(relay)


def kill(relay: LocalRelay) -> None:
    """As the system ends a process: sockets and locks go, files stay."""
    place, relay._place = relay._place, None
    if place is not None:
        relay._timer.stop()
        relay._acceptor.stop()
        for link in list(relay._all):
            link.close()
        place.close()


Make = Callable[..., Member]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def join(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """``join(wait=1.0)`` is one that joined; no beat comes by itself."""
    monkeypatch.setattr(local, "_BEAT", 3600.0)
    with ExitStack() as ends:

        def make(**settings: float) -> Member:
            relay = LocalRelay(HubSettings(folder=str(folder), **settings))  # type: ignore[arg-type]
            ends.callback(relay.stop)
            return Member(relay)

        yield make


def relay_of(member: Member) -> LocalRelay:
    assert isinstance(member.relay, LocalRelay)
    return member.relay


def beat(*members: Member) -> None:
    for member in members:
        relay_of(member)._beat()


def is_healthy(member: Member) -> bool:
    return member.relay.healthy


def linked(*members: Member) -> bool:
    """Whether all know each other, by one link for each two."""
    others = len(members) - 1
    return all(len(one.relay.processes()) == len(relay_of(one)._all) == others for one in members)


def met(*members: Member) -> tuple[Member, ...]:
    """Them, once all know each other."""
    wait_until(lambda: linked(*members))
    return members


# -- who connects to whom ----------------------------------------------------------------------------------------------


@given(st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 32) - 1))
def test_of_two_processes_one_is_the_younger(one: int, two: int) -> None:
    assert one == two or is_younger(one, two) != is_younger(two, one)


def test_numbers_come_round() -> None:
    assert is_younger(6, 5)
    assert is_younger(0, PROCESSES - 1)
    assert not is_younger(PROCESSES - 1, 3)


def test_all_who_were_there_are_known_when_it_has_started(join: Make) -> None:
    for number in range(4):
        member = join()
        assert len(member.relay.processes()) == number
        assert len(member.recorder.events) == number


def test_who_comes_at_the_same_moment_meets(folder: Path, no_leaks: None) -> None:
    relays = [LocalRelay(HubSettings(folder=str(folder))) for _ in range(8)]
    coming = [green.spawn(Member, relay) for relay in relays]
    members = [member.get(timeout=LONG) for member in coming]
    try:
        wait_until(lambda: linked(*members))
    finally:
        for member in members:
            member.relay.stop()
    assert [path.name for path in folder.iterdir()] == ["numbers"]


def test_a_process_that_does_not_answer_is_not_waited_for_long(folder: Path, join: Make) -> None:
    silent, _ = RunFolder(folder).enter(0)
    try:
        member = join(wait=0.05)
        assert member.relay.processes() == ()
        assert member.relay.lives(silent.process)
        for _ in range(10):
            beat(member)
        assert len(relay_of(member)._all) == 1, "it is waited for, once"
    finally:
        RunFolder(folder).leave(silent)
    wait_until(lambda: not relay_of(member)._all)
    assert not member.relay.lives(silent.process)


def test_who_died_before_it_could_be_called_is_not_waited_for(folder: Path, join: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunFolder, "_clear", lambda self, known: [12345])
    assert join(wait=LONG).relay.processes() == ()


def test_who_is_told_lost_is_known_to_have_ended_then(join: Make) -> None:
    """The system ends the links of a killed process a moment before it lets go of its lock."""
    one, two = met(join(), join())
    told: list[bool] = []
    one.recorder.lost = lambda process: told.append(one.relay.lives(process))  # type: ignore[method-assign]
    for link in list(relay_of(two)._all):
        link.close()
    wait_until(lambda: one.relay.processes() == ())
    assert told == []
    kill(relay_of(two))
    wait_until(lambda: told)
    assert told == [False]


def test_who_lives_on_without_its_link_is_told_lost_all_the_same(join: Make) -> None:
    one, two = met(join(), join())
    relay_of(two)._links[one.process].close()
    wait_until(lambda: one.recorder.has("lost", two.process))
    assert one.relay.lives(two.process)
    beat(two)
    wait_until(lambda: linked(one, two))


@pytest.mark.parametrize("who", [0, 1])
def test_a_lost_link_is_made_anew(join: Make, who: int) -> None:
    members = list(met(join(), join()))
    for one, two in (members, members[::-1]):
        one.relay.interest(f"of {one.process}", here=True)
        wait_until(lambda one=one, two=two: two.relay.interested(f"of {one.process}"))  # type: ignore[misc]
    relay_of(members[who])._links[members[1 - who].process].close("for the test")
    wait_until(lambda: all(member.recorder.events[-1][0] == "lost" for member in members))
    assert members[0].relay.interested(f"of {members[1].process}") == ()
    beat(*members)
    wait_until(lambda: linked(*members))
    assert members[0].relay.interested(f"of {members[1].process}") == (members[1].process,)
    assert members[1].relay.interested(f"of {members[0].process}") == (members[0].process,)
    assert [kind for kind, *_ in members[0].recorder.events] == ["joined", "lost", "joined"]


def test_a_new_link_takes_the_place_of_one_whose_end_was_not_seen(join: Make) -> None:
    one, two = met(join(), join())
    relay_of(two)._dial(one.process)
    wait_until(lambda: len(one.recorder.events) == 3)
    assert [kind for kind, *_ in one.recorder.events] == ["joined", "lost", "joined"]
    wait_until(lambda: linked(one, two))
    assert one.relay.call([two.process], b"x").wait(LONG) == [(two.process, b"re:x")]


def test_what_is_wanted_is_not_lost_with_a_link_that_has_no_room(join: Make) -> None:
    one, two = met(join(), join(queue=1000))
    while two.relay.tell([one.process], bytes(100)):
        pass
    two.relay.interest("x" * 500, here=True)
    wait_until(lambda: one.recorder.has("lost", two.process))
    beat(two)
    wait_until(lambda: one.relay.interested("x" * 500) == (two.process,))


def test_a_receiver_that_fails_is_told_of_the_next_all_the_same(join: Make, caplog: pytest.LogCaptureFixture) -> None:
    one = join()

    def fail(process: int) -> None:
        raise RuntimeError("no")

    one.recorder.joined = one.recorder.lost = fail  # type: ignore[method-assign]
    two, three = join(), join()
    assert one.relay.call([two.process], b"x").wait(LONG) == [(two.process, b"re:x")]
    two.relay.stop()
    wait_until(lambda: one.relay.processes() == (three.process,))
    assert f"that process {two.process} is gone could not be told" in caplog.text


# -- starting and stopping -----------------------------------------------------------------------------------------------


def test_without_a_folder_it_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(StartError, match=r"no folder is known[\s\S]*\[hub\] folder"):
        LocalRelay(HubSettings()).start(Recorder())


def test_it_finds_the_folder_of_its_master(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(folder))
    relay = LocalRelay(HubSettings(node=5))
    relay.start(Recorder())
    assert (folder / f"{relay.process}.sock").is_socket()
    assert relay.process >> 20 == 5
    relay.stop()


def test_it_starts_once(join: Make) -> None:
    member = join()
    with pytest.raises(StartError, match="runs already"):
        member.relay.start(member.recorder)


def test_a_start_that_fails_leaves_nothing(no_leaks: None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: LocalRelay) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(LocalRelay, "_listen", fail)
    relay = LocalRelay(HubSettings(folder=str(folder)))
    with pytest.raises(OSError, match="Too many"):
        relay.start(Recorder())
    assert [path.name for path in folder.iterdir()] == ["numbers"]
    assert not relay.healthy


def test_what_is_queued_is_sent_before_it_leaves(join: Make) -> None:
    one, two = met(join(), join())
    packets = [b"%d" % number * 100 for number in range(2000)]
    for packet in packets:
        two.relay.tell([one.process], packet)
    two.relay.stop()
    wait_until(lambda: one.recorder.has("lost", two.process))
    assert one.recorder.packets() == packets


def test_a_stop_does_not_wait_for_who_does_not_read(join: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_LAST_WORDS", 0.05)
    one, two = met(join(), join())
    relay_of(one)._links[two.process]._watcher.stop()
    assert two.relay.tell([one.process], bytes(4_000_000)) == 1
    two.relay.stop()
    assert not relay_of(two)._all


def test_a_packet_that_no_frame_can_carry_is_dropped(join: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(local, "_LARGEST", 1000)
    one, two = met(join(), join())
    assert one.relay.tell([two.process], bytes(1001)) == 0
    assert one.relay.call([two.process], bytes(1001)).number == 0
    assert relay_of(one).dropped == 2
    assert "a packet of 1001 bytes was dropped: 1000 at most" in caplog.text


def test_what_was_dropped_is_counted(join: Make) -> None:
    one, two = met(join(queue=1000), join())
    assert sum(one.relay.tell([two.process], bytes(95)) for _ in range(30)) == 10
    beat(one)
    assert relay_of(one).dropped == 20
    beat(one)
    assert relay_of(one).dropped == 20


# -- a folder that is not what it was --------------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", ["folder", "sock", "lock"])
def test_a_place_that_vanished_is_taken_again(join: Make, folder: Path, gone: str) -> None:
    one, two = met(join(), join())
    if gone == "folder":
        shutil.rmtree(folder)
    else:
        for path in folder.glob(f"*.{gone}"):
            path.unlink()
    assert one.relay.tell([two.process], b"still linked") == 1
    beat(one, two)
    three = join()
    for _ in range(2):  # who looks first may find that the others have not come back yet
        beat(one, two, three)
    wait_until(lambda: linked(one, two, three))
    assert [kind for kind, *_ in one.recorder.events] == ["joined", "joined"], "the link between the two went on"
    assert all(is_healthy(member) for member in (one, two, three))


def test_the_files_of_the_dead_are_removed(join: Make, folder: Path) -> None:
    one, two = met(join(), join())
    kill(relay_of(two))
    wait_until(lambda: one.recorder.has("lost", two.process))
    assert (folder / f"{two.process}.sock").exists()
    assert not one.relay.lives(two.process)
    beat(one)
    assert sorted(path.name for path in folder.iterdir()) == [f"{one.process}.lock", f"{one.process}.sock", "numbers"]


def test_trouble_with_the_folder_is_told_once_and_makes_it_unhealthy(join: Make, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = join()
    folder.chmod(0o755)
    (folder / "77.lock").touch()  # something to look after
    beat(one)
    beat(one)
    assert not is_healthy(one)
    assert caplog.text.count("can be entered by others") == 1
    folder.chmod(0o700)
    beat(one)
    assert is_healthy(one)
    assert "can meet in" in caplog.text
    caplog.clear()
    beat(one)
    assert caplog.text == ""


def test_without_descriptors_nobody_is_let_in_until_there_are_some(
    join: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = join()

    class Full:
        def __init__(self, listening: object) -> None:
            self.close, self.fileno = listening.close, listening.fileno  # type: ignore[attr-defined]

        def _accept(self) -> None:
            raise OSError(24, os.strerror(24))

    place = relay_of(one)._place
    assert place is not None
    listening, place.listening = place.listening, Full(place.listening)
    two = join(wait=0.05)
    wait_until(lambda: not is_healthy(one))
    beat(one)
    beat(one)
    assert caplog.text.count("no process can be let in: Too many open files") == 1
    assert two.relay.processes() == ()
    place.listening = listening
    beat(one)
    wait_until(lambda: linked(one, two))
    assert is_healthy(one)


def test_without_descriptors_nobody_is_called_until_there_are_some(join: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = met(join(), join())
    relay_of(one)._links[two.process].close()
    wait_until(lambda: two.relay.processes() == ())

    def full(*_: object) -> None:
        raise OSError(24, os.strerror(24))

    with monkeypatch.context() as patch:
        patch.setattr(local, "native_socket", full)
        beat(two)
        assert not is_healthy(two)
    beat(two)
    wait_until(lambda: linked(one, two))
    assert is_healthy(two)
