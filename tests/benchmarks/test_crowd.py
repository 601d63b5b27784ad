"""What is measured of a crowd of idle WebSockets, and of pushes to single ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks import crowd, push
from benchmarks.crowd import STOOD_STILL
from benchmarks.paths import BenchError
from benchmarks.servers import ROWS
from greenimi.servers.watch.guard import Blocked, Guard
from tests.benchmarks.hall import hall, to_all
from tests.benchmarks.test_fan import told

ROW = next(row for row in ROWS if row.load == "crowd" and row.protocol == "ws")
pytestmark = pytest.mark.skipif(not all(map(shutil.which, ("setpriv", "taskset"))), reason="util-linux is needed")


@pytest.fixture(autouse=True)
def compiled_client(fan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "FAN", fan)
    monkeypatch.setattr(push, "FAN", fan)


def test_processes_hold_connections_and_count_as_one() -> None:
    with hall(to_all) as port, crowd.crowd(ROW, port, 5, 2) as clients:
        assert clients.look().open == 5
        assert clients.broadcast()[0] == 0
        missing, milliseconds = clients.broadcast()
        found = clients.look()
    assert missing == 0
    assert (found.open, found.ended, found.heard) == (5, 0, 10)
    assert milliseconds == (found.last_us - found.sent_us) / 1000 > 0


def test_a_message_that_does_not_reach_all_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "PATIENCE", 0.3)
    with hall(lambda text, number: to_all(text, number)[:3]) as port, crowd.crowd(ROW, port, 5, 2) as clients:
        assert clients.broadcast()[0] == 2


def test_a_crowd_that_cannot_be_opened() -> None:
    with hall(to_all) as port:
        pass
    with pytest.raises(BenchError, match="connect"), crowd.crowd(ROW, port, 5, 2):
        pass


def test_a_loop_that_stood_still_is_found_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    Guard().tell(Blocked(0.0, 0.25, "app.py:7 in handle", ""), logged=True)
    (found,) = STOOD_STILL.findall(caplog.messages[0])
    assert float(found) == 0.25
    assert not STOOD_STILL.search("nothing else could run for 0.25 s so far: app.py:7 in handle")


def test_a_push_compares_workers() -> None:
    row = next(row for row in ROWS if row.load == "push")
    with hall(lambda text, number: told(text, number, 2)) as port:
        figures = push.push(row, port, 1)
    assert figures["times"] == figures["remote_p50_us"] / figures["local_p50_us"]
