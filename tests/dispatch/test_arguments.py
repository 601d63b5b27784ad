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
from greenimi.errors import BadMessage, GreenimiError, Invalid, Refusal, StartError, Unauthorized
from greenimi.message import Identity
from greenimi.validate import BindError, Problem, rules
from greenimi.web import Cookie, Field, Form, FromSession, Header, Query
from greenimi.web.session import Session, Sessions
from greenimi.web.session_stores import MemoryStore
from greenimi.web.settings import SessionSettings
from greenimi.web.uploads import UploadedFile

LINK: Any = object()


@dataclass
class Search:
    text: str
    tags: list[str]
    deep: bool = False
    least: float | None = None


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


def wrong(function: Any, found: Any, *, placeholders: tuple[str, ...] = ()) -> dict[tuple[str, str], str]:
    """What a client is told, by field and source."""
    with pytest.raises(Invalid) as caught:
        call(function, found, placeholders=placeholders)
    assert caught.value.status == 422
    errors: Any = caught.value.details["errors"]
    return {(error["field"], error["source"]): error["text"] for error in errors}


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

    assert list(wrong(handler, message(data))) == [(field, "payload")]


def test_structured_arguments() -> None:
    def handler(
        point: Point, kind: Literal["a", "b"], tags: list[str], size: Annotated[int, msgspec.Meta(gt=0)], maybe: str | None = None
    ) -> Any:
        return point, kind, tags, size, maybe

    data = {"point": {"x": 1}, "kind": "a", "tags": ["t"], "size": 1}
    assert call(handler, message(data)) == (Point(1, 0), "a", ["t"], 1, None)
    for field, bad in (("point.x", {"x": "1"}), ("kind", "c"), ("tags.0", [1]), ("tags", "t"), ("size", 0), ("maybe", 1)):
        assert list(wrong(handler, message({**data, field.partition(".")[0]: bad}))) == [(field, "payload")]


def test_payload_is_all_of_it() -> None:
    def handler(payload: Any) -> Any:
        return payload

    def typed(payload: Point) -> Any:
        return payload

    assert call(handler, message([1, 2])) == [1, 2]
    assert call(typed, message({"x": 1})) == Point(1)
    assert wrong(typed, message([1])) == {("", "payload"): "Expected `object`, got `array`"}
    assert list(wrong(typed, message({"y": "1"}))) == [("x", "payload"), ("y", "payload")]


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
    assert list(wrong(handler, request(body=b'{"number": "1"}'))) == [("number", "body")]


@pytest.mark.parametrize("query", ["number=x", "number=", "number=1.5", "number=1&number=x"])
def test_bad_queries_name_the_argument(query: str) -> None:
    def handler(number: int) -> None: ...

    assert list(wrong(handler, request(query))) == [("number", "query")]


@pytest.mark.parametrize("query", ["other=1", ""])
def test_missing_arguments_are_named(query: str) -> None:
    def handler(number: int) -> None: ...

    assert wrong(handler, request(query)) == {("number", "query or body"): "is missing"}


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


# -- everything that is wrong, at once ------------------------------------------------------------------------------


def test_every_bad_argument_and_every_bad_field_is_told() -> None:
    def handler(id: int, payload: Point, page: Annotated[int, Query()], *, token: Annotated[str, Header("X-Token")]) -> None: ...

    found = request("page=x", b'{"x": "1", "y": "2"}', params={"id": "a"})
    assert wrong(handler, found, placeholders=("id",)) == {
        ("id", "path"): "Expected `int`, got `str`",
        ("x", "body"): "Expected `int`, got `str`",
        ("y", "body"): "Expected `int`, got `str`",
        ("page", "query"): "Expected `int`, got `str`",
        ("X-Token", "header"): "is missing",
    }


def test_a_body_that_cannot_be_read_goes_before_what_does_not_fit() -> None:
    def handler(page: Annotated[int, Query()], payload: Point) -> None: ...

    with pytest.raises(BadMessage):
        call(handler, request("page=x", b"{"))


