"""What a worker tells of itself, and when."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from greenimi.event import Events
from greenimi.event.lifecycle import WorkerStarted
from greenimi.servers.doors import Doors
from greenimi.servers.watch.guard import Blocked
from greenimi.servers.watch.scoreboard import Scoreboard
from greenimi.servers.watch.statistics import Statistics, open_descriptors
from greenimi.servers.watch.status_types import WorkerStatus
from greenimi.servers.watch.totals import worker_of
from greenimi.testing.contracts import ServiceContract


class House:
    """Doors with numbers that tests set."""

    def __init__(self, servers: int = 1) -> None:
        latency = SimpleNamespace(buckets=[0, 3, 1], sum=0.25)
        counts = {"accepted_count": 5, "refused": 1, "handled": 4, "cut_count": 2, "late_replies": 4, "rates": SimpleNamespace(held=3)}
        web = SimpleNamespace(kind="http", connections={1, 2}, latency=latency, **counts)
        self.servers: dict[str, Any] = {f"web{number}": web for number in range(servers)}
        self.servers["beacon"] = SimpleNamespace(kind="udp", handled=7, dropped=2, latency=SimpleNamespace(buckets=[7], sum=0.5))
        self.pool = SimpleNamespace(size=9, busy=3, waiting=2, limit=10, overloaded=False)
        reports = deque([Blocked(1.5, 0.5, "shop.py:41 in f", "...")])
        self.guard = SimpleNamespace(count=1, seconds=0.5, lag=0.001, lag_max=0.2, reports=reports)
        self.each_second: list[Callable[[float], None]] = []
        self.runtime = SimpleNamespace(handlers=self.pool, guard=self.guard, each_second=self.each_second)
        self.events = Events()
        self.statistics = Statistics(lambda: cast(Doors, self), self.events)

    def tick(self) -> None:
        for call in self.each_second:
            call(time.monotonic())

    @property
    def record(self) -> WorkerStatus:
        data = self.statistics.board.read(self.statistics._slot)
        assert data is not None
        return worker_of(data)


class TestService(ServiceContract):
    house: House

    def make(self) -> Statistics:
        self.house = House()
        return self.house.statistics

    def is_running(self, service: Any) -> bool:
        return bool(self.house.each_second)


@pytest.fixture
def house() -> House:
    return House()


def test_everything_is_told(house: House) -> None:
    before = time.time()
    house.statistics.start()
    house.tick()
    record = house.record
    assert record["pid"] == os.getpid()
    assert record["servers"]["web0"] == {
        "kind": "http",
        "connections": 2,
        "accepted": 5,
        "refused": 1,
        "handled": 4,
        "dropped": 0,
        "cut": 2,
        "held": 3,
        "late": 4,
        "latency": {"buckets": [0, 3, 1], "sum": 0.25},
    }
    assert record["servers"]["beacon"] == {
        "kind": "udp",
        "connections": 0,
        "accepted": 0,
        "refused": 0,
        "handled": 7,
        "dropped": 2,
        "cut": 0,
        "held": 0,
        "late": 0,
        "latency": {"buckets": [7], "sum": 0.5},
    }
    assert record["handlers"] == {"size": 9, "busy": 3, "waiting": 2, "limit": 10, "overloaded": False}
    assert record["loop"] == {"lag": 0.001, "max_lag": 0.2}
    assert record["blocked"] == {"count": 1, "seconds": 0.5, "reports": [{"when": 1.5, "seconds": 0.5, "where": "shop.py:41 in f"}]}
    assert before <= record["at"] <= time.time()
    assert 1 << 20 < record["memory"] < 1 << 34
    assert 0 < record["cpu"] < 10_000
    assert 0 < record["fds"] < 100_000
    assert len(record["collections"]) == 3
    house.statistics.stop()


def test_the_state_follows_the_life_of_the_worker(house: House) -> None:
    house.statistics.start()
    assert house.record["state"] == "booting"
    house.events.emit(WorkerStarted())
    assert house.record["state"] == "ready"
    house.statistics.drain()
    assert house.record["state"] == "draining"


def test_it_writes_every_second_until_the_end_and_then_once_more(house: House) -> None:
    web = house.servers["web0"]
    house.statistics.start()
    web.handled = 5
    house.tick()
    assert house.record["servers"]["web0"]["handled"] == 5
    web.handled = 6
    house.statistics.stop()
    assert house.record["servers"]["web0"]["handled"] == 6
    assert house.each_second == []
    house.statistics.stop()


def test_it_writes_where_it_is_told_to(house: House) -> None:
    board = Scoreboard(5)
    house.statistics.report_to(board, 3, place=2, generation=7)
    house.statistics.start()
    assert list(board.read_all()) == [3]
    assert (house.record["place"], house.record["generation"]) == (2, 7)
    house.statistics.stop()


def test_descriptors_are_counted() -> None:
    before = open_descriptors()
    assert before == len(list(Path("/proc/self/fd").iterdir())) - 1  # which has the folder open itself
    fds = os.pipe()
    assert open_descriptors() == before + 2
    for fd in fds:
        os.close(fd)


def test_reports_are_bounded(house: House) -> None:
    house.guard.reports = deque(Blocked(float(number), 0.1, "x" * 10_000, "") for number in range(50))
    reports = house.statistics.status()["blocked"]["reports"]
    assert [report["when"] for report in reports] == [45, 46, 47, 48, 49]
    assert max(len(report["where"]) for report in reports) == 500


# -- sources -------------------------------------------------------------------------------------------------------


def test_other_rooms_add_their_numbers(house: House) -> None:
    house.statistics.add_source("pool.main", lambda: {"busy": 3, "waits_total": 1.5})
    house.statistics.start()
    assert house.record["sources"] == {"pool.main": {"busy": 3, "waits_total": 1.5}}
    house.statistics.stop()


def test_a_source_that_fails_hurts_nobody_and_is_named_once(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.statistics.add_source("pool.main", lambda: {"busy": 1 / 0})
    house.statistics.add_source("queue", lambda: {"length": 1})
    with caplog.at_level(logging.WARNING):
        house.statistics.start()
        for _ in range(3):
            house.tick()
    assert house.record["sources"] == {"queue": {"length": 1}}
    assert caplog.text.count("the statistics of pool.main failed: ZeroDivisionError") == 1
    house.statistics.stop()


def test_a_source_that_begins_to_fail_keeps_its_counters(house: House) -> None:
    numbers = {"waits_total": 4.0}
    house.statistics.add_source("pool", lambda: numbers)
    house.statistics.start()
    for wrong in (float("nan"), float("inf"), "many"):
        numbers["waits_total"] = cast(float, wrong)
        house.tick()
        assert house.record["sources"] == {"pool": {"waits_total": 4.0}}
    numbers["waits_total"] = True
    house.tick()
    assert house.record["sources"] == {"pool": {"waits_total": 1}}
    house.statistics.stop()


def test_of_a_source_that_is_removed_the_counters_stay(house: House) -> None:
    numbers = {"busy": 3.0, "waits_total": 1.0}
    house.statistics.add_source("pool.main", lambda: numbers)
    house.statistics.add_source("queue", lambda: {"length": 1})
    house.statistics.start()
    numbers["waits_total"] = 2.0  # since the last record
    house.statistics.remove_source("pool.main")
    house.statistics.remove_source("queue")
    house.statistics.remove_source("nobody")
    numbers["waits_total"] = 9.0
    house.tick()
    assert house.record["sources"] == {"pool.main": {"waits_total": 2.0}}
    house.statistics.stop()


@pytest.mark.parametrize("name", ["", "Pool", "2pool", "pool-x.main", "handlers.x", "worker", "message.seconds", ".x"])
def test_a_source_with_a_name_of_ours_or_none_is_refused(house: House, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a source"):
        house.statistics.add_source(name, dict)


def test_what_does_not_fit_on_the_board_is_left_out(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.statistics.add_source("pool.main", lambda: {f"number{number}": number for number in range(2000)})
    house.statistics.start()
    for _ in range(3):
        house.tick()
    assert house.record["sources"] == {}
    assert house.record["servers"]["web0"]["handled"] == 4
    assert caplog.text.count("the statistics are not complete") == 1
    house.statistics.stop()


def test_a_record_costs_little() -> None:
    """Measured: 40 to 60 µs for three servers; the limit leaves room for a busy machine."""
    house = House(servers=2)
    house.servers["web0"].latency.buckets = [12345] * 30
    house.statistics.start()
    times = []
    for _ in range(200):
        before = time.process_time()
        house.tick()
        times.append(time.process_time() - before)
    house.statistics.stop()
    assert sorted(times)[100] < 750e-6
