"""The control socket: who may use it, what it does with bad questions."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from greenimi import green
from greenimi.errors import ConfigError
from greenimi.servers.master.calling import ask
from greenimi.servers.master.control import Caller, Control, control_folder
from greenimi.testing.support import wait_until


@pytest.fixture
def asked() -> list[Mapping[str, Any]]:
    return []


@pytest.fixture
def control(tmp_path: Path, asked: list[Mapping[str, Any]]) -> Iterator[Control]:
    def answer(question: dict[str, Any], caller: Caller) -> None:
        asked.append(question)
        caller.say("one moment")
        caller.answer(done=True, twice="x" * int(question.get("much", 0)))

    made = Control(tmp_path, answer)
    serving = green.spawn(_serve, made)
    yield made
    serving.kill()
    made.close()


def _serve(control: Control) -> None:
    while True:
        control.serve()
        green.sleep(0.005)


def test_a_question_is_answered(control: Control, asked: list[Mapping[str, Any]]) -> None:
    said: list[str] = []
    assert ask(control.path, {"do": "it", "much": 300_000}, said.append) == {"done": True, "twice": "x" * 300_000}
    assert (asked, said) == ([{"do": "it", "much": 300_000}], ["one moment"])


def test_only_its_user_may_use_it(control: Control) -> None:
    assert stat.S_IMODE(control.path.stat().st_mode) == 0o600
    assert control.path.name == f"{os.getpid()}.sock"


def test_it_is_gone_when_it_is_closed(tmp_path: Path) -> None:
    made = Control(tmp_path, lambda question, caller: None)
    made.close()
    assert not made.path.exists()


def test_a_worker_closes_its_copy_and_leaves_the_file(tmp_path: Path) -> None:
    made = Control(tmp_path, lambda question, caller: None)
    made.leave()
    assert made.path.exists()
    made.path.unlink()


@pytest.mark.parametrize("nonsense", [b"no json\n", b"", b"x" * 70_000], ids=["no json", "nothing", "endless"])
def test_nonsense_is_hung_up_on(control: Control, asked: list[Mapping[str, Any]], nonsense: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(10)
        caller.connect(str(control.path))
        caller.sendall(nonsense)
        caller.shutdown(socket.SHUT_WR)
        try:
            assert caller.recv(100) == b""
        except ConnectionResetError:
            pass
    assert asked == []
    assert ask(control.path, {"do": "it"})["done"]


def test_callers_that_say_nothing_do_not_stop_others_for_ever(control: Control) -> None:
    silent = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    for caller in silent:
        caller.connect(str(control.path))
    wait_until(lambda: len(control.descriptors()) == 4)
    assert ask(control.path, {"do": "it"})["done"]
    for caller in silent:
        caller.close()
    wait_until(lambda: len(control.descriptors()) == 1)


def test_a_list_instead_of_a_question_is_an_unknown_one(control: Control, asked: list[Mapping[str, Any]]) -> None:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(control.path))
        caller.sendall(json.dumps([1]).encode() + b"\n")
        wait_until(lambda: asked)
    assert asked == [{}]


# -- the folder ------------------------------------------------------------------------------------------------------


def test_the_folder_is_the_users_run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = control_folder()
    assert folder == tmp_path / "greenimi"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_without_one_it_is_a_private_folder_for_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert control_folder() == tmp_path / f"greenimi-{os.getuid()}"


def test_a_folder_that_others_can_enter_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "greenimi").mkdir()
    (tmp_path / "greenimi").chmod(0o755)
    with pytest.raises(ConfigError, match="can be entered by others"):
        control_folder()


def test_a_folder_of_conf_is_taken_as_it_is(tmp_path: Path) -> None:
    assert control_folder(str(tmp_path / "run")) == tmp_path / "run"


def test_an_impossible_path_is_told(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    with pytest.raises(ConfigError, match="cannot be made: AF_UNIX path too long"):
        Control(deep, lambda question, caller: None)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "greenimi").write_text("in the way")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(ConfigError, match=r"greenimi cannot be made: File exists[\s\S]*\[workers\] control"):
        control_folder()


def test_a_link_among_the_temporary_files_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "private").mkdir(mode=0o700)
    (tmp_path / "greenimi").symlink_to(tmp_path / "private")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(ConfigError, match="not a folder of this user"):
        control_folder()


def test_many_silent_callers_neither_lock_others_out_nor_keep_the_master_awake(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    for caller in silent:
        caller.connect(str(control.path))
    wait_until(lambda: len(control.descriptors()) == 16)
    assert control._listening.fileno() not in control.descriptors(), "who waits there would wake the master for nothing"
    monkeypatch.setattr("greenimi.servers.master.control._SILENCE", 0.0)
    assert ask(control.path, {"do": "it"})["done"]
    for caller in silent:
        caller.close()
