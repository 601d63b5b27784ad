"""Arguments come from the message by name; what belongs to the framework by annotation only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import pytest

from greenimi import Body, Datagram, Headers, IConnection, Message, Request
from greenimi.container import Container, Scope
from greenimi.container.context import Scope as ContextScope
from greenimi.dispatch.arguments import bind_handler
from greenimi.errors import BadMessage, Refusal, StartError

LINK: Any = object()


@dataclass
class Point:
    x: int
    y: int = 0


def message(data: Any) -> Message:
    found = Message(b"", LINK)
    found.data = data
    return found


def request(
    query: str = "", body: bytes | None = None, kind: str = "application/json", params: dict[str, Any] | None = None, method: str = "POST"
) -> Request:
    found = Request(method, f"/?{query}", "/", query, f"{method} / HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n\r\n", connection=LINK)
    if body is not None:
        found.stream = Body()
        found.stream.feed(body)
        found.stream.finish()
    found.params = params or {}
    return found


def call(function: Any, found: Any, *, placeholders: tuple[str, ...] = ()) -> Any:
    bound, _ = bind_handler(function, http=isinstance(found, Request), placeholders=placeholders)
    return bound(found)


# -- message protocols ---------------------------------------------------------------------------------------------


def test_fields_by_name() -> None:
    def handler(text: str, number: int = 7, *, flag: bool = False) -> Any:
        return text, number, flag

    assert call(handler, message({"text": "x", "ignored": 1})) == ("x", 7, False)
    assert call(handler, message({"text": "x", "number": 1, "flag": True})) == ("x", 1, True)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({}, "text"),
        ({"text": 1}, "text"),
        ({"text": None}, "text"),
        ({"text": "x", "number": "1"}, "number"),
        ({"text": "x", "number": True}, "number"),
        ([], "text"),
        (None, "text"),
        ("text", "text"),
    ],
)
def test_what_cannot_be_bound_names_the_argument(data: Any, field: str) -> None:
    def handler(text: str, number: int = 7) -> None: ...

    with pytest.raises(BadMessage, match=f"argument {field}") as caught:
        call(handler, message(data))
    assert caught.value.details == {"field": field}
    assert caught.value.status == 400


def test_structured_arguments() -> None:
    def handler(
        point: Point, kind: Literal["a", "b"], tags: list[str], size: Annotated[int, msgspec.Meta(gt=0)], maybe: str | None = None
    ) -> Any:
        return point, kind, tags, size, maybe

    data = {"point": {"x": 1}, "kind": "a", "tags": ["t"], "size": 1}
    assert call(handler, message(data)) == (Point(1, 0), "a", ["t"], 1, None)
    for bad in ({"point": {"x": "1"}}, {"kind": "c"}, {"tags": [1]}, {"tags": "t"}, {"size": 0}, {"maybe": 1}):
        with pytest.raises(BadMessage, match=f"argument {next(iter(bad))}"):
            call(handler, message({**data, **bad}))


def test_payload_is_all_of_it() -> None:
    def handler(payload: Any) -> Any:
        return payload

    def typed(payload: Point) -> Any:
        return payload

    assert call(handler, message([1, 2])) == [1, 2]
    assert call(typed, message({"x": 1})) == Point(1)
    with pytest.raises(BadMessage, match="argument payload"):
        call(typed, message([1]))


# -- framework types -----------------------------------------------------------------------------------------------


def test_a_client_cannot_supply_what_belongs_to_the_framework() -> None:
    def handler(connection: IConnection, scope: Scope, container: Container, message: Message) -> Any:
        return connection, scope, container, message

    found = message({"connection": "mine", "scope": "mine", "container": "mine", "message": "mine"})
    container = Container("test")
    with ContextScope(container) as current:
        assert call(handler, found) == (LINK, current, container, found)


def test_a_client_cannot_supply_it_to_web_handlers_either() -> None:
    def handler(connection: IConnection, request: Request, headers: Headers, body: Body) -> Any:
        return connection, request, headers["host"], body.read()

    found = request("connection=mine&request=mine", b'{"headers": "mine", "body": "mine"}')
    assert call(handler, found)[:3] == (LINK, found, "x")


def test_the_name_connection_is_ordinary_without_the_annotation() -> None:
    def handler(connection: str) -> Any:
        return connection

    assert call(handler, message({"connection": "x"})) == "x"


def test_a_request_without_a_body_has_an_empty_one() -> None:
    def handler(body: Body) -> Any:
        return body.read()

    assert call(handler, request()) == b""


def test_datagrams() -> None:
    def handler(datagram: Datagram) -> Any:
        return datagram.raw

    assert call(handler, Datagram(b"x")) == b"x"


# -- HTTP ----------------------------------------------------------------------------------------------------------


def test_path_then_query_then_body() -> None:
    def handler(a: str, b: str = "none", c: str = "none") -> Any:
        return a, b, c

    found = request("a=query&b=query", b'{"a": "body", "b": "body", "c": "body"}', params={"a": "path"})
    assert call(handler, found, placeholders=("a",)) == ("path", "query", "body")


def test_texts_become_what_is_declared() -> None:
    def handler(number: int, ratio: float, flag: bool, name: str, maybe: int | None = None) -> Any:
        return number, ratio, flag, name, maybe

    assert call(handler, request("number=1&ratio=1.5&flag=true&name=1&maybe=2")) == (1, 1.5, True, "1", 2)
    form = request(body=b"number=1&ratio=1.5&flag=false&name=%C3%A4", kind="application/x-www-form-urlencoded")
    assert call(handler, form) == (1, 1.5, False, "ä", None)


def test_json_is_not_texts() -> None:
    def handler(number: int) -> Any:
        return number

    assert call(handler, request(body=b'{"number": 1}')) == 1
    with pytest.raises(BadMessage, match="argument number"):
        call(handler, request(body=b'{"number": "1"}'))


@pytest.mark.parametrize("query", ["number=x", "number=", "number=1.5", "number=1&number=x", "other=1", ""])
def test_bad_queries_name_the_argument(query: str) -> None:
    def handler(number: int) -> None: ...

    with pytest.raises(BadMessage, match="argument number"):
        call(handler, request(query))


def test_repeated_query_parameters() -> None:
    def last(tag: str) -> Any:
        return tag

    def every(tag: list[int]) -> Any:
        return tag

    assert call(last, request("tag=1&tag=2")) == "2"
    assert call(every, request("tag=1&tag=2")) == [1, 2]
    assert call(every, request("tag=1")) == [1]


def test_repeated_form_fields() -> None:
    def every(tag: list[int]) -> Any:
        return tag

    assert call(every, request(body=b"tag=1&tag=2", kind="application/x-www-form-urlencoded")) == [1, 2]


def test_optional_lists() -> None:
    def every(tag: list[int] | None = None) -> Any:
        return tag

    assert call(every, request()) is None
    assert call(every, request("tag=1&tag=2")) == [1, 2]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff", "text/plain", 400),
        (b"a=%ff", "application/x-www-form-urlencoded", 400),
        (b"x", "multipart/form-data; boundary=x", 415),
    ],
)
def test_bodies_that_cannot_be_decoded(body: bytes, kind: str, status: int) -> None:
    def handler(payload: Any) -> None: ...

    with pytest.raises(Refusal) as caught:
        call(handler, request(body=body, kind=kind))
    assert caught.value.status == status


def test_a_json_null_is_decoded_once() -> None:
    def handler(payload: Any, other: str = "none") -> Any:
        return payload, other

    assert call(handler, request(body=b"null")) == (None, "none")


# -- what can never be bound ---------------------------------------------------------------------------------------


class Service:
    """Neither data nor of the framework."""


def test_signatures_that_can_never_be_bound() -> None:
    def stars(*args: int) -> None: ...
    def double_stars(**kwargs: int) -> None: ...
    def bean(service: Service) -> None: ...
    def unknown(thing: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821, UP037
    def web(request: Request) -> None: ...
    def nobody() -> None: ...

    for function, said in (
        (stars, "args cannot be bound"),
        (double_stars, "kwargs cannot be bound"),
        (bean, "service"),
        (unknown, "Nowhere"),
        (web, "only HTTP"),
    ):
        with pytest.raises(StartError, match=said):
            bind_handler(function, http=False)
    with pytest.raises(StartError, match=r"no parameter takes the placeholder \{x\}"):
        bind_handler(nobody, http=True, placeholders=("x",))


def test_parameters_are_described() -> None:
    def handler(a: int, connection: IConnection, payload: Any, b: str = "") -> None: ...

    _, parameters = bind_handler(handler, http=True, placeholders=("a",))
    assert [(p.name, p.source, p.required) for p in parameters] == [
        ("a", "path", True),
        ("connection", "framework", True),
        ("payload", "payload", True),
        ("b", "query-or-body", False),
    ]
