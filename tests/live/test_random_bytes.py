"""Random bytes on every door.  Whatever they are, a good client is served beside them and nothing is left behind."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.live.support import Raw, Service, Watch, frame, handshake, message, packet, request, shake

pytestmark = pytest.mark.live

fuzz = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

GOOD = message(action="echo", text="x", id=1)
REQUESTS = [
    request("/hello/x"),
    request("/echo", "Content-Type: application/json", method="POST", body=b'{"a": [1, 2]}'),
    request("/size", "Transfer-Encoding: chunked", method="POST") + b"5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n",
    request("/size", "Expect: 100-continue", "Content-Length: 3", method="POST") + b"abc",
    request("/size", "Content-Type: multipart/form-data; boundary=x", method="POST", body=b"--x\r\n\r\n--x--"),
    handshake() + frame(1, GOOD),
]


@st.composite
def damaged(draw: st.DrawFn, good: list[bytes]) -> bytes:
    """Something good with some of its bytes changed, taken out or put in."""
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(good), min_size=1, max_size=3))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        piece = draw(st.one_of(st.binary(max_size=3), st.sampled_from([b"\r\n", b"\n", b"\0", b" ", b":", b"\r\n\r\n", b"\xff" * 8])))
        data[at : at + draw(st.integers(0, 3))] = piece
    return bytes(data)


def bytes_for(good: list[bytes]) -> st.SearchStrategy[bytes]:
    return st.one_of(st.binary(max_size=300), damaged(good), st.binary(min_size=1, max_size=3).map(lambda part: part * 2000))


def throw(link: Raw, data: bytes) -> None:
    """Send, end our side, read until the server has ended its own.  TimeoutError when it does not."""
    with link:
        link.send(data)
        try:
            link.end().rest()
        except ConnectionError:  # it had enough: over a mebibyte unread, or gone already
            pass
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise


@pytest.fixture
def undisturbed(watch: Watch, service: Service) -> Iterator[Watch]:
    """No example may leave a traceback."""
    yield watch
    assert watch.lines("Traceback") == []


@fuzz
@given(data=bytes_for(REQUESTS))
def test_http(service: Service, undisturbed: Watch, data: bytes) -> None:
    throw(service.link("web"), data)
    service.neighbour.ask()
    assert len(service.gunicorn.booted) == 1


@fuzz
@given(
    data=bytes_for(
        [frame(1, GOOD), frame(2, GOOD), frame(9, b"x"), frame(1, GOOD[:5], final=False) + frame(0, GOOD[5:]), frame(8, b"\x03\xe8")]
    )
)
def test_websocket(service: Service, undisturbed: Watch, data: bytes) -> None:
    throw(shake(service.link("web")), data)
    service.neighbour.ask()
    assert len(service.gunicorn.booted) == 1


@fuzz
@given(data=bytes_for([GOOD + b"\n", b'{"action": "add", "one": 1}\n', b"\n"]))
def test_tcp_lines(service: Service, undisturbed: Watch, data: bytes) -> None:
    throw(service.link("till"), data)
    service.neighbour.ask()
    assert len(service.gunicorn.booted) == 1


@fuzz
@given(data=bytes_for([packet(GOOD), packet(b""), packet(b"{}")]))
def test_tcp_packets(service: Service, undisturbed: Watch, data: bytes) -> None:
    throw(service.link("scale"), data)
    service.neighbour.ask()
    assert len(service.gunicorn.booted) == 1


@fuzz
@given(data=bytes_for([GOOD, b'{"action": "add", "one": 1}']))
def test_udp(service: Service, undisturbed: Watch, data: bytes) -> None:
    with service.link("beacon", socket.SOCK_DGRAM) as link:
        link.sock.send(data)
    service.neighbour.ask()
    assert len(service.gunicorn.booted) == 1
