from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from greenimi import green
from greenimi.pool.redis.wire import Wire
from greenimi.testing.support import wait_until


class Connection:
    """What a wire needs of redis-py's connections."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def disconnect(self) -> None:
        self._sock.close()


class End:
    """One end of a pair of sockets on a wire, and all that was called."""

    def __init__(self, sock: socket.socket) -> None:
        self.data = b""
        self.lost: list[Any] = []
        self.rooms = 0
        self.wire = Wire(Connection(sock), self._got, self._room, self.lost.append)

    def _got(self, data: bytes) -> None:
        self.data += data

    def _room(self) -> None:
        self.rooms += 1


@pytest.fixture
def pair() -> Iterator[tuple[End, socket.socket]]:
    near, far = socket.socketpair()
    end = End(near)
    yield end, far
    end.wire.close()
    far.close()


def test_what_arrives_is_handed_on(pair: tuple[End, socket.socket]) -> None:
    end, far = pair
    far.sendall(b"hello")
    wait_until(lambda: end.data == b"hello")
    far.close()
    wait_until(lambda: end.lost)
    assert end.lost[0] == "the server closed it"


def test_what_does_not_fit_goes_out_when_there_is_room(pair: tuple[End, socket.socket]) -> None:
    end, far = pair
    data = bytes(range(256)) * 20_000
    green.run_soon(end.wire.send, data)
    wait_until(lambda: end.wire.full)
    found = b""
    while len(found) < len(data):
        found += far.recv(1 << 20)
    assert found == data
    wait_until(lambda: end.rooms == 1)
    assert not end.wire.full


def test_errors(pair: tuple[End, socket.socket]) -> None:
    end, far = pair
    far.close()
    green.run_soon(end.wire.send, b"hello")
    wait_until(lambda: len(end.lost) > 0)
    assert isinstance(end.lost[0], OSError | str)


def test_after_close_nothing_is_called(pair: tuple[End, socket.socket]) -> None:
    end, far = pair
    far.sendall(b"hello")
    end.wire.close()
    end.wire.close()
    green.sleep(0.01)
    assert (end.data, end.lost) == (b"", [])
