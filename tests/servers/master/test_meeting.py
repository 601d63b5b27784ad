"""How a script finds the workers of its service."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenimi import green
from greenimi.config import read_conf
from greenimi.hub.run_folder import VARIABLE
from greenimi.servers.master.control import Caller, Control
from greenimi.servers.master.meeting import meeting


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    file = tmp_path / "app.toml"
    file.write_text(f'[workers]\ncontrol = "{tmp_path}/run"\n')
    return file


@pytest.fixture
def master(conf: Path) -> Iterator[None]:
    """Something that answers like the master of this conf."""

    def answer(question: dict[str, Any], caller: Caller) -> None:
        caller.answer(done=True, status={"master": {"conf": str(conf), "folder": "/run/there"}})

    control = Control(conf.parent / "run", answer)
    serving = green.spawn(_serve, control)
    yield
    serving.kill()
    control.close()


def _serve(control: Control) -> None:
    while True:
        control.serve()
        green.sleep(0.005)


def test_the_folder_of_the_running_service_is_known_in_the_block(conf: Path, master: None) -> None:
    with meeting(conf, read_conf(conf)):
        assert os.environ[VARIABLE] == "/run/there"
    assert VARIABLE not in os.environ


def test_without_a_running_service_there_is_none(conf: Path, master: None, tmp_path: Path) -> None:
    with meeting(tmp_path / "other.toml", read_conf(conf)):
        assert VARIABLE not in os.environ
    with meeting(None, read_conf(conf)):
        assert VARIABLE not in os.environ


def test_what_conf_or_the_environment_says_is_left_alone(conf: Path, master: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with meeting(conf, read_conf(conf, argv=["--set", "hub.folder=/somewhere"])):
        assert VARIABLE not in os.environ
    monkeypatch.setenv(VARIABLE, "/else")
    with meeting(conf, read_conf(conf)):
        assert os.environ[VARIABLE] == "/else"
    assert os.environ[VARIABLE] == "/else"


def test_a_folder_that_cannot_be_entered_is_no_hindrance(conf: Path) -> None:
    with meeting(conf, read_conf(conf, argv=["--set", "workers.control=/proc/nothing"])):
        assert VARIABLE not in os.environ
