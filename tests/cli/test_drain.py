"""``greenimi drain`` waits until the master is gone.  What it does to a service is tested with ``reload``."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from greenimi import green
from greenimi.cli import drain
from greenimi.servers.master.control import Caller, Control


def test_it_says_what_it_waits_for_and_waits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    asked = []

    def answer(question: dict[str, object], caller: Caller) -> None:
        asked.append(question)
        caller.answer(done=True, pid=process.pid, status={"master": {"conf": str(tmp_path / "app.toml")}})

    control = Control(tmp_path, answer)

    def serve() -> None:
        while True:
            control.serve()
            green.sleep(0.005)

    serving = green.spawn(serve)
    (tmp_path / "app.toml").write_text(f'[workers]\ncontrol = "{tmp_path}"\n')
    options = Namespace(conf=str(tmp_path / "app.toml"), pid=os.getpid(), worker=None, sets=None)
    waiting = green.spawn(drain.run, options)
    green.sleep(0.3)
    assert not waiting.ready()
    process.communicate(b"\n")
    assert waiting.get(timeout=10) == 0
    serving.kill()
    control.close()
    assert {"do": "drain", "worker": None} in asked
    assert capsys.readouterr().out == f"master {process.pid} takes no new work and finishes what it has\ndone\n"
