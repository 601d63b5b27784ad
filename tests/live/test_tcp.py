"""TCP servers and the tools of other people: socat, nc, openssl, and the kernel."""

from __future__ import annotations

import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from greenimi import IConnection, on, tcp
from greenimi.errors import ConnectionClosed
from greenimi.servers.stream import StreamConnection
from greenimi.servers.tcp import TcpServer
from greenimi.testing.clients import MessageClient
from greenimi.testing.plugin import Serve, Served
from greenimi.testing.support import wait_until
from tests.certificates import certificates

pytestmark = pytest.mark.live

FILES = certificates()
TLS: dict[str, Any] = {"certificate": FILES.file("server.pem"), "key": FILES.file("server.key")}


@tcp(server=("till", "scale"))
class Till:
    @on("echo")
    def echo(self, text: str) -> str:
        return text

    @on("listen")
    def listen(self, connection: IConnection) -> str:
        return "listening"

    @on("flood")
    def flood(self, connection: IConnection) -> str:
        return "x" * 900_000


@pytest.fixture
def start(serve: Serve) -> Any:
    def start(**settings: Any) -> Served:
        return serve([Till], {"servers": {"till": {"kind": "tcp", **settings}, "scale": {"kind": "tcp", "framing": "length32"}}})

    return start


def till(served: Served) -> TcpServer:
    found = served.app.doors.servers["till"]
    assert isinstance(found, TcpServer)
    return found


def only(served: Served) -> StreamConnection:
    wait_until(lambda: len(till(served).connections) == 1)
    (connection,) = till(served).connections
    return connection


def at(served: Served, server: str = "till") -> str:
    host, port = served.addresses[server]
    return f"{host}:{port}"


def run(*command: str, data: bytes = b"") -> bytes:
    return subprocess.run(command, input=data, capture_output=True, timeout=20, check=True).stdout


def test_who_sends_ends_and_waits_gets_every_answer(start: Any) -> None:
    served = start()
    lines = b"".join(b'{"action":"echo","text":"%d","id":%d}\n' % (number, number) for number in range(1000))
    wanted = b"".join(b'{"id":%d,"result":"%d"}\n' % (number, number) for number in range(1000))
    assert run("socat", "-t20", "-", f"TCP:{at(served)}", data=lines) == wanted
    host, port = served.addresses["till"]
    assert run("nc", "-N", host, str(port), data=lines) == wanted


