from __future__ import annotations

from typing import Any

import pytest

from greenimi.codec.payload import Json, MsgPack, Raw, Text
from greenimi.hub.outgoing import Outgoing, envelope
from greenimi.message import Reply
from tests.hub.joined import Lines


class Counting(Json):
    """Counts what it encodes."""

    def __init__(self) -> None:
        super().__init__()
        self.encoded = 0

    def encode(self, value: Any) -> bytes:
        self.encoded += 1
        return super().encode(value)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (envelope(5, None), 5),
        (envelope(None, "e"), {"event": "e", "data": None}),
        (envelope(5, None, "room", 7), {"data": 5, "group": "room", "offset": 7}),
        (envelope(5, "e", "room", 7), {"event": "e", "data": 5, "group": "room", "offset": 7}),
        (envelope(5, "$join", "room"), {"event": "$join", "data": 5, "group": "room"}),
    ],
)
def test_what_goes_over_the_wire(found: Any, wanted: Any) -> None:
    assert found == wanted


def test_encoded_once_for_a_payload_framed_once_for_a_dialect() -> None:
    payload = Counting()
    one, two = Lines(), Lines()
    one.payload = two.payload = payload
    message = Outgoing({"a": 1})
    assert [message.framed(dialect) for dialect in (one, two, one, two)] == [b'{"a":1}\n'] * 4
    assert (payload.encoded, one.framed, two.framed) == (1, 1, 1)


def test_what_one_dialect_cannot_tell_others_can() -> None:
    message = Outgoing({"a": 1})
    text, json = Lines("text"), Lines()
    assert message.framed(text) is None
    assert isinstance(message.error, TypeError)
    assert message.framed(json) == b'{"a":1}\n'
    assert message.framed(text) is None


def test_what_the_protocol_cannot_carry() -> None:
    class Narrow(Lines):
        def frame(self, encoded: bytes) -> bytes:
            raise ValueError("too large")

    message = Outgoing("x" * 100)
    assert message.framed(Narrow()) is None
    assert str(message.error) == "too large"


@pytest.mark.parametrize(("raw", "line"), [("tëxt", "tëxt\n".encode()), (b"\xff", b"\xff\n")])
def test_reply_goes_as_it_is(raw: str | bytes, line: bytes) -> None:
    assert Outgoing(Reply(raw)).framed(Lines()) == line


def test_reply_in_parts_is_for_its_own_client() -> None:
    with pytest.raises(TypeError, match="one client only"):
        Outgoing(Reply(iter(["a", "b"])))


def test_bodies_for_other_processes() -> None:
    payloads: list[Any] = [Json(), MsgPack(), Text(), Raw()]
    assert Outgoing("x").bodies(payloads) == {"json": b'"x"', "msgpack": b"\xa1x", "text": b"x"}
    with pytest.raises(TypeError, match="object"):
        Outgoing(object()).bodies(payloads)


def test_bodies_from_another_process_are_not_made_again() -> None:
    payload = Counting()
    dialect = Lines()
    dialect.payload = payload
    assert Outgoing(bodies={"json": b"[1]"}).framed(dialect) == b"[1]\n"
    assert not payload.encoded


def test_payload_that_the_sender_had_no_use_for() -> None:
    """A connection may have changed its payload: of what did come the data are read."""
    assert Outgoing(bodies={"json": b"[1]"}, known={"json": Json()}).framed(Lines("msgpack")) == b"\x91\x01\n"
    assert Outgoing(value=b"\x91\x01").framed(Lines()) == b"[1]\n"


def test_payload_that_nobody_can_read() -> None:
    known: dict[str, Any]
    for known in ({}, {"own": MsgPack()}):
        message = Outgoing(bodies={"own": b"\xc1"}, known=known)
        assert message.framed(Lines()) is None
        assert "none of the payloads" in str(message.error)


def test_value_for_processes_with_payloads_when_this_one_has_none() -> None:
    message = Outgoing([1])
    assert message.value() == message.value() == b"\x91\x01"
    with pytest.raises(TypeError):
        Outgoing(object()).value()
