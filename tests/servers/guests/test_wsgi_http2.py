"""WSGI applications over HTTP/2: all that they may do over HTTP/1.1."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

from h2.errors import ErrorCodes

from greenimi.app import App
from greenimi.servers.guests.wsgi import load_guest
from tests.apps.echo import Stage
from tests.servers.http2_client import Http2Link

Dial = Callable[..., Http2Link]
Environ = dict[str, Any]
PLAIN = [("Content-Type", "text/plain")]


def mount(app: App, application: Any) -> None:
    server: Any = app.doors.servers["web"]
    guest = load_guest(application, "/guest", server.settings)
    server.pipeline.mount(guest.prefix, guest)


def test_the_environ(app: App, dial: Dial) -> None:
    seen: Environ = {}

    def application(environ: Environ, start: Any) -> list[bytes]:
        seen.update(environ)
        seen["body"] = environ["wsgi.input"].read()
        start("200 OK", PLAIN)
        return [b"done"]

    mount(app, application)
    answer = dial(app).post("/guest/a%20b?c=d", b"hello", ("x-some-field", "1"), ("cookie", "a=1"), ("cookie", "b=2"))
    assert answer.body == b"done"
    wanted = {
        "SERVER_PROTOCOL": "HTTP/2",
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/a b",
        "QUERY_STRING": "c=d",
        "HTTP_HOST": "x",
        "HTTP_COOKIE": "a=1; b=2",
        "HTTP_X_SOME_FIELD": "1",
        "body": b"hello",
    }
    assert {key: seen[key] for key in wanted} == wanted


def test_hints_write_and_parts(app: App, dial: Dial) -> None:
    def application(environ: Environ, start: Any) -> Iterator[bytes]:
        environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
        write = start("200 OK", PLAIN)
        write(b"written ")
        return iter([b"and ", b"returned"])

    mount(app, application)
    web = dial(app)
    for _ in range(2):
        answer = web.get("/guest")
        assert answer.interim == [(103, {"link": "</a.css>; rel=preload"})]
        assert (answer.body, answer.ended, answer.reset) == (b"written and returned", True, None)
    assert len(app.doors.servers["web"].connections) == 1


def test_a_file_is_read_off_in_pieces(app: App, dial: Dial) -> None:
    def application(environ: Environ, start: Any) -> Any:
        start("200 OK", [*PLAIN, ("Content-Length", "300000")])
        return environ["wsgi.file_wrapper"](io.BytesIO(bytes(300_000)))

    mount(app, application)
    answer = dial(app).get("/guest")
    assert (answer.headers["content-length"], len(answer.body)) == ("300000", 300_000)


def test_an_error_in_the_middle_resets_the_stream(app: App, dial: Dial) -> None:
    def application(environ: Environ, start: Any) -> list[bytes]:
        start("200 OK", PLAIN)(b"begun")
        raise RuntimeError("in the middle")

    mount(app, application)
    web = dial(app)
    assert web.get("/guest").reset == ErrorCodes.INTERNAL_ERROR
    assert web.get("/item/1").body == b"1"


def test_a_client_that_does_not_read_parks_the_application(app: App, stage: Stage, dial: Dial) -> None:
    def application(environ: Environ, start: Any) -> Iterator[bytes]:
        start("200 OK", PLAIN)
        for number in range(1000):
            stage.log.append(number)
            yield bytes(7000)

    mount(app, application)
    web = dial(app, greedy=False)
    slow = web.begin("GET", "/guest")
    web.until(lambda: len(web.answers[slow].body) >= 65535)
    web.h2.increment_flow_control_window(1 << 20)
    web.flush()
    assert web.get("/item/1").body == b"1"
    assert len(stage.log) < 100