def test_what_a_handler_raises_itself_is_left_alone() -> None:
    def handler(a: int, b: int) -> None:
        raise BindError([Problem("mine", "is wrong")])

    with pytest.raises(BindError) as caught:
        call(handler, request("a=1&b=2"))
    assert [problem.path for problem in caught.value.problems] == ["mine"]


class SoldOut(Exception):
    """What a rule asks for."""


def test_rules_of_parameters_and_the_error_that_one_asks_for() -> None:
    def handler(
        sku: Annotated[str, rules.Text(min=2, message="{name} has {min} letters or more")],
        left: Annotated[int, rules.Integer(min=1, error=SoldOut)] = 1,
    ) -> Any:
        return sku, left

    assert call(handler, request("sku=tea&left=2")) == ("tea", 2)
    assert wrong(handler, request("sku=x")) == {("sku", "query"): "sku has 2 letters or more"}
    with pytest.raises(SoldOut):
        call(handler, request("sku=tea&left=0"))


# -- where values come from ----------------------------------------------------------------------------------------


def test_sources() -> None:
    def handler(
        page: Annotated[int, Query("page-size")],
        x_token: Annotated[str, Header],
        theme: Annotated[str, Cookie()],
        name: Annotated[str, Field("user.name")],
        size: Annotated[int, Query] = 7,
    ) -> Any:
        return page, x_token, theme, name, size

    found = request("page-size=3&page=9", b'{"user": {"name": "ann"}}')
    found.head += "X-Token: t\r\nCookie: theme=dark\r\n"
    assert call(handler, found) == (3, "t", "dark", "ann", 7)
    assert list(wrong(handler, request())) == [
        ("page-size", "query"),
        ("x-token", "header"),
        ("theme", "cookie"),
        ("user.name", "body"),
    ]


def test_the_whole_body_under_any_name() -> None:
    def handler(point: Annotated[Point, Body], other: Annotated[Any, Body()]) -> Any:
        return point, other

    assert call(handler, request(body=b'{"x": 1}')) == (Point(1), {"x": 1})


def test_form_fields_come_from_forms_only() -> None:
    def handler(name: Annotated[str, Form()], tag: Annotated[list[int], Form("t")]) -> Any:
        return name, tag

    assert call(handler, request("name=q", b"name=x&t=1&t=2", "application/x-www-form-urlencoded")) == ("x", [1, 2])
    assert list(wrong(handler, request("name=q", b'{"name": "x", "t": [1]}'))) == [("name", "form"), ("t", "form")]


def test_a_form_as_a_whole() -> None:
    def handler(payload: Search) -> Any:
        return payload

    form = "application/x-www-form-urlencoded"
    assert call(handler, request(body=b"text=a&text=b&tags=x&deep=on&least=1.5", kind=form)) == Search("b", ["x"], True, 1.5)
    assert list(wrong(handler, request(body=b"deep=maybe&least=nan", kind=form))) == [
        ("text", "form"),
        ("tags", "form"),
        ("deep", "form"),
        ("least", "form"),
    ]


def test_uploaded_files() -> None:
    def handler(photo: UploadedFile, more: list[UploadedFile] | None = None) -> Any:
        return photo.filename, [each.filename for each in more] if more else None

    boundary = "multipart/form-data; boundary=b"
    part = '--b\r\nContent-Disposition: form-data; name="{}"; filename="{}"\r\n\r\nx\r\n'
    one, two, text = (
        part.format("photo", "a.png"),
        part.format("more", "b.png"),
        '--b\r\nContent-Disposition: form-data; name="photo"\r\n\r\n',
    )
    with ContextScope(Container("test")):
        assert call(handler, request(body=f"{one}--b--".encode(), kind=boundary)) == ("a.png", None)
        assert call(handler, request(body=f"{one}{two}{two}--b--".encode(), kind=boundary)) == ("a.png", ["b.png", "b.png"])
        assert list(wrong(handler, request(body=f"{text}x\r\n--b--".encode(), kind=boundary))) == [("photo", "file")]
    assert wrong(handler, request(body=b'{"photo": "x"}')) == {("photo", "file"): "is missing"}


