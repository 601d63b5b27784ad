"""What handlers return, as responses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec
import pytest

from greenimi.message import Request, Response
from greenimi.web.response import BYTES, JSON, TEXT, render, respond


@dataclass
class Order:
    sku: str


class Line(msgspec.Struct):
    number: int


class Colour(Enum):
    RED = "red"


class Markup(str):
    """What template engines return."""

    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "body", "kind"),
    [
        ("ä", "ä", TEXT),
        ("", "", TEXT),
        (b"\x00", b"\x00", BYTES),
        ({"a": 1}, b'{"a":1}', JSON),
        ([], b"[]", JSON),
        ((1, 2), b"[1,2]", JSON),
        (0, b"0", JSON),
        (False, b"false", JSON),
        (1.5, b"1.5", JSON),
        (Order("x"), b'{"sku":"x"}', JSON),
        (Line(1), b'{"number":1}', JSON),
        (Colour.RED, b'"red"', JSON),
    ],
)
def test_values_by_type(value: Any, body: bytes | str, kind: str) -> None:
    found = render(value)
    assert (found.status, found.body, found.content_type) == (200, body, kind)


def test_none_is_no_content() -> None:
    found = render(None)
    assert (found.status, found.body, found.content_type) == (204, b"", "")


def test_a_response_stays_as_it_is() -> None:
    class Special(Response):
        __slots__ = ()

    for response in (Response("x", 201), Special("x")):
        assert render(response) is response


def test_an_iterator_is_sent_as_it_comes() -> None:
    made: list[int] = []

    def parts() -> Any:
        made.append(1)
        yield "x"

    generator = parts()
    found = render(generator)
    assert found.body is generator
    assert not made
    assert (found.status, found.content_type) == (200, TEXT)


def test_a_text_of_a_class_of_its_own_is_text() -> None:
    found = render(Markup("<b>"))
    assert (found.body, found.content_type) == ("<b>", TEXT)


@pytest.mark.parametrize("value", [object(), {1j}, [object()]])
def test_what_json_cannot_tell_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError):
        render(value)


def test_a_value_with_a_status_and_fields() -> None:
    found = respond({"id": 7}, 201, [("Location", "/orders/7")])
    assert (found.status, found.body, found.content_type, found.headers) == (201, b'{"id":7}', JSON, (("Location", "/orders/7"),))
    assert (respond("x", 404).content_type, respond(None, 202).body) == (TEXT, b"")


class Asked(Response):
    """Another one for each request."""

    def answer(self, request: Request) -> Response:
        return Response(request.path)


def test_what_depends_on_the_request_is_made_at_the_end() -> None:
    request = Request("GET", "/x", "/x", "", "")
    asked = Asked("not this")
    assert render(asked) is asked
    assert render(asked, request).body == "/x"
    plain = Response("this")
    assert render(plain, request) is plain
