"""What a WSGI application is told of a request."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from typing import Any

import pytest

from greenimi.app import App
from greenimi.servers.guests import environ as wsgi_environ
from greenimi.testing.support import wait_until
from tests.apps.echo import Stage
from tests.servers.guests.test_wsgi import PLAIN, Environ, Guest, Links, Start, ask_input, get, mount, post

# -- the environ ---------------------------------------------------------------------------------------------------


def test_environ_of_a_request(app: App, link: Links) -> None:
    guest = Guest(b"hello")
    mount(app, guest)
    web = link(app)
    web.send(get("/guest/a%20b/%C3%A9?x=1&y=%20", "X-One: 1", "x-one:  2 ", "Cookie: a=1", "Cookie: b=2", "Connection: keep-alive"))
    assert web.response()[2] == b"hello"
    environ = guest.environ
    assert {key: environ[key] for key in environ if key.isupper()} == {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "/guest",
        "PATH_INFO": "/a b/\xc3\xa9",
        "QUERY_STRING": "x=1&y=%20",
        "RAW_URI": "/guest/a%20b/%C3%A9?x=1&y=%20",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_SOFTWARE": "greenimi",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "0",
        "HTTP_HOST": "x",
        "HTTP_X_ONE": "1, 2",
        "HTTP_COOKIE": "a=1; b=2",
        "HTTP_CONNECTION": "keep-alive",
    }
    assert environ["wsgi.url_scheme"] == "http"
    assert (environ["wsgi.version"], environ["wsgi.multithread"], environ["wsgi.multiprocess"]) == ((1, 0), True, True)
    assert environ["wsgi.input_terminated"] is True
    assert environ["wsgi.input"].read() == b""


def test_what_a_trusted_proxy_tells_of_the_client(make_echo: Callable[..., App], link: Links) -> None:
    own = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-prefix"]
    app = make_echo(web={"trusted": ["127.0.0.1"], "forwarded": own})
    guest = Guest(b"")
    mount(app, guest)
    web = link(app)
    told = ["X-Forwarded-For: 192.0.2.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example", "X-Forwarded-Prefix: /shop"]
    web.send(get("/guest/a", *told))
    assert web.response()[0] == 200
    environ = guest.environ
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"], environ["HTTP_HOST"]) == ("192.0.2.9", "https", "shop.example")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/shop/guest", "/a")
    assert "REMOTE_PORT" not in environ
    web.send(get("/guest/a"))
    assert web.response()[0] == 200
    assert (guest.environ["REMOTE_ADDR"], guest.environ["REMOTE_PORT"]) == ("127.0.0.1", "0")


def test_fields_that_could_be_taken_for_others_are_left_out(app: App, link: Links) -> None:
    guest = Guest(b"")
    mount(app, guest)
    web = link(app)
    web.send(get("/guest", "X_Forwarded_For: evil", "Content_Length: 5", "Proxy: http://evil", "X-Fine: yes"))
    assert web.response()[0] == 200
    assert {key for key in guest.environ if key.startswith(("HTTP_", "CONTENT"))} == {"HTTP_HOST", "HTTP_X_FINE"}


def test_an_environ_is_the_guests_own(app: App, link: Links) -> None:
    guest = Guest(b"")
    mount(app, guest)
    web = link(app)
    web.send(get("/guest/x", "X-Secret: 1"))
    web.response()
    guest.environ["wsgi.secret"] = 1
    guest.environ["wsgi.input"].close()
    web.send(get("/guest"))
    web.response()
    assert "HTTP_X_SECRET" not in guest.environ
    assert "wsgi.secret" not in guest.environ
    assert guest.environ["PATH_INFO"] == ""
    assert guest.environ["wsgi.input"].read() == b""


def test_an_absolute_target(app: App, link: Links) -> None:
    guest = Guest(b"")
    mount(app, guest)
    web = link(app)
    web.send(get("http://x/guest/a%2Fb?q"))
    web.response()
    assert (guest.environ["PATH_INFO"], guest.environ["QUERY_STRING"]) == ("/a/b", "q")


def test_a_slash_in_the_query_of_an_absolute_target_begins_no_path(app: App, link: Links) -> None:
    inner, outer = Guest(b"inner"), Guest(b"outer")
    mount(app, inner, "/guest")
    mount(app, outer, "/")
    web = link(app)
    for query in ("/guest/a", "%2F/guest"):
        web.send(get(f"http://x?{query}"))
        assert web.response()[2] == b"outer"
        assert (outer.environ["PATH_INFO"], outer.environ["QUERY_STRING"]) == ("/", query)


def test_names_of_fields_that_clients_make_up_are_not_kept(app: App, link: Links) -> None:
    guest = Guest(b"")
    mount(app, guest)
    web = link(app)
    web.send(get("/guest", f"X-{'a' * 1000}: 1"))
    web.response()
    assert guest.environ[f"HTTP_X_{'A' * 1000}"] == "1"
    assert max(map(len, wsgi_environ._keys)) <= 64


def test_a_tls_connection_is_told(app: App, link: Links) -> None:
    guest = Guest(b"")
    mount(app, guest)
    web = link(app)
    connection: Any
    (connection,) = app.doors.servers["web"].connections
    connection.tls = object()
    web.send(get("/guest"))
    assert web.response()[0] == 200
    assert guest.environ["wsgi.url_scheme"] == "https"


# -- bodies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    "call",
    [
        lambda file: file.read(),
        lambda file: (file.read(4), file.read(0), file.read(100000), file.read(5)),
        lambda file: (file.readline(), file.readline(2), file.readline(-1), file.readlines()),
        list,
        lambda file: (next(file), file.read()),
    ],
)
def test_the_input_is_a_file(app: App, link: Links, call: Callable[[Any], Any], chunked: bool) -> None:
    body = b"one\ntwo two\nthree\n" + b"x" * 80_000 + b"\nend"
    mount(app, ask_input(call))
    web = link(app)
    if chunked:
        pieces = [body[at : at + 7000] for at in range(0, len(body), 7000)]
        web.send(get("/guest", "Transfer-Encoding: chunked", method="POST"))
        for piece in pieces:
            web.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        web.send(b"0\r\n\r\n")
    else:
        web.send(post("/guest", body))
    assert web.response()[2] == repr(call(io.BytesIO(body))).encode()


def test_the_input_is_read_while_it_arrives(app: App, stage: Stage, link: Links) -> None:
    def guest(environ: Environ, start_response: Start) -> list[bytes]:
        for line in environ["wsgi.input"]:
            stage.log.append(line)
        start_response("200 OK", PLAIN)
        return [b"read"]

    mount(app, guest)
    web = link(app)
    web.send(get("/guest", "Content-Length: 8", "Expect: 100-continue", method="POST"))
    assert web.line() == b"HTTP/1.1 100 Continue\r\n"
    assert web.line() == b"\r\n"
    web.send(b"one\n" + b"tw")
    wait_until(lambda: stage.log == [b"one\n"])
    web.send(b"o\n" + get("/item/1"))
    assert web.response()[2] == b"read"
    assert stage.log == [b"one\n", b"two\n"]
    assert web.response()[2] == b"1"


def test_a_body_that_nobody_reads_is_not_the_next_request(app: App, stage: Stage, link: Links) -> None:
    mount(app, Guest(b"hello"))
    web = link(app)
    web.send(post("/guest", get("/item/7", method="DELETE")) + get("/item/1"))
    assert [web.response()[2], web.response()[2]] == [b"hello", b"1"]
    web.send(get("/guest", "Content-Length: 500000", method="POST") + b"x" * 100_000)
    status, headers, body = web.response()
    assert (status, headers["Connection"], body) == (200, "close", b"hello")
    assert web.read_all() == b""
    assert stage.log == []


@pytest.mark.parametrize("nonsense", [b"nonsense\r\n", b""])
def test_a_broken_body_is_an_oserror_to_the_guest(app: App, stage: Stage, link: Links, nonsense: bytes) -> None:
    def guest(environ: Environ, start_response: Start) -> list[bytes]:
        stage.log.append(environ["wsgi.input"].read(3))
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            stage.log.append(type(error).__name__)
            raise
        return []

    mount(app, guest)
    web = link(app)
    web.send(get("/guest", "Transfer-Encoding: chunked", method="POST") + b"3\r\nabc\r\n")
    wait_until(lambda: stage.log)
    web.send(nonsense)
    web.sock.shutdown(socket.SHUT_WR)
    assert web.response()[0] == 400
    assert stage.log == [b"abc", "BrokenBody"]
