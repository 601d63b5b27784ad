"""Applications of other frameworks under our worker, asked by clients of others."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
import socketio  # type: ignore[import-untyped]
from websockets.exceptions import ConnectionClosedOK, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from greenimi.testing.gunicorn import Gunicorn
from greenimi.testing.support import wait_until

pytestmark = pytest.mark.live

# Not imported here: some of what it imports warns, and it is served by a process of its own.
SOURCE = Path(__file__).with_name("apps") / "guests.py"
CONF = """
include = ["tests.live.apps.guests"]

[workers]
handlers = 8
drain_window = 0.2

[servers.web]
kind = "http"

[servers.web.mount]
"/bare" = "tests.live.apps.guests:bare"
"/flask" = "tests.live.apps.guests:shop"
"/django" = "tests.live.apps.guests:make_django()"
"/pyramid" = "tests.live.apps.guests:make_pyramid()"
"/rooms" = "tests.live.apps.guests:rooms"
"/resource" = "tests.live.apps.guests:resource"
"""


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Gunicorn]:
    folder = tmp_path_factory.mktemp("guests")
    file = folder / "app.toml"
    file.write_text(CONF)
    made = Gunicorn(pytestconfig.rootpath / "conf/gunicorn.conf.py", file, 1, {}, folder / "gunicorn.log")
    made.start()
    yield made
    made.stop()
    assert made.log.count("Booting worker") == 1, made.log


@pytest.fixture(scope="module")
def url(gunicorn: Gunicorn) -> str:
    return "http://{}:{}".format(*gunicorn.addresses["web"])


@pytest.fixture
def web(url: str) -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session
        assert session.get(f"{url}/own").status_code == 200  # the connection, and the worker, are in order


# -- pages -------------------------------------------------------------------------------------------------------------


def test_a_bare_application(url: str, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"x" * 300_000)

    def curl(*words: str) -> bytes:
        return subprocess.run(["curl", "-sS", "--max-time", "10", *words], check=True, stdout=subprocess.PIPE).stdout

    assert curl(f"{url}/bare/a%20b") == b"/a b "
    assert curl(f"{url}/bare/") == b"/ "
    assert curl("-I", f"{url}/bare").startswith(b"HTTP/1.1 200 OK\r\n")
    assert curl("--data-binary", f"@{body}", f"{url}/bare/x") == b"/x " + body.read_bytes()
    assert curl("--data-binary", f"@{body}", "-H", "Transfer-Encoding: chunked", f"{url}/bare/x") == b"/x " + body.read_bytes()
    assert curl("--http1.0", f"{url}/bare/old", f"{url}/bare/twice") == b"/old /twice "


def test_flask(url: str, web: requests.Session) -> None:
    assert web.get(f"{url}/flask/items/\u00e9?a=1").json() == {
        "name": "\u00e9",
        "form": {},
        "args": {"a": "1"},
        "link": "/flask/items/%C3%A9",
        "seen": 1,
    }
    answer = web.post(f"{url}/flask/items/x", data={"b": "2"}).json()
    assert (answer["form"], answer["seen"]) == ({"b": "2"}, 2)
    assert web.post(f"{url}/flask/upload", files={"file": bytes(2_000_000)}).text == "2000000"
    assert web.get(f"{url}/flask/stream?of=3").text == "0 of 3\n1 of 3\n2 of 3\n"
    assert web.get(f"{url}/flask/file").content == SOURCE.read_bytes()
    part = web.get(f"{url}/flask/file", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, SOURCE.read_bytes()[10:20])
    assert web.get(f"{url}/flask/memory").content == b"x" * 100_000
    assert web.head(f"{url}/flask/memory").headers["Content-Length"] == "100000"
    assert web.get(f"{url}/flask/nowhere").status_code == 404
    assert web.get(f"{url}/flask/broken").status_code == 500


def test_django(url: str, web: requests.Session) -> None:
    assert web.get(f"{url}/django/items/x").json() == {"name": "x", "path": "/django/items/x", "post": {}, "secure": False}
    assert web.get(f"{url}/django/stream").text == "one two"
    assert web.post(f"{url}/django/items/x", data={"a": "1"}).json()["post"] == {"a": "1"}


def test_pyramid(url: str, web: requests.Session) -> None:
    assert web.get(f"{url}/pyramid/items/x").text == "x /pyramid/items/x /pyramid/items/y"
    assert web.get(f"{url}/pyramid/nowhere").status_code == 404


# -- WebSockets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("transports", "spoken"), [(["polling"], "polling"), (["websocket"], "websocket"), (None, "websocket")])
def test_flask_socketio(url: str, transports: list[str] | None, spoken: str) -> None:
    heard: list[str] = []
    clients = [socketio.Client(reconnection=False) for _ in range(2)]
    try:
        for client in clients:
            client.on("said", heard.append)
            client.connect(url, socketio_path="/rooms/socket.io", transports=transports, wait_timeout=5)
        wait_until(lambda: {client.call("transport", timeout=5) for client in clients} == {spoken})
        assert clients[0].call("say", "hello", timeout=5) == "heard hello"
        wait_until(lambda: heard == ["hello"] * 2)
        assert clients[1].call("say", "x" * 50_000, timeout=5) == "heard " + "x" * 50_000
        wait_until(lambda: len(heard) == 4)
    finally:
        for client in clients:
            client.disconnect()


def test_a_resource(url: str) -> None:
    address = url.replace("http", "ws") + "/resource/chat"
    with connect(address, compression="deflate") as one, connect(address) as two:
        one.send("hello")
        assert [one.recv(5), two.recv(5)] == ["hello", "hello"]
        two.send(b"bytes" * 10_000)
        assert [one.recv(5), two.recv(5)] == [b"bytes" * 10_000] * 2
        one.close(1000)
        two.send("still here")
        assert two.recv(5) == "still here"
        two.ping().wait(5)
    with pytest.raises(InvalidStatus) as caught:
        connect(address, origin=Origin("http://evil.example"))
    assert caught.value.response.status_code == 403
    assert requests.get(f"{url}/resource/page", timeout=5).text == "/page "


def test_websockets_that_wait_take_no_handlers(url: str) -> None:
    address = url.replace("http", "ws") + "/resource/chat"
    with ExitStack() as ends:
        clients = [ends.enter_context(connect(address)) for _ in range(20)]  # the worker has 8
        assert json.loads(requests.get(f"{url}/own", timeout=5).text) > 0
        clients[0].send("all")
        assert [client.recv(5) for client in clients] == ["all"] * 20


def test_a_worker_that_stops_says_goodbye(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    file = tmp_path / "app.toml"
    file.write_text(CONF)
    made = Gunicorn(pytestconfig.rootpath / "conf/gunicorn.conf.py", file, 1, {}, tmp_path / "gunicorn.log")
    try:
        made.start()
        with connect("ws://{}:{}/resource/chat".format(*made.addresses["web"])) as client:
            client.send("hello")
            assert client.recv(5) == "hello"
            begun = time.monotonic()
            assert made.process is not None
            made.process.terminate()
            with pytest.raises(ConnectionClosedOK) as caught:
                client.recv(35)
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code in (1001, 1012)
        assert made.stop() == 0
        assert time.monotonic() - begun < 25
    finally:
        made.stop()
