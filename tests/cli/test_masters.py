"""Which running master a command means, and what is said when that cannot be known."""

from __future__ import annotations

import argparse
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenimi import green
from greenimi.cli.masters import NoMaster, add_master, find_master
from greenimi.servers.master.control import Caller, Control

Make = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    (tmp_path / "app.toml").write_text(f'[workers]\ncontrol = "{tmp_path}/run"\n')
    return tmp_path / "run"


@pytest.fixture
def master(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes something that answers like a master."""
    ends: list[Callable[[], object]] = []

    def make(pid: int, conf: str = "app.toml", since: float = 1.0, before: int = 0) -> Path:
        status = {"master": {"pid": pid, "conf": str(folder.parent / conf), "since": since, "before": before}}

        def answer(question: dict[str, Any], caller: Caller) -> None:
            caller.answer(done=True, status=status)

        monkeypatch.setattr("os.getpid", lambda: pid)
        control = Control(folder, answer)
        monkeypatch.undo()
        serving = green.spawn(_serve, control)
        ends.extend((serving.kill, control.close))
        return control.path

    yield make
    for end in ends:
        end()


def _serve(control: Control) -> None:
    while True:
        control.serve()
        green.sleep(0.005)


def options(folder: Path, pid: int | None = None, conf: str = "app.toml") -> Namespace:
    return Namespace(conf=str(folder.parent / conf), pid=pid, sets=None, env=None)


def test_the_master_of_this_conf_is_meant(folder: Path, master: Make) -> None:
    master(11, "other.toml")
    mine = master(12)
    assert find_master(options(folder)) == mine


def test_a_process_id_says_which(folder: Path, master: Make) -> None:
    first, second = master(11), master(12)
    with pytest.raises(NoMaster, match=r"several masters serve .*app\.toml: 11, 12\n.*--pid"):
        find_master(options(folder))
    assert find_master(options(folder, 11)) == first
    assert find_master(options(folder, 12)) == second
    with pytest.raises(NoMaster, match="no master with the process id 13"):
        find_master(options(folder, 13))


def test_while_an_upgrade_is_under_way_the_new_master_is_meant(folder: Path, master: Make) -> None:
    master(11, since=1.0)
    new = master(12, since=2.0, before=11)
    assert find_master(options(folder)) == new


def test_nobody_serves_it(folder: Path, master: Make) -> None:
    with pytest.raises(NoMaster, match=r"no running master serves .*app.toml\n.*none of this user is running"):
        find_master(options(folder))
    master(11, "other.toml")
    with pytest.raises(NoMaster, match=r"running: 11 serves .*other.toml"):
        find_master(options(folder))


def test_process_ids_may_be_large() -> None:
    parser = argparse.ArgumentParser()
    add_master(parser)
    assert parser.parse_args(["--pid", "4194304"]).pid == 4194304
