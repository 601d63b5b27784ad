"""What was let in for an identity ends with it."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Iterator

import pytest

from greenimi import Identity, get, http
from greenimi.app import App
from greenimi.errors import ConnectionClosed, HandlerTimeout, Unauthorized
from greenimi.servers.expiry import Expiries
from greenimi.servers.handlers import HandlerPool
from greenimi.testing.clients import HttpClient, MessageClient, WebSocketClient
from greenimi.testing.plugin import AppFactory, Serve
from greenimi.testing.support import wait_until
from greenimi.web.sse import EventStream
from tests.apps import members
from tests.apps.members import Members


@pytest.fixture
def app(app_factory: AppFactory) -> App:
    return app_factory([members, Events], members.CONF)


@pytest.fixture
def known(app: App) -> Iterator[Members]:
    found = app.container.get(Members)
    yield found
    found.gate.set()


@http
class Events:
    def __init__(self, members: Members) -> None:
        self.members = members

    @get("/events")
    def events(self, identity: Identity) -> EventStream:
        def made() -> Iterator[str]:
            yield identity.id
            self.members.gate.wait()

        return EventStream(made())


BEARER = {"Authorization": "Bearer ann"}


def test_a_websocket_is_closed_with_4401(app: App, known: Members) -> None:
    known.lasts("ann", 0.2)
    with WebSocketClient(app, "/club", headers=BEARER) as club:
        club.wait_closed()
        assert (club.close_code, club.close_reason) == (4401, "the identity has expired")


def test_closed_handlers_know_whose_it_was(app: App, known: Members) -> None:
    known.lasts("ann", 0.2)
    with WebSocketClient(app, "/talk", headers=BEARER) as chat:
        chat.wait_closed()
    wait_until(lambda: len(known.happened) == 2)
    assert known.happened == ["enter ann", "leave ann"]


def test_a_tcp_connection_is_closed(app: App, known: Members) -> None:
    known.lasts("ann", 0.2)
    with MessageClient(app, "till") as till:
        assert till.request("x", token="ann") == {"identity": "ann"}
        till.wait_closed()
    wait_until(lambda: bool(known.happened))
    assert known.happened == ["leave ann"]


def test_another_identity_takes_over(app: App, known: Members) -> None:
    expiries = app.doors.runtime.expiries
    known.lasts("ann", 1000)
    with WebSocketClient(app, "/talk", headers=BEARER) as chat:
        assert len(expiries) == 1
        chat.request("become", name="bob")
        assert len(expiries) == 0
        assert chat.request("me") == "bob"
        chat.request("become", name="carol", seconds=0.2)
        chat.wait_closed()
        assert chat.close_code == 4401


def test_who_left_is_not_waited_for(app: App, known: Members) -> None:
    known.lasts("ann", 1000)
    with WebSocketClient(app, "/talk", headers=BEARER):
        assert len(app.doors.runtime.expiries) == 1
    wait_until(lambda: len(app.doors.runtime.expiries) == 0)


@pytest.mark.parametrize("path", ["/ticks", "/events"])
def test_a_stream_is_cut_off(app: App, known: Members, caplog: pytest.LogCaptureFixture, path: str) -> None:
    known.lasts("ann", 0.2)
    with caplog.at_level(logging.WARNING), HttpClient(app) as web:
        stream = web.stream("GET", path, headers=BEARER)
        assert stream.status == 200
        with pytest.raises(ConnectionClosed):
            list(stream)
    if path == "/ticks":
        wait_until(lambda: known.happened == ["ticks ended"])
    wait_until(lambda: app.doors.runtime.handlers.busy == 0)
    assert len(app.doors.runtime.expiries) == 0
    assert caplog.records == []


def test_a_stream_that_ended_in_time_is_forgotten(app: App, known: Members) -> None:
    known.lasts("ann", 1000)
    known.gate.set()
    with HttpClient(app) as web:
        assert web.get("/ticks", headers=BEARER).text == "begunlate"
        assert web.get("/events", headers=BEARER).status == 200
    assert len(app.doors.runtime.expiries) == 0


@pytest.mark.live
def test_a_stream_of_http2_is_reset(serve: Serve) -> None:
    served = serve([members], members.CONF)
    known = served.app.container.get(Members)
    known.lasts("ann", 0.2)
    host, port = served.addresses["web"]
    command = ["curl", "-s", "--http2-prior-knowledge", "-H", "Authorization: Bearer ann", f"http://{host}:{port}/ticks"]
    ended = subprocess.run(command, capture_output=True, timeout=20, check=False)
    known.gate.set()
    assert (ended.returncode, ended.stdout) == (92, b"begun")  # 92: HTTP/2 stream error
    assert known.happened == ["ticks ended"]


# -- the registry alone --------------------------------------------------------------------------------------------


def test_only_what_is_due_is_called_and_once() -> None:
    expiries = Expiries(HandlerPool())
    called: list[str] = []
    expiries.watch("past", time.time() - 1, lambda: called.append("past"))
    expiries.watch("future", time.time() + 1000, lambda: called.append("future"))
    expiries.watch("forgotten", time.time() - 1, lambda: called.append("forgotten"))
    expiries.forget("forgotten")
    expiries.forget("never there")
    expiries.look(0)
    expiries.look(0)
    assert called == ["past"]
    assert len(expiries) == 1


def test_one_that_fails_does_not_keep_the_others(caplog: pytest.LogCaptureFixture) -> None:
    expiries = Expiries(HandlerPool())
    called: list[str] = []

    def fails() -> None:
        raise RuntimeError("no")

    expiries.watch("a", 0, fails)
    expiries.watch("b", 0, lambda: called.append("b"))
    expiries.look(0)
    assert called == ["b"]
    assert "'a' cannot be ended" in caplog.text


def test_the_next_part_is_refused_where_nobody_waited() -> None:
    expiries = Expiries(HandlerPool())
    parts = expiries.until(iter("abc"), 0.0)
    assert next(parts) == "a"
    expiries.look(0)
    with pytest.raises(Unauthorized):
        next(parts)


def test_the_timeout_of_somebody_else_is_not_taken_for_ours() -> None:
    def late(number: int) -> str:
        raise HandlerTimeout("handler_time")

    parts = Expiries(HandlerPool()).until(map(late, [1]), time.time() + 100)
    with pytest.raises(HandlerTimeout, match="handler_time"):
        next(parts)
