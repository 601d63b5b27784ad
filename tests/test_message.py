"""Headers, bodies and requests as plain data."""

from __future__ import annotations

from typing import Any

import pytest

from greenimi.errors import BadMessage, ConnectionClosed, ProtocolError, TooLarge
from greenimi.message import Body, Headers, Message, Reply, Request, Response, Upgrade


def request(query: str = "", *fields: str, stream: Body | None = None) -> Request:
    return Request("GET", f"/?{query}", "/", query, "\r\n".join(["GET / HTTP/1.1", *fields]), stream=stream)


# -- headers -------------------------------------------------------------------------------------------------------


def test_names_of_fields_have_no_case() -> None:
    headers = Headers([("Host", "x"), ("ACCEPT", "a"), ("accept", "b")])
    assert headers["hOsT"] == "x"
    assert "HOST" in headers
    assert headers.get("Host") == "x"
    assert list(headers) == ["host", "accept"]
    assert len(headers) == 2


def test_repeated_fields_are_joined_and_kept_apart() -> None:
    headers = Headers([("Accept", "a"), ("X", "1"), ("accept", "b")])
    assert headers["accept"] == "a, b"
    assert headers.get_all("Accept") == ["a", "b"]
    assert headers.items_raw() == [("Accept", "a"), ("X", "1"), ("accept", "b")]


def test_fields_that_are_not_there() -> None:
    headers = Headers([("a", "b")])
    number: Any = 5
    assert (headers.get("x"), headers.get_all("x"), "x" in headers, number in headers) == (None, [], False, False)
    with pytest.raises(KeyError):
        headers["x"]


def test_lists_that_are_given_out_are_copies() -> None:
    headers = Headers([("a", "b")])
    headers.get_all("a").append("c")
    headers.items_raw().append(("a", "c"))
    assert headers["a"] == "b"
    assert headers.items_raw() == [("a", "b")]


def test_from_a_head() -> None:
    headers = Headers.from_head("GET / HTTP/1.1\r\nHost:x:80\r\nA: \t b c \t\r\nEmpty:\r\n\r\n")
    assert dict(headers) == {"host": "x:80", "a": "b c", "empty": ""}


# -- bodies --------------------------------------------------------------------------------------------------------


def test_what_arrived_is_read_at_once() -> None:
    body = Body()
    body.feed(b"a")
    body.feed(b"bc")
    assert (body.size, body.received) == (3, 3)
    assert body.read_chunk() == b"abc"
    assert (body.size, body.received) == (0, 3)
    body.finish()
    assert body.read_chunk() == b""
    assert body.read_chunk() == b""


def test_reading_pulls_until_there_is_more() -> None:
    body = Body()
    events: list[str] = []
    arriving: list[Any] = [lambda: None, lambda: body.feed(b"a"), lambda: body.feed(b"b"), body.finish]

    def pull() -> None:
        events.append("pull")
        arriving.pop(0)()

    body.pull = pull
    body.wanted = lambda: events.append("wanted")
    assert list(body) == [b"a", b"b"]
    assert events == ["wanted", "pull", "pull", "pull", "pull"]


def test_nobody_is_asked_for_what_is_here() -> None:
    body = Body()
    body.wanted = lambda: pytest.fail("100 Continue for a body that came")
    body.feed(b"a")
    body.finish()
    assert body.read() == b"a"


def test_the_limit_counts_what_was_read() -> None:
    def body() -> Body:
        made = Body()
        made.feed(b"12345")
        made.finish()
        return made

    assert body().read(5) == b"12345"
    with pytest.raises(TooLarge, match="over 4 bytes") as caught:
        body().read(4)
    assert caught.value.status == 413


def test_a_body_has_a_limit_of_its_own_where_its_reader_does_not_say() -> None:
    body = Body()
    body.limit = 4
    body.feed(b"12345")
    body.finish()
    with pytest.raises(TooLarge, match="over 4 bytes"):
        body.read()


def test_too_much_is_noticed_before_the_rest_came() -> None:
    body = Body()
    body.pull = lambda: body.feed(b"x" * 10)
    with pytest.raises(TooLarge):
        body.read(25)
    assert body.received == 30


