"""The relay of one machine when processes are killed, stopped, starved, and when their folder goes.  Real processes."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from greenimi import green
from greenimi.hub import local, local_link
from greenimi.hub.local import LocalRelay
from greenimi.hub.settings import HubSettings
from greenimi.testing.contracts.relay import LONG, Member
from greenimi.testing.support import wait_until

pytestmark = pytest.mark.live

PATIENCE = 30.0
BEAT = 0.2
"""Seconds; shorter than that of real ones,"""

SILENCE = 100
"""so more of them are needed before a process that has no processor counts as stopped."""

QUEUE = 1 << 20

Start = Callable[[int], list[int]]


def start(folder: Path) -> subprocess.Popen[bytes]:
    """One more process; it is up when it joins."""
    script = Path(__file__).with_name("relay_process.py")
    return subprocess.Popen([sys.executable, str(script), str(folder), str(BEAT), str(SILENCE), str(QUEUE)])


def ask(member: Member, process: int, what: str = "facts", **more: Any) -> Any:
    """Have a process do something; what it says, its facts when it has nothing else to say."""
    answers = member.relay.call([process], json.dumps({"what": what, **more}).encode()).wait(LONG)
    assert answers, f"process {process} did not answer"
    return json.loads(answers[0][1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def member(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Member]:
    """This process."""
    monkeypatch.setattr(local, "_BEAT", BEAT)
    monkeypatch.setattr(local_link, "SILENCE", SILENCE)
    relay = LocalRelay(HubSettings(folder=str(folder), queue=QUEUE))
    yield Member(relay)
    relay.stop()


@pytest.fixture
def start_some(folder: Path, member: Member) -> Iterator[Start]:
    """``start_some(2)`` are the numbers of so many processes that know each other and this one."""
    with ExitStack() as ends:

        def make(number: int) -> list[int]:
            before = set(member.relay.processes())
            for _ in range(number):
                ends.callback(ends.enter_context(start(folder)).kill)
            wait_until(lambda: len(member.relay.processes()) == len(before) + number, PATIENCE)
            others = member.relay.processes()
            wait_until(lambda: all(len(ask(member, other)["processes"]) == len(others) for other in others), PATIENCE)
            return sorted(set(others) - before)

        yield make


def test_processes_that_come_at_the_same_moment_have_one_link_for_each_two(member: Member, start_some: Start) -> None:
    others = start_some(3)
    for other in others:
        facts = ask(member, other)
        assert facts["processes"] == sorted({member.process, *others} - {other})
        assert (facts["links"], facts["healthy"], facts["lost"]) == (3, True, [])


def test_a_killed_process_is_lost_at_once_and_its_files_go(member: Member, start_some: Start, folder: Path) -> None:
    victim, other = start_some(2)
    ask(member, victim, "want", target="x")
    wait_until(lambda: member.relay.interested("x") == (victim,))
    calls = member.relay.call([victim, other], b'{"what": "facts"}')
    os.kill(ask(member, victim)["pid"], signal.SIGKILL)
    began = time.monotonic()
    assert other in [process for process, _ in calls.wait(LONG)]
    wait_until(lambda: member.recorder.has("lost", victim))
    assert time.monotonic() - began < LONG / 2, "not only when it was silent for long"
    assert member.relay.interested("x") == ()
    wait_until(lambda: not member.relay.lives(victim))
    wait_until(lambda: not list(folder.glob(f"{victim}.*")), PATIENCE)
    assert ask(member, other)["lost"] == [victim]
    (successor,) = start_some(1)
    assert successor not in (victim, other)


def test_nobody_waits_for_a_stopped_process_and_it_comes_back(
    member: Member, start_some: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stopped, other = start_some(2)
    pid = ask(member, stopped)["pid"]
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    calls = member.relay.call([stopped, other], b'{"what": "facts"}')
    assert [process for process, _ in calls.wait(0.1)] == [other]
    assert time.monotonic() - began < PATIENCE / 2
    packet = bytes(QUEUE // 16)
    handed = sum(member.relay.tell([stopped], packet) for _ in range(100))
    green.sleep(0)
    handed += sum(member.relay.tell([stopped], packet) for _ in range(100))
    assert handed * len(packet) < 4 * QUEUE, "the system's buffers and the queue take no more"
    with monkeypatch.context() as patch:
        patch.setattr(local_link, "SILENCE", 5)
        wait_until(lambda: member.recorder.has("lost", stopped), PATIENCE)
    assert "has said nothing for 5 seconds" in caplog.text
    assert member.relay.lives(stopped)
    assert member.relay.tell([stopped], packet) == 0
    member.relay.interest("meanwhile", here=True)
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: stopped in member.relay.processes(), PATIENCE)
    assert ask(member, stopped, "wants", target="meanwhile") == [member.process]
    wait_until(lambda: len(ask(member, stopped)["processes"]) == 2, PATIENCE)
    facts = ask(member, stopped)
    assert (facts["links"], facts["healthy"]) == (2, True)
    assert facts["told"] < 64, "what came while it was lost stayed away"


def test_a_process_that_was_stopped_when_others_came_meets_them(member: Member, start_some: Start, folder: Path) -> None:
    (stopped,) = start_some(1)
    pid = ask(member, stopped)["pid"]
    os.kill(pid, signal.SIGSTOP)
    with start(folder) as late:
        try:
            wait_until(lambda: len(set(member.relay.processes()) - {stopped}) == 1, PATIENCE)
            (other,) = set(member.relay.processes()) - {stopped}
            os.kill(pid, signal.SIGCONT)
            wait_until(lambda: stopped in member.relay.processes() and stopped in ask(member, other)["processes"], PATIENCE)
            assert ask(member, stopped)["links"] == 2
        finally:
            late.kill()


def test_a_folder_that_is_removed_comes_back_and_newcomers_find_all(member: Member, start_some: Start, folder: Path) -> None:
    others = start_some(2)
    shutil.rmtree(folder)
    (late,) = start_some(1)
    assert ask(member, late)["processes"] == sorted([member.process, *others])
    assert [kind for kind, *_ in member.recorder.events] == ["joined"] * 3, "those who knew each other stayed linked"


def test_a_folder_full_of_the_dead_is_cleaned(folder: Path, member: Member, start_some: Start) -> None:
    for process in range(200):
        (folder / f"{process}.lock").touch()
        (folder / f"{process}.sock").touch()
    (other,) = start_some(1)
    wait_until(lambda: len(list(folder.iterdir())) == 5, PATIENCE)
    assert member.relay.processes() == (other,)


def test_a_process_without_descriptors_keeps_its_links_and_lets_others_in_later(member: Member, start_some: Start, folder: Path) -> None:
    (starved,) = start_some(1)
    assert ask(member, starved, "starve") == errno.EMFILE
    late = LocalRelay(HubSettings(folder=str(folder), wait=0.1))
    try:
        newcomer = Member(late)
        assert newcomer.relay.processes() == (member.process,)
        wait_until(lambda: not ask(member, starved)["healthy"], PATIENCE)
        ask(member, starved, "feed")
        wait_until(lambda: starved in newcomer.relay.processes(), PATIENCE)
        wait_until(lambda: ask(member, starved)["healthy"], PATIENCE)
        assert ask(newcomer, starved)["processes"] == sorted([member.process, newcomer.process])
    finally:
        late.stop()
