"""The loop that reads datagrams: in batches, and only while somebody is free for them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from greenimi import green
from greenimi.app import App
from greenimi.servers.datagram import DatagramReader
from greenimi.servers.handlers import HandlerPool
from greenimi.servers.udp import UdpServer
from greenimi.testing.clients import DatagramClient
from greenimi.testing.support import wait_until
from tests.apps.echo import Stage


class Host:
    """Keeps what it is given; waits at its gate where that is closed."""

    read_size = 10

    def __init__(self) -> None:
        self.seen: list[tuple[bytes, Any]] = []
        self.gate = green.Event()
        self.gate.set()
        self.waiting = 0
        self.dislikes: bytes | None = None

    def received(self, slot: int, item: tuple[bytes, Any]) -> None:
        if item[0] == self.dislikes:
            raise RuntimeError("no")
        self.waiting += 1
        self.gate.wait()
        self.waiting -= 1
        self.seen.append(item)


class Door:
    def __init__(self, limit: int = 10) -> None:
        self.host = Host()
        self.pool = HandlerPool(limit)
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound.bind(("127.0.0.1", 0))
        bound.setblocking(False)
        self.reader = DatagramReader(bound, 0, self.host, self.pool)
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.connect(bound.getsockname())

    def send(self, *numbers: int) -> None:
        for number in numbers:
            self.client.send(b"%d" % number)

    @property
    def numbers(self) -> list[int]:
        return [int(data) for data, _ in self.host.seen]

    def close(self) -> None:
        self.host.gate.set()
        wait_until(lambda: not self.pool.busy)
        self.reader.close()
        self.client.close()
        self.pool.close()


@pytest.fixture
def door() -> Iterator[Callable[..., Door]]:
    made: list[Door] = []

    def make(limit: int = 10) -> Door:
        made.append(Door(limit))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_it_knows_where_it_reads(door: Callable[..., Door]) -> None:
    one = door()
    assert one.reader.address == one.client.getpeername()


def test_each_datagram_with_its_sender_in_order(door: Callable[..., Door]) -> None:
    one = door()
    one.send(*range(150))
    one.reader.start()
    wait_until(lambda: len(one.host.seen) == 150)
    assert one.numbers == list(range(150))
    assert {address for _, address in one.host.seen} == {one.client.getsockname()}


def test_no_more_is_read_than_the_host_wants(door: Callable[..., Door]) -> None:
    one = door()
    one.client.send(b"x" * 100)
    one.client.send(b"")
    one.reader.start()
    wait_until(lambda: len(one.host.seen) == 2)
    assert [data for data, _ in one.host.seen] == [b"x" * 10, b""]


def test_others_run_between_batches(door: Callable[..., Door]) -> None:
    """A flood of datagrams does not keep the loop for itself."""
    one = door()
    one.send(*range(150))
    turns: list[int] = []

    def watch() -> None:
        while len(one.host.seen) < 150:
            turns.append(len(one.host.seen))
            green.sleep(0)

    watching = green.spawn(watch)
    one.reader.start()
    watching.join()
    assert any(0 < seen < 150 for seen in turns)


def test_what_nobody_is_free_for_stays_in_the_kernel(door: Callable[..., Door]) -> None:
    one = door(limit=2)
    one.host.gate.clear()
    one.reader.start()
    one.send(*range(10))
    wait_until(lambda: one.host.waiting == 2)
    wait_until(lambda: one.reader._watcher is None)
    assert one.pool.waiting == 0
    one.host.gate.set()
    wait_until(lambda: len(one.host.seen) == 10)
    assert sorted(one.numbers) == list(range(10))
    one.send(10)
    wait_until(lambda: 10 in one.numbers)


def test_a_failing_host_stops_nothing(door: Callable[..., Door], caplog: pytest.LogCaptureFixture) -> None:
    one = door()
    one.host.dislikes = b"1"
    one.reader.start()
    one.send(0, 1, 2)
    wait_until(lambda: one.numbers == [0, 2])
    assert "a job failed outside its own error handling" in caplog.text


def test_a_drained_server_stays_so_when_a_greenlet_gets_free(make_echo: Callable[..., App]) -> None:
    """It was full when it was drained: that somebody is free again is no reason to read on."""
    app = make_echo(handlers=1)
    stage = app.container.get(Stage)
    server = app.doors.servers["beacon"]
    assert isinstance(server, UdpServer)
    with DatagramClient(app, "beacon") as client:
        client.send({"action": "wait"})
        wait_until(lambda: stage.waiting)
        client.send({"action": "echo", "text": "late"})
        (reader,) = server._readers
        wait_until(lambda: reader._watcher is None)
        server.drain()
        stage.gate.set()
        assert client.receive() == "waited"
        wait_until(lambda: not app.doors.runtime.handlers.busy)
        for _ in range(5):
            green.sleep(0)
        assert reader._watcher is None
        with pytest.raises(TimeoutError):
            client.receive(timeout=0.05)


def test_a_closed_reader_gives_the_address_back(door: Callable[..., Door]) -> None:
    one = door()
    one.reader.start()
    address = one.reader.address
    one.reader.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(address)
        assert again.getsockname() == address
