"""What a master tells of itself and its workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from greenimi.hub.settings import HubSettings
from greenimi.servers.master.berth import READY, Berth
from greenimi.servers.master.status import status_of
from greenimi.servers.watch.scoreboard import Scoreboard


@pytest.fixture
def arbiter() -> Iterator[Any]:
    board = Scoreboard()
    workers = {}
    for pid, place in ((30, 1), (20, 0)):
        berth = Berth(place, generation=2, slot=place + 1, board=board, listeners=[], leave_master=lambda: None)
        berth.move(READY)
        workers[pid] = SimpleNamespace(pid=pid, age=pid, berth=berth)
    server = SimpleNamespace(server="web", kind="http", address="127.0.0.1:8000")
    yield SimpleNamespace(
        WORKERS=workers,
        board=board,
        pid=10,
        since=1.5,
        generation=2,
        _stats={"reloads": 1},
        last_roll=None,
        deployment=SimpleNamespace(conf="/srv/app.toml"),
        master_pid=0,
        reexec_pid=0,
        is_complete=lambda: True,
        hub=HubSettings(),
        run_folder=SimpleNamespace(path=Path("/run/hub-x")),
        listeners=SimpleNamespace(addresses=lambda: [server]),
    )
    for worker in workers.values():
        worker.berth.master.close()
        worker.berth.worker.close()


def test_workers_come_by_their_places(arbiter: Any) -> None:
    found = status_of(arbiter)
    assert [(worker["pid"], worker["place"], worker["state"]) for worker in found["workers"]] == [(20, 0, "ready"), (30, 1, "ready")]
    assert found["listeners"] == [{"server": "web", "kind": "http", "address": "127.0.0.1:8000"}]
    assert found["master"]["pid"] == 10
    assert found["master"]["complete"]


def test_the_folder_is_where_its_workers_meet(arbiter: Any) -> None:
    assert status_of(arbiter)["master"]["folder"] == "/run/hub-x"
    arbiter.hub = HubSettings(folder="/srv/meet")
    assert status_of(arbiter)["master"]["folder"] == "/srv/meet"
