"""Talking to masters."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from greenimi import green
from greenimi.servers.master.calling import ask, masters
from greenimi.servers.master.control import Caller, Control


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def _serve(control: Control) -> None:
    while True:
        control.serve()
        green.sleep(0.005)


def test_what_a_killed_master_left_is_removed(folder: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(folder / "99.sock"))
    left.close()
    assert list(masters(folder)) == []
    assert not (folder / "99.sock").exists()


def test_a_master_that_goes_in_the_middle_of_an_answer_is_told(folder: Path) -> None:
    def leave(question: dict[str, Any], caller: Caller) -> None:
        caller.say("one moment")
        caller.sock.close()

    control = Control(folder, leave)
    serving = green.spawn(_serve, control)
    said: list[str] = []
    try:
        with pytest.raises(ConnectionError, match="in the middle of its answer"):
            ask(folder / f"{os.getpid()}.sock", {"do": "reload"}, said.append)
    finally:
        serving.kill()
        control.close()
    assert said == ["one moment"]


def test_a_silent_master_is_not_waited_for_for_ever(folder: Path) -> None:
    control = Control(folder, lambda question, caller: None)
    try:
        with pytest.raises(TimeoutError):
            ask(control.path, {"do": "status"}, patience=0.1)
    finally:
        control.close()
