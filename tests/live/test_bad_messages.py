"""Nonsense at the doors of messages: WebSocket, TCP and UDP."""

from __future__ import annotations

import json
import socket
from unittest.mock import ANY

import pytest

from tests.live.support import (
    BINARY,
    CLOSE,
    TEXT,
    Service,
    Watch,
    close_code,
    frame,
    handshake,
    message,
    packet,
    read_frame,
    response,
    shake,
)

pytestmark = pytest.mark.live

CONTINUATION, PING = 0, 9
GOOD = message(action="echo", text="x", id=1)
ANSWER = {"id": 1, "result": {"text": "x"}}
AFTER = frame(TEXT, GOOD)

BAD_FRAMES = {
    "no mask": (frame(TEXT, GOOD, masked=False), 1002),
    "no mask, long": (frame(TEXT, b"x" * 200, masked=False), 1002),
    "first reserved bit": (frame(TEXT, GOOD, reserved=4), 1002),
    "last reserved bit": (frame(TEXT, GOOD, reserved=1), 1002),
    "unknown opcode": (frame(3, GOOD), 1002),
    "unknown control opcode": (frame(11), 1002),
    "ping in pieces": (frame(PING, b"x", final=False), 1002),
    "ping too large": (frame(PING, b"x" * 126), 1002),
    "continuation of nothing": (frame(CONTINUATION, GOOD), 1002),
    "message inside a message": (frame(TEXT, b"{", final=False) + frame(TEXT, GOOD), 1002),
    "size in too many bytes": (b"\x81\xfe\x00\x05" + bytes(4) + b"hello", 1002),
    "size of 64 bits": (b"\x82\xff" + b"\xff" * 8 + bytes(4), 1009),
    "frame too large": (frame(BINARY, size=10_001), 1009),
    "message too large": (frame(BINARY, b"x" * 6000, final=False) + frame(CONTINUATION, b"x" * 6000), 1009),
    "text not UTF-8": (frame(TEXT, b"\xff\xfe"), 1007),
    "half a character": (frame(TEXT, "ä".encode()[:1]), 1007),
    "surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "not UTF-8 before the message is complete": (frame(TEXT, b"\xff", final=False), 1007),
    "close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "close with a code of nobody": (frame(CLOSE, (999).to_bytes(2, "big")), 1002),
    "close with a code that is never sent": (frame(CLOSE, (1006).to_bytes(2, "big")), 1002),
    "close with a reason not UTF-8": (frame(CLOSE, (1000).to_bytes(2, "big") + b"\xff"), 1007),
}


