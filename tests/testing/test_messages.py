"""What clients of messages share: order, events, and requests in both directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from greenimi import IConnection, on, tcp, websocket
from greenimi.app import App
from greenimi.errors import PeerFailed
from greenimi.testing.clients import MessageClient, WebSocketClient
from greenimi.testing.messages import Messages
from greenimi.testing.plugin import AppFactory, Serve


class _Asking:
    @on("ask")
    def ask(self, connection: IConnection, what: str) -> Any:
        return connection.request({"action": what, "channel": 2}, timeout=5)

    @on("try")
    def attempt(self, connection: IConnection) -> Any:
        try:
            connection.request({"action": "measure"}, timeout=5)
        except PeerFailed as error:
            return error.error

    @on("tell")
    def tell(self, connection: IConnection) -> str:
        connection.send({"event": "news", "data": 1})
        connection.send("plain")
        connection.send({"event": "weather", "data": {"rain": True}})
        connection.send({"event": "news", "data": 2})
        return "told"

    @on("switch")
    def switch(self, connection: IConnection, to: str) -> bool:
        connection.payload = to
        return True

    @on("echo")
    def echo(self, data: Any) -> Any:
        return data


@tcp
class Device(_Asking): ...


@websocket("/device")
class Page(_Asking): ...


DIALS: dict[str, Callable[[App], Messages]] = {"tcp": MessageClient, "websocket": lambda app: WebSocketClient(app, "/device")}


@pytest.fixture(params=list(DIALS.values()), ids=list(DIALS))
def client(app_factory: AppFactory, request: pytest.FixtureRequest) -> Any:
    app = app_factory([Device, Page], {"servers": {"tcp": {"kind": "tcp", "framing": "length32"}, "web": {"kind": "http"}}})
    with request.param(app) as made:
        yield made


def test_events_by_name_and_the_rest_in_order(client: Messages) -> None:
    client.send({"action": "tell", "id": "t"})
    assert client.event("weather") == {"rain": True}
    assert [client.event("news"), client.event("news")] == [1, 2]
    assert [client.receive(), client.receive()] == ["plain", {"id": "t", "result": "told"}]
    with pytest.raises(TimeoutError):
        client.event("news", timeout=0.01)


def test_what_passes_a_request_waits_in_order(client: Messages) -> None:
    assert client.request("tell") == "told"
    assert [client.receive() for _ in range(4)] == [
        {"event": "news", "data": 1},
        "plain",
        {"event": "weather", "data": {"rain": True}},
        {"event": "news", "data": 2},
    ]


def test_requests_of_the_server_by_hand(client: Messages) -> None:
    client.send({"action": "ask", "what": "measure", "id": 1})
    asked = client.asked("measure")
    assert asked.data["channel"] == 2
    asked.reply({"volts": 12})
    assert client.receive() == {"id": 1, "result": {"volts": 12}}
    client.send({"action": "try", "id": 2})
    client.asked("measure").fail("broken")
    assert client.receive() == {"id": 2, "result": "broken"}


def test_requests_of_the_server_are_answered_while_something_else_is_waited_for(client: Messages) -> None:
    client.answer("measure", lambda message: message["channel"] * 10)
    assert client.request("ask", what="measure") == 20
    assert client.request("ask", what="measure") == 20


def test_a_client_changes_its_payload_with_the_server(client: Messages) -> None:
    assert client.request("switch", to="msgpack") is True
    client.payload = "msgpack"
    assert client.payload.name == "msgpack"
    assert client.request("echo", data=b"\xff") == b"\xff"
    assert client.request("switch", to="json") is True
    client.payload = "json"
    assert client.request("echo", data="x") == "x"


FRAMINGS: list[Any] = [
    "line",
    {"kind": "delimiter", "delimiter": "\x00"},
    "length8",
    "length16",
    "length32",
    {"kind": "length", "bits": 16, "byteorder": "little", "body_offset": 0},
    {"kind": "length", "bits": 16, "limit": 1000},
]


@pytest.mark.parametrize("framing", FRAMINGS, ids=str)
def test_every_framing_over_the_network(serve: Serve, framing: Any) -> None:
    table = {"kind": framing} if isinstance(framing, str) else framing
    options = {key: value for key, value in table.items() if key != "kind"}
    served = serve([Device], {"servers": {"tcp": {"kind": "tcp", "framing": table["kind"], "framing_options": options}}})
    with MessageClient(served.addresses["tcp"], framing=framing) as one, MessageClient(served.app) as other:
        for client in (one, other):
            for size in (0, 1, 100):
                assert client.request("echo", data="x" * size) == "x" * size


def test_one_that_ended_its_side_gets_its_answers(serve: Serve) -> None:
    served = serve([Device], {"servers": {"tcp": {"kind": "tcp"}}})
    with MessageClient(served.addresses["tcp"]) as client:
        client.send({"action": "echo", "data": 1, "id": 1})
        client.end()
        client.wait_closed()
        assert client.receive() == {"id": 1, "result": 1}
