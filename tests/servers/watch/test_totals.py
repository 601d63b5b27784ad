"""Sums over workers: what only grows never shrinks, whoever ends."""

from __future__ import annotations

import logging

import pytest

from greenimi.servers.watch.scoreboard import Scoreboard
from greenimi.servers.watch.totals import BASE, encode, nothing, read, retire, summed, worker_of
from tests.servers.records import BUSY, WEB, server, worker


def test_numbers_of_workers_are_added() -> None:
    web = server(connections=1, handled=1, latency={"buckets": [1, 0, 0, 7], "sum": 0.25})
    other = worker(
        8,
        servers={"web": web, "till": server(kind="tcp", accepted=4)},
        sources={"pool.main": {"busy": 1}},
    )
    found = summed(nothing(), [BUSY, other])
    assert found["servers"] == {
        "web": server(
            connections=4,
            accepted=10,
            refused=1,
            handled=101,
            dropped=2,
            cut=3,
            held=4,
            late=5,
            latency={"buckets": [1, 5, 95, 7], "sum": 1.75},
        ),
        "till": server(kind="tcp", accepted=4),
    }
    assert (found["blocked"], found["blocked_seconds"], found["cpu"]) == (2, 0.5, 12.5)
    assert found["sources"] == {"pool.main": {"busy": 5, "waits_total": 9}, "queue": {"length": 5}}
    assert summed(nothing(), []) == nothing()
    assert BUSY["servers"]["web"]["handled"] == 100


def test_a_worker_that_ended_is_in_the_base_with_what_only_grows() -> None:
    board = Scoreboard(4)
    board.write(2, encode(BUSY))
    assert read(board) == ([BUSY], nothing())
    before = summed(read(board)[1], read(board)[0])
    retire(board, 2)
    assert board.read(2) is None
    living, base = read(board)
    assert living == []
    assert base["ended"] == 1
    assert base["servers"] == {"web": {**WEB, "connections": 0}}
    assert base["sources"] == {"pool.main": {"waits_total": 9}}
    for key in ("blocked", "blocked_seconds", "cpu"):
        assert base[key] == before[key]
    retire(board, 2)  # there is nothing to add any more
    assert read(board)[1] == base
    board.write(2, encode(worker(9, servers={"web": WEB})))  # its successor has the slot
    living, base = read(board)
    assert summed(base, living)["servers"]["web"]["handled"] == 200


def test_a_worker_is_not_counted_twice_while_it_is_retired(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Scoreboard(4)
    board.write(1, encode(BUSY))
    with monkeypatch.context() as patch:
        patch.setattr(board, "clear", lambda slot: None)  # as far as that the master has got
        retire(board, 1)
    living, base = read(board)
    assert living == []
    assert summed(base, living)["servers"]["web"]["handled"] == 100


def test_what_is_remembered_of_ended_workers_is_bounded() -> None:
    board = Scoreboard(2)
    for pid in range(100):
        board.write(1, encode(worker(pid, servers={"web": server(handled=1)})))
        retire(board, 1)
    base = read(board)[1]
    assert base["ended"] == 100
    assert base["servers"]["web"]["handled"] == 100
    assert [pid for pid, _ in base["folded"]] == list(range(68, 100))


def test_sums_that_do_not_fit_begin_anew(caplog: pytest.LogCaptureFixture) -> None:
    board = Scoreboard(2, size=3000)
    with caplog.at_level(logging.WARNING):
        for number in range(40):
            board.write(1, encode(worker(number, servers={f"server{number}": server(handled=1)})))
            retire(board, 1)
            assert board.read(1) is None
    assert "the sums of ended workers begin anew" in caplog.text
    assert 0 < read(board)[1]["ended"] < 40


def test_a_record_that_makes_no_sense_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    board = Scoreboard(3)
    board.write(1, b'{"pid": "one"}')
    retire(board, 1)
    assert board.read_all() == {}
    assert "the record in slot 1 cannot be read" in caplog.text


def test_a_record_survives_the_board() -> None:
    assert worker_of(encode(BUSY)) == BUSY
    assert BASE == 0