@pytest.mark.parametrize("tail", [b"", AFTER], ids=["alone", "with-more"])
@pytest.mark.parametrize(("data", "code"), BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_a_websocket_is_closed_with_its_code(service: Service, watch: Watch, data: bytes, code: int, tail: bytes) -> None:
    with service.link("web") as link:
        assert close_code(shake(link).send(data + tail)) == code
    assert "of web from" in watch.one_line()


def test_messages_before_the_bad_one_are_answered(service: Service, watch: Watch) -> None:
    with service.link("web") as link:
        shake(link).send(AFTER * 3 + frame(3) + AFTER)
        assert [json.loads(read_frame(link)[1]) for _ in range(3)] == [ANSWER] * 3
        assert close_code(link) == 1002


def test_a_bad_frame_right_behind_the_handshake(service: Service, watch: Watch) -> None:
    with service.link("web") as link:
        assert response(link.send(handshake() + frame(3)))[0] == 101
        assert close_code(link) == 1002


def test_bytes_where_only_text_is_understood(service: Service, watch: Watch) -> None:
    with service.link("web") as link:
        assert close_code(shake(link, "/text").send(frame(BINARY, b"\xff"))) in (1003, 1007)
    watch.one_line()


def test_an_error_while_opening(service: Service, watch: Watch) -> None:
    watch.tracebacks = 1
    with service.link("web") as link:
        assert close_code(shake(link, "/trap").send(AFTER)) == 1011
    assert len(watch.lines("Mistake: the secret is 42")) == 1


def test_a_client_that_goes_without_a_word(service: Service, watch: Watch) -> None:
    for data in (b"", frame(TEXT, b"{", final=False), frame(TEXT, GOOD)[:7]):
        with service.link("web") as link:
            shake(link).send(data)
    assert watch.lines("Traceback") == []


# -- well-formed but wrong: the connection lives on ------------------------------------------------------------------------
WRONG = [
    (b"{", 400),
    (b"[" * 900, 400),
    (b"\0", 400),
    (b"[1, 2]", 404),
    (b"17", 404),
    (message(text="x"), 404),
    (message(action="nothing"), 404),
    (message(action=["echo"]), 404),
    (message(action={"echo": 1}), 404),
    (message(action="add", one=1), 422),
    (message(action="add", one=1, two="x"), 422),
]
FAIL = message(action="fail", id=7)


class Chat:
    """A door of messages, whatever the way they are cut."""

    def __init__(self, service: Service, door: str) -> None:
        self._door = door
        self._link = service.link("web" if door == "chat" else door, socket.SOCK_DGRAM if door == "beacon" else socket.SOCK_STREAM)
        if door == "chat":
            shake(self._link)

    def __enter__(self) -> Chat:
        return self

    def __exit__(self, *error: object) -> None:
        self._link.sock.close()

    def ask(self, payload: bytes) -> dict[str, object]:
        link = self._link
        if self._door == "chat":
            answer = read_frame(link.send(frame(BINARY, payload)))[1]
        elif self._door == "till":
            answer = link.send(payload + b"\n").until(b"\n")
        elif self._door == "scale":
            answer = link.send(packet(payload)).receive(int.from_bytes(link.receive(4), "big"))
        else:
            answer = link.send(payload).sock.recv(65536)
        found: dict[str, object] = json.loads(answer)
        return found


@pytest.mark.parametrize("door", ["chat", "till", "scale"])
def test_messages_that_nobody_understands(service: Service, watch: Watch, door: str) -> None:
    with Chat(service, door) as chat:
        for payload, code in [*WRONG, (b'{"action": "echo", "text": "\xff"}', 400)]:
            answer = chat.ask(payload)
            assert isinstance(answer["error"], dict)
            assert answer["error"]["code"] == code, (payload, answer)
            assert chat.ask(GOOD) == ANSWER


def test_lists_in_lists_without_end(service: Service, watch: Watch) -> None:
    with Chat(service, "chat") as chat:
        assert chat.ask(b"[" * 9000)["error"] == {"code": 400, "message": ANY}
        assert chat.ask(GOOD) == ANSWER


@pytest.mark.parametrize("door", ["chat", "till", "scale", "beacon"])
def test_a_handler_that_raises(service: Service, watch: Watch, door: str) -> None:
    watch.tracebacks = 1
    with Chat(service, door) as chat:
        assert chat.ask(FAIL) == {"id": 7, "error": {"code": 500, "message": "the server failed"}}
        assert chat.ask(GOOD) == ANSWER
    assert len(watch.lines("Mistake: the secret is 42")) == 1


# -- packets ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("door", "data"),
    [
        ("till", b"x" * 1001 + b"\n"),
        ("till", b"x" * 5000),
        ("till", b"\0" * 70000),
        ("scale", packet(b"x" * 1001)),
        ("scale", b"\xff\xff\xff\xff"),
        ("scale", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ],
)
def test_a_packet_over_the_limit_ends_the_connection(service: Service, watch: Watch, door: str, data: bytes) -> None:
    good = GOOD + b"\n" if door == "till" else packet(GOOD)
    with service.link(door) as link:
        answer = link.send(good + data + good).rest()
    assert answer.count(b'"result"') == 1, answer
    assert f"of {door} from" in watch.one_line("limit of 1000 bytes")


@pytest.mark.parametrize(("door", "data"), [("till", b'{"action": "ec'), ("scale", packet(GOOD)[:9]), ("scale", b"\0\0")])
def test_a_client_that_ends_in_the_middle_of_a_packet(service: Service, watch: Watch, door: str, data: bytes) -> None:
    with service.link(door) as link:
        assert link.send(data).end().rest() == b""
    assert f"of {door} from" in watch.one_line("the middle of a packet")


def test_a_datagram_over_the_limit_is_dropped(service: Service, watch: Watch) -> None:
    with service.link("beacon", socket.SOCK_DGRAM) as link:
        link.send(b"x" * 1001).send(GOOD)
        assert json.loads(link.sock.recv(65536)) == ANSWER
    assert "server beacon" in watch.one_line("over the limit of 1000 bytes")


@pytest.mark.parametrize("payload", [b"", *(payload for payload, _ in WRONG if b'"id"' not in payload)])
def test_datagrams_that_nobody_understands_are_not_answered(service: Service, watch: Watch, payload: bytes) -> None:
    """A forged sender must not get a word of it."""
    with service.link("beacon", socket.SOCK_DGRAM) as link:
        link.sock.send(payload)
        link.sock.send(GOOD)
        assert json.loads(link.sock.recv(65536)) == ANSWER