def test_who_ended_its_side_listens_on(start: Any) -> None:
    """Until the server closes: socat's own patience (-t) would end it after 20 seconds."""
    served = start(half_close=100)
    listening = subprocess.Popen(
        ["socat", "-t20", "-", f"TCP:{at(served)}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert listening.stdin is not None
        assert listening.stdout is not None
        listening.stdin.write(b'{"action":"listen"}\n')
        listening.stdin.close()
        assert listening.stdout.readline() == b'"listening"\n'
        connection = only(served)
        wait_until(lambda: connection.codec.ended)
        for number in range(3):
            assert connection.send(number)
            assert listening.stdout.readline() == b"%d\n" % number
        connection.close()
        assert listening.stdout.read() == b""
        assert listening.wait(5) == 0
    finally:
        listening.kill()
        listening.wait()


def test_packets_of_a_length_by_shell_tools(start: Any) -> None:
    served = start()
    message = b'{"action":"echo","text":"x"}'
    answer = run("socat", "-t20", "-", f"TCP:{at(served, 'scale')}", data=len(message).to_bytes(4, "big") + message)
    assert answer == b'\x00\x00\x00\x03"x"'


def test_a_device_in_a_shell_replies_to_a_request(start: Any, tmp_path: Path) -> None:
    served = start()
    script = r"""sed -u -n 's/.*"id":"\([0-9a-f]*\)".*/{"id":"\1","result":{"volts":12}}/p'"""
    (tmp_path / "device.sh").write_text(script)
    with subprocess.Popen(["socat", f"TCP:{at(served)}", "EXEC:sh device.sh"], cwd=tmp_path) as device:
        try:
            assert only(served).request({"action": "measure"}, timeout=10) == {"volts": 12}
        finally:
            device.terminate()


# -- TLS -----------------------------------------------------------------------------------------------------------


def test_openssl_speaks_lines(start: Any) -> None:
    served = start(tls=TLS)
    with subprocess.Popen(
        ["openssl", "s_client", "-quiet", "-connect", at(served), "-CAfile", FILES.file("ca.pem"), "-servername", "localhost"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(b'{"action":"echo","text":"x"}\n')
        client.stdin.flush()
        assert client.stdout.readline() == b'"x"\n'
        connection = only(served)
        assert connection.secure
        connection.send("pushed")
        assert client.stdout.readline() == b'"pushed"\n'
        connection.close()
        assert client.stdout.read() == b""
        client.stdin.close()


class HalfClosing:
    """A TLS client that says close_notify and goes on reading, which the sockets of the standard library do not."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.sock = socket.create_connection(address, 5)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(cafile=FILES.file("ca.pem"))
        self._session = context.wrap_bio(self._in, self._out, server_hostname="localhost")
        self._do(self._session.do_handshake)

    def _do(self, step: Any, *arguments: Any) -> Any:
        while True:
            try:
                return step(*arguments)
            except ssl.SSLWantReadError:
                self._flush()
                data = self.sock.recv(65536)
                if not data:
                    return b""
                self._in.write(data)
            finally:
                self._flush()

    def _flush(self) -> None:
        data = self._out.read()
        if data:
            self.sock.sendall(data)

    def send(self, data: bytes) -> None:
        self._do(self._session.write, data)

    def end(self) -> None:
        try:
            self._session.unwrap()
        except ssl.SSLWantReadError:  # it would wait for the server's
            self._flush()

    def raw(self) -> bytes:
        """What comes, still encrypted."""
        return self.sock.recv(65536)


def test_who_said_goodbye_in_tls_still_gets_its_answers(start: Any) -> None:
    served = start(tls=TLS)
    client = HalfClosing(served.addresses["till"])
    with client.sock:
        client.send(b'{"action":"echo","text":"x"}\n' * 100)
        client.end()
        found = b""
        while data := client.raw():
            found += data
    assert len(found) > 400, "one hundred answers of four bytes"


def test_who_said_goodbye_in_tls_listens_on(start: Any) -> None:
    served = start(tls=TLS, half_close=100)
    client = HalfClosing(served.addresses["till"])
    with client.sock:
        connection = only(served)
        client.end()
        wait_until(lambda: connection.codec.ended)
        assert connection.is_open
        assert connection.send("pushed")
        assert len(client.raw()) > len("pushed")
    wait_until(lambda: not connection.send("x"))


# -- deadlines -----------------------------------------------------------------------------------------------------


def pass_seconds(served: Served, seconds: float) -> None:
    """As if so much time had passed."""
    server = till(served)
    server.sweep(server.runtime.now + seconds)


def test_silence_ends_a_connection(start: Any) -> None:
    served = start(idle=20)
    with MessageClient(served.addresses["till"]) as client:
        assert client.request("echo", text="x") == "x"
        pass_seconds(served, 15)
        assert client.request("echo", text="x") == "x"
        pass_seconds(served, 30)
        assert only(served).is_open, "it was heard of later than the clock said"
        pass_seconds(served, 60)
        with pytest.raises(ConnectionClosed):
            client.receive()


def test_half_a_packet_has_its_time(start: Any) -> None:
    served = start(body_time=20)
    with MessageClient(served.addresses["till"]) as client:
        client._sock.sendall(b'{"action":')
        wait_until(lambda: only(served).codec.partial)
        pass_seconds(served, 15)
        assert only(served).is_open
        pass_seconds(served, 30)
        with pytest.raises(ConnectionClosed):
            client.receive()


def test_who_does_not_read_is_cut(start: Any) -> None:
    served = start(write_time=20)
    with MessageClient(served.addresses["till"]) as client:
        for _ in range(20):
            client.send({"action": "flood"})
        connection = only(served)
        wait_until(lambda: connection._outbox is not None)
        pass_seconds(served, 15)
        assert till(served).connections
        pass_seconds(served, 100)
        assert not connection.is_open
        assert not till(served).connections


def test_the_kernel_is_told_how_to_look_after_connections(start: Any) -> None:
    served = start(tcp_keepalive={"idle": 30, "interval": 5, "count": 3})
    with MessageClient(served.addresses["till"]):
        sock = only(served)._sock
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        assert [sock.getsockopt(socket.IPPROTO_TCP, name) for name in names] == [30, 5, 3]
