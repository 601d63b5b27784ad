"""An application as a WSGI callable: what comes in, what goes out, and under servers of others."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from greenimi import Request, Response, get, http, post, websocket
from greenimi.config import Config
from greenimi.container.context import scope
from greenimi.errors import ConfigError, StartError, TooLarge
from greenimi.marks import opened
from greenimi.servers.guests.wsgi import load_guest
from greenimi.testing.support import free_port, make_app, wait_until
from greenimi.wsgi import InputBody, WsgiApplication, application
from tests.servers.guests.test_wsgi import Guest, says

ROOT = Path(__file__).parents[1]
CONF = {"servers": {"web": {"kind": "http", "max_body": 1000}, "till": {"kind": "tcp"}}}
closed: list[str] = []


@http
class Web:
    @get("/hello/{name}")
    def hello(self, name: str, q: str = "") -> dict[str, str]:
        return {"hello": name, "q": q}

    @post("/echo")
    def echo(self, payload: Any) -> Any:
        return payload

    @post("/sizes")
    def sizes(self, request: Request) -> list[int]:
        assert request.stream is not None
        return [len(chunk) for chunk in request.stream]

    @post("/whole")
    def whole(self, request: Request) -> int:
        return len(request.body())

    @get("/count/{number:int}")
    def count(self, number: int) -> Iterator[str]:
        scope().defer(closed.append, "deferred")
        for at in range(number):
            yield f"{at},"

    @get("/broken")
    def broken(self) -> Iterator[bytes]:
        scope().defer(closed.append, "deferred")
        yield b"one"
        raise ValueError("broken")

    @get("/nothing")
    def nothing(self) -> None: ...

    @get("/fields")
    def fields(self, request: Request) -> Response:
        return Response(b"x", 299, headers=[("X-Got", request.headers.get("x-sent", "")), ("Connection", "close"), ("Content-Length", "9")])

    @get("/bad")
    def bad(self) -> Response:
        return Response(b"x", headers=[("X", "a\r\nSet-Cookie: b")])

    @get("/where")
    def where(self, request: Request) -> dict[str, Any]:
        connection = request.connection
        return {"address": connection.address, "secure": connection.secure, "server": connection.server.name, "target": request.target}


@websocket("/chat")
class Chat:
    @opened
    def enter(self) -> None: ...


@pytest.fixture
def wsgi() -> Iterator[WsgiApplication]:
    closed.clear()
    made = WsgiApplication(make_app(CONF, [Web, Chat]))
    yield made
    made.close()


Answer = tuple[str, dict[str, str], bytes]


def ask(wsgi: WsgiApplication, path: str = "/", method: str = "GET", body: bytes | None = None, **more: Any) -> Answer:
    """The answer to a request, judged by PEP 3333's validator."""
    environ: dict[str, Any] = {"REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": ""}
    environ["wsgi.input"] = io.BytesIO(body or b"")
    if body is not None:
        environ["CONTENT_LENGTH"] = str(len(body))
    environ.update(more)
    setup_testing_defaults(environ)
    said: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        said[:] = [status, dict(headers)]
        return lambda data: None

    result = validator(wsgi)(environ, start_response)
    try:
        text = b"".join(result)
        return said[0], said[1], text
    finally:
        result.close()  # type: ignore[attr-defined]


# -- in and out ----------------------------------------------------------------------------------------------------


def test_a_request_and_its_answer(wsgi: WsgiApplication) -> None:
    status, headers, body = ask(wsgi, "/hello/\xc3\xa9", QUERY_STRING="q=%20x")
    assert (status, headers) == ("200 OK", {"Content-Type": "application/json", "Content-Length": str(len(body))})
    assert body == '{"hello":"\u00e9","q":" x"}'.encode()
    assert ask(wsgi, "/hello/x", "HEAD") == ("200 OK", {"Content-Type": "application/json", "Content-Length": "20"}, b"")
    assert ask(wsgi, "/nothing") == ("204 No Content", {}, b"")


def test_fields_go_both_ways(wsgi: WsgiApplication) -> None:
    status, headers, _ = ask(wsgi, "/fields", HTTP_X_SENT="yes")
    assert status == "299 Unknown"
    assert headers == {"Content-Type": "text/plain; charset=utf-8", "X-Got": "yes", "Content-Length": "1"}


