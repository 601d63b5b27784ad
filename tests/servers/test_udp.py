"""UDP: each datagram has its own answer, and none waits for another."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from greenimi import Reply, on, udp
from greenimi.app import App
from greenimi.servers.peers import UdpPeer
from greenimi.servers.udp import UdpServer
from greenimi.testing.clients import DatagramClient, RequestFailed
from greenimi.testing.plugin import AppFactory, Serve
from greenimi.testing.support import wait_until
from tests.apps.echo import Stage

Make = Callable[..., App]


def server(app: App) -> UdpServer:
    found = app.doors.servers["beacon"]
    assert isinstance(found, UdpServer)
    return found


def test_each_sender_gets_its_own_answer(app: App) -> None:
    with DatagramClient(app, "beacon") as one, DatagramClient(app, "beacon") as two:
        one.send({"action": "echo", "text": "1"})
        two.send({"action": "echo", "text": "2"})
        assert (two.receive(), one.receive()) == ({"text": "2"}, {"text": "1"})


def test_a_slow_handler_does_not_delay_others(app: App, stage: Stage) -> None:
    with DatagramClient(app, "beacon") as slow, DatagramClient(app, "beacon") as fast:
        slow.send({"action": "wait"})
        wait_until(lambda: stage.waiting)
        assert fast.request("echo", text="x") == {"text": "x"}
        assert slow.request("echo", text="y") == {"text": "y"}
        stage.gate.set()
        assert slow.receive() == "waited"


def test_datagrams_wait_in_the_kernel_while_no_greenlet_is_free(make_echo: Make) -> None:
    app = make_echo(handlers=2)
    stage = app.container.get(Stage)
    with DatagramClient(app, "beacon") as client:
        for number in range(5):
            client.send({"action": "wait", "id": number})
        wait_until(lambda: stage.waiting == 2)
        assert app.doors.runtime.handlers.waiting == 0
        stage.gate.set()
        assert sorted(client.receive()["id"] for _ in range(5)) == list(range(5))


def test_errors_are_told_to_those_who_ask_with_an_id(app: App) -> None:
    with DatagramClient(app, "beacon") as client:
        client.send({"action": "fail", "id": 1})
        assert client.receive() == {"id": 1, "error": {"code": 500, "message": "the server failed"}}


@pytest.mark.parametrize("data", [b"\xff", b"", b"{}", b'{"action":"fail"}', b'{"id":1,"error":{}}', b'{"id":1,"result":2}'])
def test_no_error_is_sent_unasked_or_in_answer_to_an_answer(app: App, data: bytes) -> None:
    """Else one forged datagram would set two servers to answering each other for ever."""
    with DatagramClient(app, "beacon") as client:
        client.send_raw(data)
        assert client.request("echo", text="next") == {"text": "next"}


def test_a_datagram_over_the_limit_is_dropped(make_echo: Make) -> None:
    app = make_echo(beacon={"max_message": 100})
    with DatagramClient(app, "beacon") as client:
        client.send({"action": "echo", "text": "x" * 100})
        assert client.request("echo", text="small") == {"text": "small"}


@udp
class Mirror:
    @on.default
    def echo(self, payload: bytes) -> bytes:
        return payload


@pytest.mark.parametrize("size", [0, 1, 65507])
def test_a_datagram_goes_through_whole(app_factory: AppFactory, size: int) -> None:
    app = app_factory([Mirror], {"servers": {"mirror": {"kind": "udp", "payload": "raw"}}})
    with DatagramClient(app, "mirror") as client:
        client.send_raw(b"x" * size)
        assert client.receive() == b"x" * size


def test_socat_sends_and_gets_64_kib(serve: Serve) -> None:
    app, addresses = serve([Mirror], {"servers": {"mirror": {"kind": "udp", "payload": "raw"}}})
    command = ["socat", "-b", "70000", "-t", "5", "-", "UDP4:{}:{},shut-none".format(*addresses["mirror"])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as socat:
        assert socat.stdin is not None
        assert socat.stdout is not None
        for size in (65507, 7):
            socat.stdin.write(b"x" * size)
            socat.stdin.flush()
            assert socat.stdout.read(size) == b"x" * size
        socat.kill()
    assert app.doors.servers["mirror"].accepted_count == 2


def test_an_answer_that_fits_no_datagram_is_an_error(app: App, caplog: pytest.LogCaptureFixture) -> None:
    with DatagramClient(app, "beacon") as client:
        client.send({"action": "large", "size": 70000})
        assert client.request("large", size=65400) == "x" * 65400
        assert "a message of 70002 bytes does not fit a datagram" in caplog.text
        with pytest.raises(RequestFailed) as caught:
            client.request("large", size=70000)
        assert caught.value.status == 500


def test_a_message_that_fits_no_datagram_is_an_error_to_who_sends_it(app: App) -> None:
    with DatagramClient(app, "beacon") as client:
        client.request("echo", text="x")
        (peer,) = server(app).connections
        with pytest.raises(ValueError, match="70002 bytes does not fit a datagram"):
            peer.send("x" * 70000)
        assert peer.send(Reply("x" * 65507))
        assert client._sock.recv(70000) == b"x" * 65507


def test_an_answer_to_nowhere_is_logged(app: App, caplog: pytest.LogCaptureFixture) -> None:
    with DatagramClient(app, "beacon"):
        assert not UdpPeer(server(app), ("127.0.0.1", 0), 0).send("x")
        assert "no answer to" in caplog.text


def test_what_the_socket_does_not_take_is_dropped(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(framed: bytes, address: object) -> None:
        raise BlockingIOError

    with DatagramClient(app, "beacon") as client:
        client.request("echo", text="x")
        (peer,) = server(app).connections
        monkeypatch.setattr(server(app), "_sendto", full)
        assert not peer.send("x")
        assert server(app).dropped == 1


def test_a_drained_server_reads_no_more(app: App) -> None:
    with DatagramClient(app, "beacon") as client:
        assert client.request("echo", text="x") == {"text": "x"}
        server(app).drain()
        server(app).drain()
        client.send({"action": "echo", "text": "x"})
        with pytest.raises((TimeoutError, ConnectionRefusedError)):
            client.receive(timeout=0.05)


def test_a_waiting_handler_can_answer_while_the_server_drains(app: App, stage: Stage) -> None:
    with DatagramClient(app, "beacon") as client:
        client.send({"action": "wait"})
        wait_until(lambda: stage.waiting)
        server(app).drain()
        stage.gate.set()
        assert client.receive() == "waited"


def test_datagrams_are_counted_and_timed(make_echo: Make) -> None:
    app = make_echo(beacon={"max_message": 100})
    with DatagramClient(app, "beacon") as client:
        client.send({"action": "echo", "text": "x" * 100})
        for _ in range(3):
            assert client.request("echo", text="small") == {"text": "small"}
    found = server(app)
    assert (found.accepted_count, found.refused, found.handled, found.dropped) == (4, 1, 3, 0)
    assert found.latency.sum > 0


# -- slots ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def slots(app: App) -> Iterator[list[socket.socket]]:
    """Three sockets that other processes read as well, so that the server waits to be told which ones are its own."""
    bound = []
    for _ in range(3):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        server(app).attach(sock, share=True)
        bound.append(sock)
    yield bound
    for sock in bound:
        sock.close()


def answers(slots: list[socket.socket]) -> list[int]:
    """Which of them are read, and answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.3)
        for number, slot in enumerate(slots):
            client.sendto(b'{"action":"echo","text":"%d"}' % number, slot.getsockname())
        found = []
        with suppress(TimeoutError):
            while True:
                found.append(int(client.recv(100).split(b'"')[3]))
        return sorted(found)


def test_of_shared_slots_it_reads_those_that_it_is_told_to(app: App, slots: list[socket.socket]) -> None:
    server(app).start()
    assert answers(slots) == []
    server(app).read({0, 2})
    assert answers(slots) == [0, 2]
    assert server(app).handled == 4, "what came before it was told has waited"
    server(app).read({1})
    assert answers(slots) == [1]
    server(app).read({0, 1, 2})
    assert answers(slots) == [0, 1, 2]
    server(app).drain()
    assert answers(slots) == []


def test_a_slot_that_waits_for_a_free_handler_is_not_read_after_it_was_taken_away(make_echo: Make) -> None:
    app = make_echo(handlers=1)
    stage = app.container.get(Stage)
    with DatagramClient(app, "beacon") as client:
        client.send({"action": "wait"})
        client.send({"action": "echo", "text": "x"})
        wait_until(lambda: stage.waiting)
        server(app).read(())
        server(app).read({0})
        server(app).read(())
        stage.gate.set()
        assert client.receive() == "waited"
        with pytest.raises(TimeoutError):
            client.receive(timeout=0.1)
        server(app).read({0})
        assert client.receive() == {"text": "x"}
