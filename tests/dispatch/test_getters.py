"""One argument out of one request, by the shortest way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pytest
from pydantic import BaseModel

from greenimi import Body, Request
from greenimi.codec.payload import MsgPack
from greenimi.dispatch.getters import Parameter, from_body, from_message_field, has_body, is_json, takes_many
from greenimi.errors import BadMessage, Refusal
from greenimi.message import Message
from greenimi.validate import BindError, rules
from greenimi.validate.shapes import shape_of

LINK: Any = object()
JSON = "application/json"


@dataclass
class Line:
    sku: Annotated[str, rules.Text(max=3)]
    pieces: int = 1


class Model(BaseModel):
    sku: str
    pieces: int


def request(body: bytes | None, kind: str = JSON) -> Request:
    found = Request("POST", "/", "/", "", f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n\r\n", connection=LINK)
    if body is not None:
        found.stream = Body()
        found.stream.feed(body)
        found.stream.finish()
    return found


def payload(annotation: Any, **more: Any) -> Parameter:
    return Parameter("payload", "payload", "payload", annotation, "default" not in more, **more)


def problems(parameter: Parameter, found: Request) -> list[tuple[str, str, str]]:
    with pytest.raises(BindError) as caught:
        from_body(parameter)(found)
    return [(problem.path, problem.source, problem.text) for problem in caught.value.problems]


@pytest.mark.parametrize("kind", [JSON, f"{JSON}; charset=utf-8", "application/order+json", "Application/JSON"])
def test_json_becomes_what_is_declared(kind: str) -> None:
    assert from_body(payload(Line))(request(b'{"sku": "tea"}', kind)) == Line("tea")
    assert problems(payload(Line), request(b'{"sku": "coffee", "pieces": 1}', kind)) == [
        ("sku", "body", "must be text of at most 3 characters")
    ]
    assert problems(payload(Line), request(b'{"pieces": "1"}', kind)) == [
        ("sku", "body", "is missing"),
        ("pieces", "body", "Expected `int`, got `str`"),
    ]


def test_json_goes_to_its_type_without_a_dict_in_between() -> None:
    found = request(b'{"sku": "tea"}')
    assert from_body(payload(Line))(found) == Line("tea")
    assert found.data is None  # whoever wants it as data gets it decoded then


def test_what_somebody_decoded_already_is_used() -> None:
    found = request(b'{"sku": "tea"}')
    found.data = {"sku": "jam"}
    assert from_body(payload(Line))(found) == Line("jam")


def test_messagepack() -> None:
    found = request(MsgPack().encode({"sku": "tea", "pieces": "2"}), "application/msgpack")
    assert problems(payload(Line), found) == [("pieces", "body", "Expected `int`, got `str`")]


def test_models_of_pydantic() -> None:
    assert from_body(payload(Model))(request(b'{"sku": "tea", "pieces": "2"}')) == Model(sku="tea", pieces=2)
    assert problems(payload(Model), request(b'{"pieces": "x"}')) == [
        ("sku", "body", "Field required"),
        ("pieces", "body", "Input should be a valid integer, unable to parse string as an integer"),
    ]


@pytest.mark.parametrize("body", [b"{", b"", b'{"sku": "\xff"}', b"[" * 100_000, b'{"sku": NaN}', b"9" * 5000, b'{"sku": "tea"} x'])
def test_what_cannot_be_read(body: bytes) -> None:
    with pytest.raises(BadMessage):
        from_body(payload(Line))(request(body))


def test_of_a_key_that_comes_twice_the_last_counts() -> None:
    assert from_body(payload(Line))(request(b'{"sku": "a", "sku": "b"}')) == Line("b")


def test_no_body() -> None:
    assert problems(payload(Line), request(None)) == [("payload", "body", "is missing")]
    assert from_body(payload(Line, default=None))(request(None)) is None
    assert from_body(payload(bytes))(request(None, "")) == b""
    assert not has_body(request(None))
    assert has_body(request(b""))


def test_a_field_of_a_message() -> None:
    get = from_message_field(Parameter("sku", "field", "sku", str, required=False, default="none"))
    found = Message(b"", LINK)
    for data, value in (({"sku": "tea"}, "tea"), ({}, "none"), ([], "none"), (None, "none")):
        found.data = data
        assert get(found) == value


def test_kinds() -> None:
    assert is_json(JSON)
    assert is_json(f"{JSON};charset=utf-8")
    assert not is_json("application/jsonlines")
    assert takes_many(shape_of(list[int] | None))
    assert not takes_many(shape_of(dict[str, int]))


def test_structs_may_forbid_what_they_do_not_know() -> None:
    class Strict(msgspec.Struct, forbid_unknown_fields=True):
        sku: str

    assert problems(payload(Strict), request(b'{"sku": "tea", "x": 1}')) == [("x", "body", "is not known here")]


@pytest.mark.parametrize("kind", ["application/xml", "text/csv", "application/octet-stream"])
def test_a_body_of_a_type_that_is_not_decoded_is_no_record(kind: str) -> None:
    with pytest.raises(Refusal) as caught:
        from_body(payload(Line))(request(b'{"sku": "tea"}', kind))
    assert caught.value.status == 415
    assert caught.value.text == f"the body is of the type {kind}; what is wanted here is application/json"
    assert from_body(payload(bytes | str))(request(b"tea", kind)) in (b"tea", "tea")


def test_a_content_coding_is_told_from_the_bytes_that_it_hides() -> None:
    found = request(b'{"sku": "tea"}', f"{JSON}\r\nContent-Encoding: gzip")
    with pytest.raises(Refusal) as caught:
        from_body(payload(Line))(found)
    assert caught.value.status == 415
