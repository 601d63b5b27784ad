"""WSGI applications at a path of an HTTP server, as PEP 3333 wants them served."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import product
from threading import Event
from typing import Any
from wsgiref.validate import validator

import pytest

from greenimi.app import App
from greenimi.container import Setup
from greenimi.errors import ConfigError, ConflictError, StartError
from greenimi.servers.guests import wsgi
from greenimi.servers.guests.wsgi import clean_prefix, load_guest
from greenimi.servers.settings import ServerSettings
from greenimi.testing.plugin import AppFactory
from greenimi.testing.support import wait_until
from tests.apps.echo import Stage
from tests.servers.conftest import Link

Links = Callable[..., Link]
Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], object]]
PLAIN = [("Content-Type", "text/plain")]


def mount(app: App, application: Any, prefix: str = "/guest") -> None:
    server: Any = app.doors.servers["web"]
    guest = load_guest(application, prefix, server.settings)
    server.pipeline.mount(guest.prefix, guest)


class Guest:
    """Keeps the environ of the last request, and answers what it is told to."""

    def __init__(self, *body: bytes, status: str = "200 OK", headers: Iterable[tuple[str, str]] = PLAIN) -> None:
        self.body = body
        self.status = status
        self.headers = list(headers)
        self.environ: Environ = {}

    def __call__(self, environ: Environ, start_response: Start) -> list[bytes]:
        self.environ = environ
        start_response(self.status, self.headers)
        return list(self.body)


def get(path: str, *fields: str, method: str = "GET", version: str = "1.1") -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "Host: x", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def post(path: str, body: bytes, *fields: str) -> bytes:
    return get(path, f"Content-Length: {len(body)}", *fields, method="POST") + body


def says(status: Any = "200 OK", headers: Any = PLAIN, body: Any = (b"x",)) -> Callable[[Environ, Start], Any]:
    def guest(environ: Environ, start_response: Start) -> Any:
        if status is not None:
            start_response(status, headers)
        return body

    return guest


def ask_input(call: Callable[[Any], Any]) -> Callable[[Environ, Start], list[bytes]]:
    def guest(environ: Environ, start_response: Start) -> list[bytes]:
        found = call(environ["wsgi.input"])
        start_response("200 OK", PLAIN)
        return [repr(found).encode()]

    return guest


# -- where guests stand --------------------------------------------------------------------------------------------


def test_routes_win_over_guests_and_longer_paths_over_shorter(app: App, link: Links) -> None:
    for name, prefix in (("root", "/"), ("shop", "/shop"), ("deep", "/shop/deep/"), ("item", "/item")):
        mount(app, Guest(name.encode()), prefix)
    web = link(app)
    asked = {
        "/": b"root",
        "/shop": b"shop",
        "/shop/": b"shop",
        "/shopping": b"root",
        "/shop/deep": b"deep",
        "/shop/deep/x": b"deep",
        "/shop/deeper": b"shop",
        "/item/1": b"1",
        "/item/x": b"item",
    }
    for path, body in asked.items():
        web.send(get(path))
        assert web.response()[2] == body, path
    web.send(get("*", method="OPTIONS"))
    assert web.response()[0] in (200, 204)
    web.send(get("/item/1", method="PUT"))  # of a route, under other methods
    assert web.response()[0] == 405


def test_two_guests_at_one_place(app: App) -> None:
    mount(app, Guest(b""), "/shop")
    with pytest.raises(ConflictError, match="/shop"):
        mount(app, Guest(b""), "/shop/")


@pytest.mark.parametrize("prefix", ["shop", "", "/a?b", "/a b", "/%41", "/é", "/a\n"])
def test_prefixes_that_are_none(prefix: str) -> None:
    with pytest.raises(ConfigError, match="not a path to mount at"):
        clean_prefix(prefix)


def test_guests_are_found_by_name() -> None:
    assert load_guest("tests.servers.guests.test_wsgi:named", "/", ServerSettings()).application is named
    assert load_guest("tests.servers.guests.test_wsgi:make_guest()", "/", ServerSettings()).application.body == (b"made",)  # type: ignore[attr-defined]
    for name in ("tests.servers.guests.test_wsgi:missing", "tests.servers.nowhere:app", "tests.servers.guests.test_wsgi:PLAIN"):
        with pytest.raises(ConfigError, match=r"test_wsgi|nowhere"):
            load_guest(name, "/", ServerSettings())


def test_guests_by_directive(app_factory: AppFactory) -> None:
    guest = Guest(b"")

    def include(setup: Setup) -> None:
        wsgi.mount(setup, "web", "/shop", guest)
        wsgi.mount(setup, "web", "/news", "tests.servers.guests.test_wsgi:named")

    app = app_factory([include])
    assert app.setup.introspect("mount") == [
        wsgi.Mount("web", "/shop", guest),
        wsgi.Mount("web", "/news", "tests.servers.guests.test_wsgi:named"),
    ]
    with pytest.raises(ConflictError, match="/shop on server web"):
        app_factory([include, lambda setup: wsgi.mount(setup, "web", "/shop/", guest)])
    with pytest.raises(StartError, match="'till'; HTTP servers in conf: web"):
        app_factory([lambda setup: wsgi.mount(setup, "till", "/shop", guest)])


def named(environ: Environ, start_response: Start) -> list[bytes]:
    start_response("200 OK", PLAIN)
    return [b"named"]


def make_guest() -> Guest:
    return Guest(b"made")


# -- close() -------------------------------------------------------------------------------------------------------


class Closing:
    """A result that notes how it was used."""

    def __init__(self, log: list[Any], *parts: bytes | Exception) -> None:
        self._log = log
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            if isinstance(part, Exception):
                raise part
            yield part

    def close(self) -> None:
        self._log.append("closed")


def test_close_is_always_called_once(app: App, stage: Stage, link: Links) -> None:
    asked: list[Any] = []

    def guest(environ: Environ, start_response: Start) -> Closing:
        status, *parts = asked
        if status is not None:
            start_response(status, PLAIN)
        return Closing(stage.log, *parts)

    mount(app, guest)
    ways: list[tuple[bytes | Exception, ...]] = [(b"x",), (b"x", b"y"), (), (ValueError("before"),), (b"x", ValueError("after"))]
    for status, parts, method in product(("200 OK", "204 Nothing", None), ways, ("GET", "HEAD")):
        asked[:] = [status, *parts]
        stage.log.clear()
        web = link(app)
        web.send(get("/guest", "Connection: close", method=method))
        assert web.read_all().startswith(b"HTTP/1.1 ")
        assert stage.log == ["closed"], (status, parts, method)


def test_close_is_called_when_the_client_leaves(app: App, stage: Stage, link: Links) -> None:
    mount(app, lambda environ, start: (start("200 OK", PLAIN), Closing(stage.log, *[b"x" * 100_000] * 1000))[1])
    web = link(app)
    web.send(get("/guest"))
    assert web.read(1000)
    web.close()
    wait_until(lambda: stage.log == ["closed"])
    wait_until(lambda: not app.doors.servers["web"].connections)


# -- PEP 3333's own judge ------------------------------------------------------------------------------------------


def checked_guest(environ: Environ, start_response: Start) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(1000) if environ["REQUEST_METHOD"] == "POST" else b"got"
    lines = [*environ["wsgi.input"].readlines(), environ["wsgi.input"].readline()]
    environ["wsgi.errors"].flush()
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Lines", str(len(lines)))])
    if environ["PATH_INFO"] == "/parts":
        return iter([body, b"", b"more"])
    return [body]


def test_the_validator_finds_nothing(app: App, link: Links, capfd: pytest.CaptureFixture[str]) -> None:
    mount(app, validator(checked_guest))
    web = link(app)
    requests = [
        ("GET", get("/guest/"), b"got"),
        ("HEAD", get("/guest/x", method="HEAD"), b""),
        ("GET", get("/guest/parts?a=b"), b"gotmore"),
        ("POST", post("/guest", b"body"), b"body"),
        ("POST", get("/guest", "Transfer-Encoding: chunked", method="POST") + b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        ("POST", post("/guest/parts", b"body"), b"bodymore"),
        ("GET", get("/guest"), b"got"),
    ]
    for method, request, body in requests:
        web.send(request)
        status, _, found = web.response(method)
        assert (status, found) == (200, body), request
    assert "Assertion" not in capfd.readouterr().err


# -- layers and scopes ---------------------------------------------------------------------------------------------


def test_guests_stand_inside_the_layers_and_the_scope(app_factory: AppFactory, link: Links) -> None:
    app = app_factory(conf={"servers": {"web": {"kind": "http", "layers": ["tests.servers.guests.test_wsgi:sign"]}}})

    def guest(environ: Environ, start_response: Start) -> list[bytes]:
        from greenimi.container.context import scope

        start_response("200 OK", PLAIN)
        return [str(scope().message).encode()]

    mount(app, guest)
    web = link(app)
    web.send(get("/guest"))
    _, headers, body = web.response()
    assert (headers["X-Layer"], body) == ("seen", b"<Request GET /guest>")


def sign(request: Any, proceed: Callable[[Any], Any]) -> Any:
    response = proceed(request)
    response.headers = (*response.headers, ("X-Layer", "seen"))
    return response


def test_a_body_that_a_layer_has_read_is_there_for_the_guest(app_factory: AppFactory, link: Links) -> None:
    app = app_factory(conf={"servers": {"web": {"kind": "http", "layers": ["tests.servers.guests.test_wsgi:read_it"]}}})
    mount(app, ask_input(lambda file: file.read()))
    web = link(app)
    web.send(post("/guest", b"body"))
    assert web.response()[2] == b"b'body'"


def read_it(request: Any, proceed: Callable[[Any], Any]) -> Any:
    request.body()
    return proceed(request)


def test_a_guest_that_blocks_lets_others_run(app: App, link: Links) -> None:
    gate = Event()
    mount(app, lambda environ, start: (gate.wait(), start("200 OK", PLAIN), [b"late"])[2])
    slow, quick = link(app), link(app)
    slow.send(get("/guest"))
    quick.send(get("/item/1"))
    assert quick.response()[2] == b"1"
    gate.set()
    assert slow.response()[2] == b"late"
