"""A worker that served long enough asks for a successor, once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from greenimi.servers.master import limits
from greenimi.servers.master.limits import WorkerLimits, resident_bytes
from greenimi.servers.settings import WorkerSettings


def doors(*handled: int) -> Any:
    return SimpleNamespace(servers={str(number): SimpleNamespace(handled=count) for number, count in enumerate(handled)})


def test_messages_of_all_servers_count() -> None:
    said: list[str] = []
    served = doors(0, 0)
    watch = WorkerLimits(WorkerSettings(max_messages=100), served, said.append)
    watch.look(0.0)
    served.servers["0"].handled = served.servers["1"].handled = 44
    watch.look(1.0)
    assert said == []
    served.servers["1"].handled = 67
    watch.look(2.0)
    watch.look(3.0)
    assert said == ["it handled 111 messages (workers.max_messages)"]


def test_workers_of_one_conf_do_not_all_go_at_the_same_number() -> None:
    assert len({WorkerLimits(WorkerSettings(max_messages=100_000), doors(), print)._messages for _ in range(5)}) > 1


def test_memory_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    assert 1 << 20 < resident_bytes() < 1 << 36
    watch = WorkerLimits(WorkerSettings(memory=50 << 20), doors(), said.append)
    monkeypatch.setattr(limits, "resident_bytes", lambda: 50 << 20)
    watch.look(0.0)
    assert said == []
    monkeypatch.setattr(limits, "resident_bytes", lambda: 51 << 20)
    watch.look(1.0)
    assert said == ["it has 51 MiB of memory (workers.memory)"]


def test_without_limits_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "resident_bytes", lambda: pytest.fail("looked at for nothing"))
    WorkerLimits(WorkerSettings(), doors(1 << 60), pytest.fail).look(0.0)
