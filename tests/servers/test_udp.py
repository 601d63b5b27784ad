"""UDP: each datagram has its own answer, and none waits for another."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from greenimi.app import App
from greenimi.servers.udp import UdpPeer, UdpServer
from greenimi.testing.clients import DatagramClient
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


def test_a_peer_is_what_a_handler_may_send_to(app: App) -> None:
    with DatagramClient(app, "beacon") as client:
        client.send({"action": "tell", "text": "x"})
        assert client.receive() == {"told": "x"}
        peer = UdpPeer(server(app), client._sock.getsockname())
        assert peer.id.endswith(f"-beacon-127.0.0.1:{client._sock.getsockname()[1]}")
        assert peer.is_open
        peer.data["x"] = 1
        assert peer.data == {"x": 1}
        peer.close()
        assert peer.send("still there")
        assert client.receive() == "still there"


def test_an_answer_that_fits_no_datagram_is_not_sent(app: App, caplog: pytest.LogCaptureFixture) -> None:
    with DatagramClient(app, "beacon") as client:
        peer = UdpPeer(server(app), client._sock.getsockname())
        assert not peer.send("x" * 70000)
        assert "70002 bytes does not fit" in caplog.text


def test_an_answer_to_nowhere_is_logged(app: App, caplog: pytest.LogCaptureFixture) -> None:
    with DatagramClient(app, "beacon"):
        assert not UdpPeer(server(app), ("127.0.0.1", 0)).send("x")
        assert "no answer to" in caplog.text


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