def test_the_session_and_what_is_in_it() -> None:
    def handler(session: Session, items: Annotated[list[str], FromSession("cart.items")], user: Annotated[int, FromSession] = 0) -> Any:
        return session, items, user

    def careful(session: Session | None) -> Any:
        return session

    session = Session(Sessions(MemoryStore(SessionSettings()), SessionSettings()))
    session.set("cart", {"items": ["tea"]})
    found = request()
    found.extra["session"] = session
    assert call(handler, found) == (session, ["tea"], 0)
    session.set("cart", {"items": 5})
    assert list(wrong(handler, found)) == [("cart.items", "session")]
    assert call(careful, found) is session
    assert call(careful, request()) is None
    with pytest.raises(GreenimiError, match="asks for the session"):
        call(handler, request())


def test_who_is_calling() -> None:
    def handler(identity: Identity) -> Any:
        return identity

    def either(identity: Identity | None) -> Any:
        return identity

    found, ann = request("identity=mine"), Identity("ann")
    assert call(either, found) is None
    with pytest.raises(Unauthorized):
        call(handler, found)
    found.identity = ann
    assert call(handler, found) is call(either, found) is ann


def test_messages_have_fields_and_no_more() -> None:
    def handler(name: Annotated[str, Field("user.name")]) -> Any:
        return name

    def query(name: Annotated[str, Query()]) -> None: ...
    def two(name: Annotated[str, Query(), Header()]) -> None: ...

    assert call(handler, message({"user": {"name": "ann"}})) == "ann"
    assert list(wrong(handler, message({"user": 1}))) == [("user.name", "payload")]
    with pytest.raises(StartError, match="name comes from a query, which its messages do not have"):
        bind_handler(query, http=False)
    assert bind_handler(query, http=False, handshake=True)[0](request("name=x")) is None
    with pytest.raises(StartError, match="name has two sources"):
        bind_handler(two, http=True)


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
    async def later() -> None: ...
    def in_place_of_a_default(page: int = Query("page-size")) -> None: ...  # type: ignore[assignment]

    def forgot(connection) -> None: ...  # type: ignore[no-untyped-def]

    for function, said in (
        (forgot, r"connection has no annotation, so the client would supply it\n  hint: write connection: IConnection; or"),
        (stars, "args cannot be bound"),
        (double_stars, "kwargs cannot be bound"),
        (bean, "service"),
        (unknown, "Nowhere"),
        (web, "only HTTP"),
        (later, "write def instead of async def"),
        (in_place_of_a_default, r"hint: write page: Annotated\[\.\.\., Query\("),
    ):
        with pytest.raises(StartError, match=said):
            bind_handler(function, http=False)
    with pytest.raises(StartError, match=r"no parameter takes the placeholder \{x\}"):
        bind_handler(nobody, http=True, placeholders=("x",))


def test_a_client_may_supply_a_name_that_is_meant_for_it() -> None:
    def route(session: str, request: Any) -> Any:
        return session, request

    call, _ = bind_handler(route, http=False)
    message = Message(b"")
    message.data = {"session": "s", "request": 1}
    assert call(message) == ("s", 1)


def test_parameters_are_described() -> None:
    def handler(a: int, connection: IConnection, payload: Any, b: str = "") -> None: ...

    _, parameters = bind_handler(handler, http=True, placeholders=("a",))
    assert [(p.name, p.source, p.required) for p in parameters] == [
        ("a", "path", True),
        ("connection", "framework", True),
        ("payload", "payload", True),
        ("b", "query-or-body", False),
    ]


def test_descriptions_keys_and_defaults() -> None:
    def handler(
        page: Annotated[int, Query("p"), "Which page"] = 1, size: Annotated[int, msgspec.Meta(description="How many")] = 2
    ) -> None: ...

    _, parameters = bind_handler(handler, http=True)
    assert [(p.key, p.description, p.default) for p in parameters] == [("p", "Which page", 1), ("size", "How many", 2)]
    assert parameters[0].annotation == Annotated[int, Query("p"), "Which page"]


def test_what_is_returned_is_what_was_declared() -> None:
    @dataclass
    class Far(Point):
        secret: str = "s"

    def handler() -> Point:
        return Far(1, 2)

    assert type(call(handler, request())) is Point