def test_a_multipart_form_may_be_larger_than_other_bodies() -> None:
    made = WsgiApplication(make_app({"servers": {"web": {"kind": "http", "max_body": 1000, "uploads": {"max_body": 3000}}}}, [Web]))
    try:
        form: dict[str, Any] = {"CONTENT_TYPE": "multipart/form-data; boundary=b"}
        assert ask(made, "/sizes", "POST", b"x" * 3000, **form)[2] == b"[3000]"
        assert ask(made, "/sizes", "POST", b"x" * 3001, **form)[0].startswith("413 ")
        assert ask(made, "/whole", "POST", b"x" * 1001, **form)[0].startswith("413 ")
        assert ask(made, "/sizes", "POST", b"x" * 1001)[0].startswith("413 ")
    finally:
        made.close()


def test_bodies(wsgi: WsgiApplication) -> None:
    assert ask(wsgi, "/echo", "POST", b'{"a": 1}', CONTENT_TYPE="application/json")[2] == b'{"a":1}'
    chunked: dict[str, Any] = {"wsgi.input": io.BytesIO(b"x" * 900), "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    assert ask(wsgi, "/sizes", "POST", **chunked)[2] == b"[900]"
    chunked["wsgi.input"] = io.BytesIO(b"x" * 1100)
    assert ask(wsgi, "/sizes", "POST", **chunked)[0].startswith("413 ")
    assert ask(wsgi, "/sizes", "POST", b"x" * 1001)[0].startswith("413 ")
    assert ask(wsgi, "/sizes", "POST", b"x" * 500, CONTENT_LENGTH="501")[0] == "400 Bad Request"
    assert ask(wsgi, "/hello/x", CONTENT_LENGTH="")[0] == "200 OK"


def test_streams_are_made_as_they_are_read(wsgi: WsgiApplication) -> None:
    status, headers, body = ask(wsgi, "/count/3")
    assert (status, body, closed) == ("200 OK", b"0,1,2,", ["deferred"])
    assert "Content-Length" not in headers
    assert ask(wsgi, "/count/0")[2] == b""
    assert ask(wsgi, "/count/3", "HEAD")[2] == b""


def test_an_error_in_a_stream_is_the_servers_to_handle(wsgi: WsgiApplication) -> None:
    with pytest.raises(ValueError, match="broken"):
        ask(wsgi, "/broken")
    assert closed == ["deferred"]


def test_a_client_that_leaves_in_the_middle(wsgi: WsgiApplication) -> None:
    environ: dict[str, Any] = {"PATH_INFO": "/count/1000"}
    setup_testing_defaults(environ)
    result: Any = wsgi(environ, lambda status, headers: None)
    assert next(result) == b"0,"
    assert closed == []
    result.close()
    assert closed == ["deferred"]


def test_mistakes(wsgi: WsgiApplication) -> None:
    assert ask(wsgi, "/nowhere")[0] == "404 Not Found"
    assert ask(wsgi, "/bad")[0] == "500 Internal Server Error"
    assert ask(wsgi, "/\xff")[0] == "400 Bad Request"
    status, headers, _ = ask(wsgi, "/chat", HTTP_CONNECTION="Upgrade", HTTP_UPGRADE="websocket")
    assert (status, headers["Upgrade"]) == ("426 Upgrade Required", "websocket")


def test_who_is_asking(wsgi: WsgiApplication) -> None:
    environ: dict[str, Any] = {"wsgi.url_scheme": "https", "REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "99", "QUERY_STRING": "a=%20"}
    found = ask(wsgi, "/where", **environ)[2]
    assert found == b'{"address":["192.0.2.1",99],"secure":true,"server":"web","target":"/where?a=%20"}'


def test_guests_below(wsgi: WsgiApplication) -> None:
    ask(wsgi)
    server: Any = wsgi.app.doors.servers["web"]
    for prefix, guest in (("/guest", Guest(b"hello")), ("/file", file_of(b"abc" * 5)), ("/write", writes)):
        server.pipeline.mount(prefix, load_guest(guest, prefix, server.settings))
    assert ask(wsgi, "/guest")[2] == b"hello"
    assert ask(wsgi, "/file")[2] == b"abc" * 5
    assert ask(wsgi, "/write")[0] == "500 Internal Server Error"


def file_of(data: bytes) -> Callable[..., Any]:
    return lambda environ, start: says(body=environ["wsgi.file_wrapper"](io.BytesIO(data), 4))(environ, start)


def writes(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [])(b"x")
    return []


# -- what is served ------------------------------------------------------------------------------------------------


def test_the_server_of_conf_is_chosen() -> None:
    two = {"servers": {"web": {"kind": "http"}, "admin": {"kind": "http", "layers": ["tests.servers.guests.test_wsgi:sign"]}}}
    with pytest.raises(StartError, match="web, admin"):
        WsgiApplication(make_app(two))
    with pytest.raises(StartError, match=r"'shop'.*web, admin"):
        WsgiApplication(make_app(two), "shop")
    with pytest.raises(StartError, match="none"):
        WsgiApplication(make_app({"servers": {"till": {"kind": "tcp"}}}))
    admin = WsgiApplication(make_app(two, [Web]), "admin")
    try:
        assert ask(admin, "/fields")[1]["X-Layer"] == "seen"
    finally:
        admin.close()
    admin.close()


def test_it_starts_with_the_first_request() -> None:
    wsgi = WsgiApplication(make_app(CONF, [Web]))
    assert wsgi.app.doors.servers == {}
    threads = [threading.Thread(target=ask, args=(wsgi, "/hello/x")) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(wsgi.app.doors.servers) == ["web", "till"]
    assert isinstance(wsgi.app.config, Config)
    wsgi.close()


def test_a_missing_conf(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no"):
        application(tmp_path / "app.toml")


# -- under servers of others ---------------------------------------------------------------------------------------

APP = """
import os, time
from greenimi import get, http, post

@http
class Web:
    @get("/hello")
    def hello(self) -> str:
        return "hello"

    @get("/slow")
    def slow(self) -> str:
        time.sleep(0.3)
        return "slow"

    @post("/size")
    def size(self, payload: bytes) -> int:
        return len(payload)

    @get("/stream")
    def stream(self):
        for number in range(3):
            yield f"{number},"
"""
TOML = 'include = ["shop_app"]\n[servers.web]\nkind = "http"\nbind = "127.0.0.1:1"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop_app.py").write_text(APP)
    (tmp_path / "app.toml").write_text(TOML)
    return tmp_path


def talk(port: int) -> None:
    """What every server has to get right."""
    link = HTTPConnection("127.0.0.1", port, timeout=10)

    def answer(method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        link.request(method, path, body, headers)
        found = link.getresponse()
        return found.status, found.read()

    assert answer("GET", "/hello") == (200, b"hello")
    assert answer("HEAD", "/hello") == (200, b"")
    assert answer("GET", "/stream") == (200, b"0,1,2,")
    binary = {"Content-Type": "application/octet-stream"}
    assert answer("POST", "/size", b"x" * 100_000, **binary) == (200, b"100000")
    assert answer("GET", "/nowhere")[0] == 404
    link.close()


@pytest.mark.live
@pytest.mark.parametrize(
    "options", [["-k", "gevent"], ["-k", "gthread", "--threads", "4"], ["-k", "sync"], ["-k", "gevent", "--preload"]], ids=" ".join
)
def test_under_gunicorns_own_workers(folder: Path, options: list[str]) -> None:
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "--no-control-socket", *options, "greenimi.wsgi:application()"]
    env = {**os.environ, "GREENIMI_CONF": str(folder / "app.toml"), "PYTHONPATH": str(ROOT)}
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=out)
    try:

        def up() -> bool:
            assert process.poll() is None, log.read_text()
            return "Booting worker" in log.read_text()

        wait_until(up, 30)
        talk(port)
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(30)
    assert status == 0, log.read_text()
    assert "Traceback" not in log.read_text(), log.read_text()


@pytest.mark.live
def test_under_wsgiref(folder: Path) -> None:
    class Quiet(WSGIRequestHandler):
        def log_message(self, *args: Any) -> None: ...

    before = list(sys.path)
    wsgi = application(folder / "app.toml")
    try:
        with make_server("127.0.0.1", 0, validator(wsgi), handler_class=Quiet) as server:
            serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            serving.start()
            talk(server.server_port)
            server.shutdown()
            serving.join()
    finally:
        wsgi.close()
        sys.path[:] = before
        sys.modules.pop("shop_app", None)


def test_a_body_is_read_up_to_what_its_route_takes() -> None:
    body = InputBody(io.BytesIO(b"x" * 200_000), None, 10**6)
    body.most = 100_000
    assert len(body.read_chunk()) < 100_000
    with pytest.raises(TooLarge, match="over 100000 bytes"):
        body.read()
