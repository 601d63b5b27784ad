from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from greenimi import opened, tcp, websocket
from greenimi.app import App
from greenimi.hub import Hub
from greenimi.hub.ids import parse, process_of
from greenimi.interfaces import IConnection
from greenimi.message import Identity
from greenimi.testing.clients import WebSocketClient
from greenimi.testing.plugin import AppFactory, Serve
from greenimi.testing.support import wait_until
from tests.servers.conftest import Link
from tests.servers.test_outbox import only

Links = Callable[..., Link]
CONF: dict[str, Any] = {"servers": {"web": {"kind": "http"}, "till": {"kind": "tcp"}}}


@tcp
@websocket("/lobby")
class Lobby:
    @opened
    def enter(self, connection: IConnection) -> None:
        connection.data["opened"] = connection.id


@pytest.fixture
def app(app_factory: AppFactory) -> App:
    return app_factory([Lobby], CONF)


def hub_of(app: App) -> Hub:
    return app.container.get(Hub)


def test_number_names_its_process_and_no_other_has_it(app: App, link: Links) -> None:
    hub = hub_of(app)
    for _ in range(5):
        link(app, "till")
    wait_until(lambda: len(hub.connections) == 5)
    assert len({connection.id for connection in hub.connections.values()}) == 5
    for number, connection in hub.connections.items():
        assert (connection.number, parse(connection.id), process_of(number)) == (number, number, hub.process)
        assert repr(connection).startswith(f"<connection {number} of till from ")


def test_facts(serve: Serve) -> None:
    import socket

    app, addresses = serve([Lobby], CONF)
    before = time.time()
    with socket.create_connection(addresses["till"]) as sock:
        wait_until(lambda: hub_of(app).connections)
        connection: Any = only(app)
        assert connection.address == sock.getsockname()
        assert connection.local_address == sock.getpeername()
        assert (connection.secure, connection.tls, connection.identity, connection.is_open) == (False, None, None, True)
        assert connection.subprotocol == ""
        assert before - 1 <= connection.opened_at <= time.time()
        assert connection.opened_at - 2 <= connection.last_seen <= time.time() + 1
        connection.server.now += 100  # by the clock of the server
        sock.sendall(b'{"action": "none"}\n')
        wait_until(lambda: connection.heard == connection.server.now)
        wait_until(lambda: connection.data.get("opened") == connection.id)
    wait_until(lambda: not connection.is_open)
    assert connection.local_address is None
    assert hub_of(app).connections == {}


def test_http_connection_is_known_when_it_speaks_messages(app: App, link: Links) -> None:
    hub = hub_of(app)
    plain = link(app, "web")
    plain.send(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
    plain.response()
    assert hub.connections == {}
    with WebSocketClient(app, "/lobby"):
        wait_until(lambda: len(hub.connections) == 1)
        (connection,) = hub.connections.values()
        assert connection.dialect is not None
    wait_until(lambda: not hub.connections)
    assert hub.numbers()["connections"] == 0


def test_data_and_links_are_made_on_demand(app_factory: AppFactory, link: Links) -> None:
    app = app_factory([], {"servers": {"till": {"kind": "tcp"}}})
    link(app, "till")
    wait_until(lambda: hub_of(app).connections)
    connection: Any = only(app)
    assert (connection._data, connection.links) == (None, None)
    assert connection.data is connection.data


def test_identity_binds_its_user_whenever_it_comes(app: App, link: Links) -> None:
    hub = hub_of(app)
    till = link(app, "till")
    wait_until(lambda: hub.connections)
    connection: Any = only(app)
    connection.identity = Identity("ann")
    assert hub.user("ann").send("hello").delivered == 1
    assert json.loads(till.line()) == "hello"
    connection.identity = Identity("bob")
    assert (hub.user("ann").count(), hub.user("bob").count()) == (0, 1)
    connection.identity = None  # logged out: what is meant for bob is not for it any more
    assert hub.user("bob").count() == 0
    assert hub.user("eve").add(connection)
    connection.identity = None
    assert hub.user("eve").count() == 1  # whom somebody else bound it to
    till.close()
    wait_until(lambda: not hub.connections)
    assert hub.user("eve").count() == 0
    assert hub.numbers()["users"] == 0


def test_one_that_is_lost_while_it_shakes_hands_is_not_known(app: App, link: Links) -> None:
    hub = hub_of(app)
    link(app, "till")
    wait_until(lambda: hub.connections)
    connection: Any = only(app)
    connection.shut()
    connection.join(connection.dialect)
    assert hub.connections == {}
