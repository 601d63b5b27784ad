"""All the servers of an application as one service."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from greenimi import get, http, layers
from greenimi.app import App
from greenimi.config import Config
from greenimi.container import Tier
from greenimi.errors import GreenimiError, StartError
from greenimi.event.lifecycle import Lifecycle, ServerStarting
from greenimi.servers.doors import Doors
from greenimi.servers.http import HttpServer
from greenimi.servers.tcp import TcpServer
from greenimi.servers.udp import UdpServer
from greenimi.testing.clients import DatagramClient, HttpClient, MessageClient, WebSocketClient
from greenimi.testing.plugin import AppFactory, Serve
from greenimi.testing.support import make_app, wait_until
from tests.apps import echo
from tests.apps.echo import Stage

Make = Callable[..., App]


@http
class Counted:
    made = 0

    def __init__(self) -> None:
        type(self).made += 1

    @get()
    def show(self) -> None: ...


@pytest.fixture
def unstarted() -> Any:
    """``unstarted(includes, conf)``: committed, and ended after the test."""
    made: list[App] = []

    def make(includes: list[Any], conf: dict[str, Any]) -> App:
        made.append(make_app(conf, includes))
        return made[-1].commit()

    yield make
    for app in made:
        app.stop()


def events_of(app: App) -> list[Any]:
    told: list[Any] = []
    app.events.on(Lifecycle, told.append)
    return told


# -- building ------------------------------------------------------------------------------------------------------


def test_a_server_for_each_table_in_conf_by_kind(app: App) -> None:
    servers = app.doors.servers
    assert [(name, type(found), found.name, found.kind) for name, found in servers.items()] == [
        ("web", HttpServer, "web", "http"),
        ("till", TcpServer, "till", "tcp"),
        ("beacon", UdpServer, "beacon", "udp"),
    ]
    assert [found.container.name for found in servers.values()] == ["web", "till", "beacon"]
    assert {found.runtime for found in servers.values()} == {app.doors.runtime}
    assert app.doors.tier is Tier.DOORS


def test_building_makes_controllers_once_and_opens_nothing(unstarted: Any) -> None:
    Counted.made = 0
    app = unstarted([Counted], {"servers": {"web": {"kind": "http"}, "admin": {"kind": "http"}}})
    told = events_of(app)
    assert Counted.made == 0
    app.doors.build()
    app.doors.build()
    assert Counted.made == 2
    assert [f"{type(event).__name__} {getattr(event, 'name', '')}".strip() for event in told] == [
        "ServersCreating",
        "ServerCreating web",
        "ServerCreated web",
        "ServerCreating admin",
        "ServerCreated admin",
        "ServersCreated",
    ]
    assert app.doors.runtime._timer is None


def test_without_servers_nothing_is_told(unstarted: Any) -> None:
    app = unstarted([], {})
    told = events_of(app)
    app.doors.build()
    assert (told, app.doors.servers) == ([], {})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"payload": "jsno"}, "jsno"),
        ({"kind": "tcp", "framing": "lien"}, "lien"),
        ({"layers": ["tests.apps.echo:nothing"]}, "nothing"),
        ({"layers": ["@house"]}, "house"),
    ],
)
def test_mistakes_are_found_before_a_door_opens(settings: dict[str, Any], said: str) -> None:
    app = make_app({"servers": {"web": settings}}, [echo])
    try:
        with pytest.raises(StartError, match=said):
            app.commit().doors.build()
    finally:
        app.stop()


def test_a_layer_that_is_no_bean_is_found_too(unstarted: Any) -> None:
    @http
    class Layered:
        @layers("@nothing")
        @get()
        def show(self) -> None: ...

    with pytest.raises(GreenimiError, match="nothing"):
        unstarted([Layered], {"servers": {"web": {}}}).doors.build()


# -- starting and stopping -----------------------------------------------------------------------------------------


def test_every_server_is_told_before_it_starts(app_factory: AppFactory) -> None:
    heard: list[tuple[str, bool]] = []

    def subscribe(setup: Any) -> None:
        setup.on_commit(lambda: setup.container.get(Doors)._events.on(ServerStarting, hear), order=200)

    def hear(event: ServerStarting) -> None:
        heard.append((event.name, started(event.name)))

    def started(name: str) -> bool:
        server: Any = holder[0].doors.servers[name]
        return server.sweep in server.runtime.each_second

    holder = [make_app({"servers": {"web": {}, "till": {"kind": "tcp"}}}, [subscribe])]
    holder[0].start()
    try:
        assert heard == [("web", False), ("till", False)]
        assert started("web")
    finally:
        holder[0].stop()


def test_each_server_serves_on_its_own_sockets(serve: Serve) -> None:
    served = serve([echo], echo.CONF)
    with HttpClient(served.addresses["web"]) as web:
        assert web.get("/echo/x").json() == {"text": "x"}
    with MessageClient(served.addresses["till"]) as till:
        assert till.request("echo", text="x") == {"text": "x"}
    with DatagramClient(served.addresses["beacon"]) as beacon:
        assert beacon.request("echo", text="x") == {"text": "x"}


def test_a_server_may_have_several_sockets_and_another_none() -> None:
    app = App(Config(echo.CONF), [echo])
    opened = []
    for _ in range(2):
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        sock.setblocking(False)
        opened.append(sock)
    try:
        app.start({"web": opened})
        for sock in opened:
            with HttpClient(sock.getsockname()) as web:
                assert web.get("/echo/x").status == 200
    finally:
        app.stop()
        for sock in opened:
            sock.close()


@pytest.mark.parametrize("share", [True, False])
def test_sharing_reaches_the_servers(unstarted: Any, share: bool) -> None:
    app = unstarted([echo], echo.CONF)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        app.start({"web": [sock]}, share=share)
        (acceptor,) = app.doors.servers["web"].gate._acceptors
        assert (acceptor.max_accept == 1) == share
        app.stop()


def test_stopping_gives_the_closed_handlers_their_time(make_echo: Make) -> None:
    app = make_echo()
    stage = app.container.get(Stage)
    with WebSocketClient(app, "/chat") as chat, MessageClient(app, "till") as till:
        assert chat.request("echo", text="x") == till.request("echo", text="x") == {"text": "x"}
        app.doors.stop()
        assert stage.log.count("closed") == 2, "before stop returned"
        chat.wait_closed()
        till.wait_closed()
        assert chat.close_code == 1001


def test_what_is_queued_goes_out_before_the_connections_close(make_echo: Make) -> None:
    app = make_echo()
    with MessageClient(app, "till") as till:
        assert till.request("echo", text="x") == {"text": "x"}
        (connection,) = app.doors.servers["till"].connections
        assert connection.send("last words")
        app.doors.stop()
        assert till.receive() == "last words"
        till.wait_closed()


def test_draining_finishes_what_is_at_hand(serve: Serve) -> None:
    served = serve([echo], echo.CONF)
    stage = served.app.container.get(Stage)
    with MessageClient(served.addresses["till"]) as till:
        till.send({"action": "wait"})
        wait_until(lambda: stage.waiting)
        served.app.drain()
        for name in ("web", "till"):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(served.addresses[name], 5)
        stage.gate.set()
        assert till.receive() == "waited"


def test_stopping_twice_is_stopping_once(make_echo: Make) -> None:
    app = make_echo()
    app.doors.stop()
    app.doors.stop()
    assert app.doors.runtime._timer is None
