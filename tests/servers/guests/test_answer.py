"""From what a WSGI application says and returns to what the client gets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from greenimi.app import App
from greenimi.testing.support import wait_until
from tests.apps.echo import Stage
from tests.servers.guests.test_wsgi import PLAIN, Environ, Guest, Links, Start, get, mount, says

# -- answers -------------------------------------------------------------------------------------------------------


def test_one_piece_leaves_as_one(app: App, link: Links) -> None:
    mount(app, Guest(b"hello", headers=[*PLAIN, ("Content-Length", "5"), ("X-One", "1"), ("X-One", "2")]))
    web = link(app)
    for _ in range(2):
        web.send(get("/guest"))
        status, headers, body = web.response()
        assert (status, headers["Content-Type"], headers.get_all("X-One"), body) == (200, "text/plain", ["1", "2"], b"hello")
        assert headers.get_all("Content-Length") == ["5"]


def test_fields_between_server_and_client_are_not_the_guests(app: App, link: Links) -> None:
    fields = [("Connection", "close"), ("Transfer-Encoding", "chunked"), ("Keep-Alive", "9"), ("Date", "today"), ("Upgrade", "h2c")]
    mount(app, Guest(b"hello", headers=[*PLAIN, *fields]))
    web = link(app)
    for _ in range(2):
        web.send(get("/guest"))
        _, headers, body = web.response()
        assert body == b"hello"
        assert [name for name, _ in fields if headers[name] is not None] == ["Date"]
        assert headers.get_all("Date") != ["today"]


def test_parts_are_sent_as_they_come(app: App, stage: Stage, link: Links) -> None:
    def guest(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b""
        yield b"one"
        stage.wait()
        yield b"two"

    mount(app, guest)
    web = link(app)
    web.send(get("/guest") + get("/item/1"))
    assert web.line() == b"HTTP/1.1 200 OK\r\n"
    while web.line() != b"\r\n":
        pass
    assert web.read(8) == b"3\r\none\r\n"
    wait_until(lambda: stage.waiting)
    stage.gate.set()
    assert web.read(13) == b"3\r\ntwo\r\n0\r\n\r\n"
    assert web.response()[2] == b"1"


@pytest.mark.parametrize(
    ("parts", "length", "body"),
    [([], None, b""), ([b"", b""], None, b""), ([b"", b"abc"], 3, b"abc"), ([b"ab", b"c"], 3, b"abc"), ([b"ab", b"cdef"], 3, b"abc")],
)
def test_bodies_in_parts(app: App, link: Links, parts: list[bytes], length: int | None, body: bytes) -> None:
    mount(app, Guest(*parts, headers=[*PLAIN, *([("Content-Length", str(length))] if length is not None else [])]))
    web = link(app)
    web.send(get("/guest") + get("/item/1"))
    _, headers, found = web.response()
    assert found == body
    assert headers["Transfer-Encoding"] is None
    assert web.response()[2] == b"1"


def test_less_than_was_promised_ends_the_connection(app: App, link: Links) -> None:
    mount(app, Guest(b"abc", headers=[*PLAIN, ("Content-Length", "5")]))
    web = link(app)
    web.send(get("/guest") + get("/item/1"))
    assert web.read_all().endswith(b"\r\n\r\nabc")


def test_head(app: App, link: Links) -> None:
    mount(app, Guest(b"hello"), "/plain")
    mount(app, Guest(headers=[*PLAIN, ("Content-Length", "5")]), "/told")
    mount(app, Guest(b"he", b"llo", headers=[*PLAIN, ("Content-Length", "5")]), "/parts")
    web = link(app)
    for path in ("/plain", "/told", "/parts"):
        web.send(get(path, method="HEAD"))
        status, headers, body = web.response("HEAD")
        assert (status, headers["Content-Length"], body) == (200, "5", b"")
    web.send(get("/item/1"))
    assert web.response()[2] == b"1"


def test_answers_without_a_body(app: App, link: Links) -> None:
    mount(app, Guest(status="204 No Content", headers=[]), "/nothing")
    mount(app, Guest(status="304 Not Modified", headers=[("ETag", '"1"')]), "/same")
    web = link(app)
    for path, status in (("/nothing", 204), ("/same", 304)):
        web.send(get(path))
        found, headers, body = web.response()
        assert (found, headers["Content-Length"], headers["Content-Type"], body) == (status, None, None, b"")


def test_a_guest_for_http_1_0(app: App, link: Links) -> None:
    guest = Guest(b"a", b"b")
    mount(app, guest)
    web = link(app)
    web.send(get("/guest", version="1.0"))
    assert web.read_all().endswith(b"\r\n\r\nab")
    assert guest.environ["SERVER_PROTOCOL"] == "HTTP/1.0"


# -- mistakes of guests --------------------------------------------------------------------------------------------


MISTAKES: list[Any] = [
    says(status=None),
    says(status="OK"),
    says(status="99 Low"),
    says(status="101 Switching"),
    says(status=200),
    says(status="200OK"),
    says(headers=[("X", "a\r\nSet-Cookie: b")]),
    says(headers=[("Content-Type", "a\r\nSet-Cookie: b")]),
    says(headers=[("X y", "a")]),
    says(headers=[("X", 1)]),
    says(headers=[("X", "€")]),
    says(headers=[("Content-Length", "-1")]),
    says(headers=[("Content-Length", "one")]),
    says(body=["text"]),
    says(body=["te", "xt"]),
    says(body="text"),
    says(body=None),
    says(status=None, body=[b"a", b"b"]),
    lambda environ, start_response: [start_response("200 OK", PLAIN), start_response("200 OK", PLAIN)],
    lambda environ, start_response: 1 // 0,
]


def test_mistakes_before_the_answer_are_answered_500(app: App, link: Links) -> None:
    web = link(app)
    for number, guest in enumerate(MISTAKES):
        mount(app, guest, f"/{number}")
        for method in ("GET", "HEAD"):
            web.send(get(f"/{number}", method=method) + get("/item/1"))
            status, headers, _ = web.response(method)
            assert (status, headers["Set-Cookie"]) == (500, None), (number, method)
            assert web.response()[2] == b"1"


def test_an_error_after_the_first_part_cuts_the_answer_short(app: App, link: Links) -> None:
    def guest(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"one"
        raise ValueError("broken")

    mount(app, guest)
    web = link(app)
    web.send(get("/guest") + get("/item/1"))
    answer = web.read_all()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n3\r\none\r\n")


def test_exc_info_replaces_what_was_not_sent(app: App, link: Links) -> None:
    def guest(environ: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", [*PLAIN, ("X-One", "1"), ("Content-Length", "100")])
        try:
            raise ValueError("broken")
        except ValueError as error:
            start_response("503 Broken", PLAIN, (ValueError, error, error.__traceback__))
        return [b"sorry"]

    mount(app, guest)
    web = link(app)
    web.send(get("/guest"))
    status, headers, body = web.response()
    assert (status, headers["X-One"], headers["Content-Length"], body) == (503, None, "5", b"sorry")


def test_exc_info_after_the_first_part_cuts_the_answer_short(app: App, link: Links) -> None:
    def guest(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"one"
        try:
            raise ValueError("broken")
        except ValueError as error:
            start_response("500 Broken", PLAIN, (ValueError, error, error.__traceback__))
        yield b"sorry"

    mount(app, guest)
    web = link(app)
    web.send(get("/guest") + get("/item/1"))
    assert web.read_all().endswith(b"\r\n\r\n3\r\none\r\n")


# -- write() and early hints ---------------------------------------------------------------------------------------


def test_write_sends_at_once(app: App, stage: Stage, link: Links) -> None:
    def guest(environ: Environ, start_response: Start) -> list[bytes]:
        write = start_response("200 OK", PLAIN)
        write(b"one")
        stage.wait()
        write(b"two")
        return [b"three"]

    mount(app, guest)
    web = link(app)
    web.send(get("/guest"))
    wait_until(lambda: stage.waiting)
    assert web.line() == b"HTTP/1.1 200 OK\r\n"
    while web.line() != b"\r\n":
        pass
    assert web.read(8) == b"3\r\none\r\n"
    stage.gate.set()
    assert web.read_all() == b"3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"


def test_write_of_a_known_length_and_for_head(app: App, link: Links) -> None:
    def guest(environ: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", [*PLAIN, ("Content-Length", "5")])(b"hello")
        return []

    mount(app, guest)
    web = link(app)
    web.send(get("/guest"))
    assert web.response()[2] == b"hello"
    web = link(app)
    web.send(get("/guest", method="HEAD"))
    assert web.read_all().endswith(b"\r\n\r\n")


@pytest.mark.parametrize("again", [True, False])
def test_an_error_after_write_cuts_the_answer_short(app: App, link: Links, again: bool) -> None:
    def guest(environ: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", PLAIN)(b"one")
        try:
            raise ValueError("broken")
        except ValueError as error:
            if not again:
                raise
            start_response("500 Broken", PLAIN, (ValueError, error, error.__traceback__))
        return [b"not sent"]

    mount(app, guest)
    web = link(app)
    web.send(get("/guest") + get("/item/1"))
    assert web.read_all().endswith(b"\r\n\r\n3\r\none\r\n")


def test_early_hints_come_before_the_answer(app: App, link: Links) -> None:
    def guest(environ: Environ, start_response: Start) -> list[bytes]:
        environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
        start_response("200 OK", PLAIN)
        return [b"hello"]

    mount(app, guest)
    web = link(app)
    web.send(get("/guest"))
    assert [web.line() for _ in range(3)] == [b"HTTP/1.1 103 Early Hints\r\n", b"Link: </a.css>; rel=preload\r\n", b"\r\n"]
    assert web.response()[2] == b"hello"
    web.send(get("/guest", version="1.0"))
    assert web.line() == b"HTTP/1.1 200 OK\r\n"


def test_a_body_that_writes_begins_no_second_answer(app: App, link: Links) -> None:
    def first(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)(b"one")
        yield b"two"

    def later(environ: Environ, start_response: Start) -> Iterator[bytes]:
        write = start_response("200 OK", PLAIN)
        yield b"one"
        environ["wsgi.early_hints"]([("Link", "</style.css>; rel=preload")])
        write(b"two")

    mount(app, first, "/first")
    mount(app, later, "/later")
    web = link(app)
    web.send(get("/first"))
    assert web.read_all().partition(b"\r\n\r\n")[2] == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    web = link(app)
    web.send(get("/later"))
    assert web.read_all().partition(b"\r\n\r\n")[2] == b"3\r\none\r\n"