def test_readers_of_an_aborted_body_get_what_came_then_the_error() -> None:
    body = Body()
    body.feed(b"a")
    body.abort(ConnectionClosed("gone"))
    assert body.read_chunk() == b"a"
    for _ in range(2):
        with pytest.raises(ConnectionClosed, match="gone"):
            body.read_chunk()


def test_half_a_body_that_nobody_completes() -> None:
    body = Body()
    body.feed(b"a")
    with pytest.raises(ProtocolError, match="incomplete"):
        body.read()


# -- requests ------------------------------------------------------------------------------------------------------


def test_query_parameters_keep_every_value() -> None:
    assert request("a=1&b=&a=%C3%A4+x&c").query == {"a": ["1", "ä x"], "b": [""], "c": [""]}
    assert request().query == {}


@pytest.mark.parametrize("query", ["a=%FF", "&".join(["a=1"] * 1001)])
def test_queries_that_cannot_be_read(query: str) -> None:
    with pytest.raises(BadMessage, match="the query string cannot be read"):
        _ = request(query).query


def test_a_thousand_query_parameters_are_fine() -> None:
    assert len(request("&".join(["a=1"] * 1000)).query["a"]) == 1000


def test_headers_and_query_are_taken_apart_once() -> None:
    found = request("a=1", "A: b")
    assert found.headers is found.headers
    assert found.query is found.query
    assert found.cookies is found.cookies


def test_cookies() -> None:
    assert request("", 'Cookie: a=1; b="x y"; c=').cookies == {"a": "1", "b": "x y", "c": ""}
    assert request().cookies == {}
    assert request("", "Cookie: a=1\r\nHost: x\r\nCookie: b=2; a=3").cookies == {"a": "1", "b": "2"}


@pytest.mark.parametrize("bad", ["b/c=2", "b@c", "b[0]=2", '{"x":1}=2'])
def test_a_cookie_that_cannot_be_read_does_not_hide_the_others(bad: str) -> None:
    found = request("", f"Cookie: session=1; {bad}; theme=dark").cookies
    assert (found.get("session"), found.get("theme")) == ("1", "dark")


def test_the_whole_body_is_kept() -> None:
    body = Body()
    body.feed(b"abc")
    body.finish()
    found = request(stream=body)
    assert found.body(3) == found.body() == found.raw == b"abc"
    assert found.stream is None
    assert request().body() == b""


def test_the_limit_of_a_body() -> None:
    body = Body()
    body.feed(b"abcd")
    body.finish()
    with pytest.raises(TooLarge):
        request(stream=body).body(3)


# -- what goes out -------------------------------------------------------------------------------------------------


def test_messages_start_empty() -> None:
    message: Any = Message("x" * 100)
    assert (message.data, message.params, message.connection) == (None, {}, None)
    assert repr(message) == f"<Message {'x' * 40!r}>"
    assert repr(Message(b'{"token": "5.abcdefghijklm", "action": "$hello"}')) == "<Message of 48>"


def test_responses() -> None:
    assert (Response().status, Response().body, Response().headers) == (200, b"", ())
    assert Response("x", headers=[("A", "b")]).headers == (("A", "b"),)


def test_a_request_does_not_tell_its_query_to_logs() -> None:
    assert repr(Request("GET", "/a?token=x", "/a", "token=x", "")) == "<Request GET /a?...>"
    assert repr(Request("GET", "/a", "/a", "", "")) == "<Request GET /a>"


def test_a_response_has_one_content_type() -> None:
    found = Response("<b>", headers=[("A", "b"), ("content-type", "text/html")])
    assert (found.content_type, found.headers) == ("text/html", (("A", "b"),))
    switched: list[Any] = []
    upgrade = Upgrade(lambda response, connection: switched.append(connection), [("Upgrade", "x")])
    upgrade.switch(upgrade, "connection")
    assert (upgrade.status, upgrade.body, switched) == (101, b"", ["connection"])
    assert Reply(b"x").raw == b"x"
