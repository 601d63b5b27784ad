"""The stand-ins that applications import: usable in handlers, and an error that says so elsewhere."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from greenimi import facades, get, http, on, tcp
from greenimi.config import Config as RealConfig
from greenimi.container.setup import Setup
from greenimi.errors import NoScope
from greenimi.event import Events as RealEvents
from greenimi.facades import Config, Connection, Events, Log, Message, Request
from greenimi.testing.clients import HttpClient, MessageClient
from greenimi.testing.plugin import AppFactory, Serve

heard: list[Any] = []


@http
class Web:
    @get("/{name}")
    def show(self, name: str) -> list[Any]:
        Events.emit("shown", data=name)
        return [Request.path, Request.query, Message.params, Connection.server.name, Config.get("app.name")]


@tcp
class Till:
    @on("say")
    def say(self) -> list[Any]:
        Connection.send({"pushed": True})
        return [Message.data["text"], Connection.server.name, Config.get("app.name")]


@pytest.fixture
def app(app_factory: AppFactory) -> Any:
    heard.clear()
    app = app_factory([Web, Till], {"app": {"name": "owl"}, "servers": {"web": {"kind": "http"}, "till": {"kind": "tcp"}}})
    app.events.on("shown", lambda event: heard.append(event.data))
    return app


def test_in_a_handler_of_http(app: Any) -> None:
    with HttpClient(app) as web:
        assert web.get("/x?a=1").json() == ["/x", {"a": ["1"]}, {"name": "x"}, "web", "owl"]
    assert heard == ["x"]


def test_in_a_handler_of_messages(app: Any) -> None:
    with MessageClient(app, "till") as till:
        assert till.request("say", text="hello") == ["hello", "till", "owl"]
        assert till.receive() == {"pushed": True}


def test_beside_messages_they_reach_the_running_application(app: Any) -> None:
    assert isinstance(Events, RealEvents)
    assert isinstance(Config, RealConfig)
    Config.set("app.name", "eagle")
    assert app.config.get("app.name") == "eagle"
    proxies: list[Any] = [Request, Connection, Message]
    for proxy in proxies:
        with pytest.raises(NoScope):
            _ = proxy.data


def test_without_an_application_they_say_what_to_do() -> None:
    proxies: list[Any] = [Request, Connection, Message]
    for proxy in proxies:
        with pytest.raises(NoScope, match="there is no current message here"):
            _ = proxy.data
    for use in (lambda: Events.emit("x"), lambda: Config.get("x")):
        with pytest.raises(NoScope, match="there is no current container here"):
            use()


def test_the_log_is_the_applications_channel(caplog: pytest.LogCaptureFixture) -> None:
    Log.warning("sold %s", "tea")
    assert [(record.name, record.getMessage()) for record in caplog.records] == [("app", "sold tea")]


def test_every_name_is_offered() -> None:
    assert all(hasattr(facades, name) for name in facades.__all__)
    assert set(facades.__all__) == {"Cache", "Config", "Connection", "DB", "Events", "Hub", "Lock", "Log", "Message", "Redis", "Request"}


class Teller:
    """A service far from any handler, that asks for the caller's own request."""

    def __init__(self) -> None:
        self.all_there = threading.Barrier(100)

    def tell(self) -> list[str]:
        self.all_there.wait()  # nobody goes on before all hundred are here
        return [Request.path, Request.query["n"][0], Request.headers["x-n"]]


@http
class Desk:
    def __init__(self, teller: Teller) -> None:
        self.teller = teller

    @get("/ask/{n}")
    def ask(self, n: str) -> list[str]:
        return self.teller.tell()


def test_a_hundred_requests_at_once_and_each_sees_its_own(serve: Serve) -> None:
    def includeme(setup: Setup) -> None:
        setup.add_bean(Teller)

    def ask(number: int) -> Any:
        with HttpClient(served.addresses["web"]) as web:
            return web.get(f"/ask/{number}?n={number}", headers={"X-N": str(number)}).json()

    served = serve([includeme, Desk])
    with ThreadPoolExecutor(100) as pool:
        assert list(pool.map(ask, range(100))) == [[f"/ask/{number}", str(number), str(number)] for number in range(100)]
