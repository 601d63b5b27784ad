"""Layers in their order, on every door."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from greenimi import Response, get, http, layers
from greenimi.app import App
from greenimi.config import Config
from greenimi.container import Container
from greenimi.dispatch.layers import resolve_layers
from greenimi.errors import ConfigError, StartError
from greenimi.testing.clients import DatagramClient, HttpClient, MessageClient, WebSocketClient
from greenimi.testing.plugin import AppFactory
from tests.apps import echo, layered


@pytest.fixture
def app(app_factory: AppFactory) -> App:
    made = app_factory([layered], layered.CONF)
    layered.trace.clear()
    return made


@pytest.fixture
def web(app: App) -> Iterator[HttpClient]:
    with HttpClient(app) as client:
        yield client


def test_global_then_groups_then_controller_then_method(web: HttpClient) -> None:
    assert web.get("/layered/method").text == "ok"
    assert layered.trace == [
        "outermost",
        "house one",
        "house two",
        "controller one",
        "controller two",
        "method group",
        "method",
        "handler",
        "/method",
        "/method group",
        "/controller two",
        "/controller one",
        "/house one",
        "/outermost",
    ]


def test_a_layer_may_answer_in_place_of_the_handler(web: HttpClient) -> None:
    answer = web.get("/layered/closed")
    assert (answer.status, answer.text) == (401, "stopped")
    assert "gatekeeper" in layered.trace
    assert not {"handler", "never"} & set(layered.trace)


def test_a_layer_may_change_the_result(web: HttpClient) -> None:
    assert web.get("/layered/doubled").json() == {"x": 1, "doubled": True}


def test_global_layers_are_around_what_no_route_takes(web: HttpClient) -> None:
    assert web.get("/nothing").json() == {"missing": "sorry"}
    assert layered.trace == ["outermost", "house one", "house two", "/house one", "/outermost"]


def test_another_server_has_none_of_them(app: App) -> None:
    with HttpClient(app, "admin") as admin:
        assert admin.get("/layered/plain").text == "ok"
    assert layered.trace == ["controller one", "controller two", "handler", "/controller two", "/controller one"]


@pytest.mark.parametrize(
    ("connect", "names"),
    [
        (lambda app: MessageClient(app, "till"), ["outermost", "till"]),
        (lambda app: DatagramClient(app, "beacon"), ["outermost", "beacon"]),
        (lambda app: WebSocketClient(app, "/talk"), ["message", "talk"]),
    ],
)
def test_message_protocols_have_layers_too(app: App, connect: Callable[[App], Any], names: list[str]) -> None:
    with connect(app) as client:
        layered.trace.clear()  # the handshake of a WebSocket is a request
        assert client.request("misfortune", kind="none") is None
        assert layered.trace == [*names, *(f"/{name}" for name in reversed(names)), "second deferred", "first deferred"]


def test_the_handshake_of_a_websocket_goes_through_the_layers_of_the_server(app: App) -> None:
    with WebSocketClient(app, "/talk"):
        assert layered.trace == ["outermost", "house one", "house two", "/house one", "/outermost"]


def test_layers_are_turned_off_by_conf(app_factory: AppFactory) -> None:
    servers = {**layered.CONF["servers"], "web": {"kind": "http", "layers": [], "groups": {"method": []}}}
    layered.trace.clear()
    with HttpClient(app_factory([layered], {"servers": servers})) as web:
        assert web.get("/layered/method").text == "ok"
    own = ["controller one", "controller two", "method"]
    assert layered.trace == [*own, "handler", *(f"/{name}" for name in reversed(own))]


# -- resolving -----------------------------------------------------------------------------------------------------


def test_layers_that_do_not_exist() -> None:
    container = Container("test")
    for found, said in (
        ("@nothing", "no layer group called 'nothing'; groups: house"),
        ("no.such:thing", "cannot be imported"),
        ("tests.apps.layered:nothing", "cannot be imported"),
        ("tests.apps.layered", "cannot be imported"),
        (7, "is not callable"),
    ):
        with pytest.raises(ConfigError, match=said):
            resolve_layers([found], container, {"house": []})


def test_groups_may_hold_groups() -> None:
    groups = {"all": ["@one", "tests.apps.layered:outermost"], "one": ["tests.apps.layered:house_one"]}
    assert resolve_layers(["@all"], Container("test"), groups) == [layered.house_one, layered.outermost]


def test_a_group_that_holds_itself_is_a_mistake_of_conf() -> None:
    with pytest.raises(ConfigError, match="loop"):
        resolve_layers(["@loop"], Container("test"), {"loop": ["@loop"]})


def test_a_layer_nobody_knows_stops_the_start(app_factory: AppFactory) -> None:
    with pytest.raises(StartError, match="nothing"):
        app_factory([echo], {"servers": {"web": {"kind": "http", "layers": ["@nothing"]}}})


def test_the_place_of_a_layer_that_is_not_there_is_told(app_factory: AppFactory) -> None:
    @http
    @layers("no.such:thing")
    class Shop:
        @get("/")
        def show(self) -> None: ...

    with pytest.raises(StartError, match=r"^test_layers\.py:\d+: the layer 'no\.such:thing' cannot be imported"):
        app_factory([Shop])


class Plain:
    """A layer that carries no mark: being named as a layer is enough."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, message: Any, proceed: Callable[[Any], Any]) -> Any:
        return Response(str(self.config.get("environment")))


def test_a_class_that_is_no_bean_is_made_by_the_container(app_factory: AppFactory) -> None:
    @http
    @layers(Plain)
    class Api:
        @get("/")
        def show(self) -> None: ...

    with HttpClient(app_factory([Api])) as web:
        assert web.get("/").text == "test"
