"""Deadlines of silence and of what is on its way."""

from __future__ import annotations

import socket
from contextlib import suppress
from math import inf
from pathlib import Path

import pytest

from greenimi.servers.deadlines import Pace, Silence, unsent


def test_silence_is_never_shorter_than_it_says_by_a_clock_that_moves_once_a_second() -> None:
    silence = Silence(10, 100)
    assert silence.until == 111, "who is heard of at 100.99 may be silent until 110.99"
    silence.move(101)
    assert silence.until == 112
    assert Silence(0, 100).until == inf


def test_what_does_not_move_is_late_after_its_seconds() -> None:
    pace = Pace(100, 20, 512)
    assert not pace.late(120)
    assert pace.late(120.1)


def test_each_rate_bytes_give_one_second_more() -> None:
    pace = Pace(100, 20, 512)
    for second in range(101, 200):
        pace.passed += 512
        assert not pace.late(second)
    assert not pace.late(219)
    assert pace.late(219.1)


def test_one_that_drips_is_late() -> None:
    pace = Pace(100, 20, 512)
    late = []
    for second in range(101, 140):
        pace.passed += 1
        if pace.late(second):
            late.append(second)
    assert late[0] == 121


def test_what_was_fast_earns_nothing_for_later() -> None:
    pace = Pace(100, 20, 512)
    pace.passed += 1 << 30
    assert not pace.late(110)
    assert not pace.late(130)
    assert pace.late(130.1)


def test_with_an_infinite_rate_nothing_helps() -> None:
    pace = Pace(100, 20, inf)
    pace.passed += 1 << 30
    assert pace.late(121)


def test_with_a_rate_of_zero_any_progress_helps() -> None:
    pace = Pace(100, 20, 0)
    for second in range(110, 300, 19):
        pace.passed += 1
        assert not pace.late(second)
    assert pace.late(320)


def test_no_seconds_are_for_ever() -> None:
    pace = Pace(100, 0, 512)
    assert not pace.late(1e9)


def test_it_can_be_put_off() -> None:
    pace = Pace(100, 20, inf)
    pace.put_off(115)
    assert not pace.late(135)
    assert pace.late(136)


def test_bytes_that_have_not_arrived_are_no_progress() -> None:
    pace = Pace(100, 20, 512, behind=10_000)
    pace.passed += 5120
    assert not pace.late(110, behind=15_120)
    assert pace.late(121, behind=15_120), "the kernel took 5120, but the peer none"
    arriving = Pace(100, 20, 512, behind=10_000)
    arriving.passed += 5120
    assert not arriving.late(119, behind=10_000)
    assert not arriving.late(130, behind=10_000)
    assert arriving.late(130.1, behind=10_000)


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET])
def test_the_kernel_tells_what_a_peer_did_not_take(family: socket.AddressFamily) -> None:
    if family == socket.AF_UNIX:
        ours, peer = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            ours = socket.create_connection(listening.getsockname())
            peer, _ = listening.accept()
    with ours, peer:
        assert unsent(ours.fileno()) == 0
        ours.setblocking(False)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with suppress(BlockingIOError):
            while True:
                ours.send(b"x" * 65536)
        before = unsent(ours.fileno())
        assert before > 1000
        for _ in range(1000):
            peer.recv(65536)
            if unsent(ours.fileno()) < before:
                break
        else:
            pytest.fail("reading does not show")


def test_what_is_no_socket_tells_nothing() -> None:
    with Path("/dev/null").open() as file:
        assert unsent(file.fileno()) == 0
