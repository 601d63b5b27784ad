"""Layers at every level, error handlers and handlers of what no route takes, on three servers with beans of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from greenimi import Response, bean, get, http, layers, on, on_error, on_missing, tcp, udp, websocket
from greenimi.container import Scope
from greenimi.errors import Refused

Proceed = Callable[[Any], Any]
trace: list[str] = []

CONF: dict[str, Any] = {
    "servers": {
        "web": {
            "kind": "http",
            "layers": ["tests.apps.layered:outermost", "@house"],
            "message_layers": ["tests.apps.layered:around_messages"],
            "groups": {"house": ["tests.apps.layered:house_one", "tests.apps.layered:House"], "method": ["tests.apps.layered:in_group"]},
        },
        "admin": {"kind": "http", "groups": {"method": []}},
        "till": {"kind": "tcp", "layers": ["tests.apps.layered:outermost"]},
        "beacon": {"kind": "udp", "layers": ["tests.apps.layered:outermost"]},
    }
}


def _layer(name: str) -> Callable[[Any, Proceed], Any]:
    def layer(message: Any, proceed: Proceed) -> Any:
        trace.append(name)
        try:
            return proceed(message)
        finally:
            trace.append(f"/{name}")

    return layer


outermost = _layer("outermost")
house_one = _layer("house one")
in_group = _layer("method group")
around_messages = _layer("message")


@bean
class Greeting:
    text = "hello"


@bean(name="own", server="web", provides=Greeting)
class WebGreeting(Greeting):
    text = "hello web"


@bean(name="own", server="admin", provides=Greeting)
class AdminGreeting(Greeting):
    text = "hello admin"


@bean
@dataclass
class House:
    """A layer that is made by the container."""

    greeting: Greeting

    def __call__(self, message: Any, proceed: Proceed) -> Any:
        trace.append("house two")
        return proceed(message)


def gatekeeper(message: Any, proceed: Proceed) -> Any:
    trace.append("gatekeeper")
    return Response("stopped", 401)


def doubling(message: Any, proceed: Proceed) -> Any:
    value = proceed(message)
    return {**value, "doubled": True}


@http("/layered")
@layers(_layer("controller one"), _layer("controller two"))
class Layered:
    @get("/plain")
    def plain(self) -> str:
        trace.append("handler")
        return "ok"

    @get("/method")
    @layers("@method", _layer("method"))
    def method(self) -> str:
        trace.append("handler")
        return "ok"

    @get("/closed")
    @layers(gatekeeper, _layer("never"))
    def closed(self) -> str:
        trace.append("handler")
        return "ok"

    @get("/doubled")
    @layers(doubling)
    def doubled(self) -> dict[str, Any]:
        return {"x": 1}


@http("/greet")
@dataclass
class Greeter:
    greeting: Greeting

    @get()
    def greet(self) -> str:
        return self.greeting.text


class Unlucky(Exception):
    """Answered by the application's own handler."""


class Hopeless(Exception):
    """Its handler fails as well."""


def _misfortune(kind: str, scope: Scope) -> None:
    scope.defer(trace.append, "first deferred")
    scope.defer(trace.append, "second deferred")
    if kind == "unlucky":
        raise Unlucky("bad luck")
    if kind == "hopeless":
        raise Hopeless("no way out")
    if kind == "refused":
        raise Refused("no")


@http("/misfortune")
class Misfortune:
    @get("/{kind}")
    def happen(self, kind: str, scope: Scope) -> None:
        _misfortune(kind, scope)


@websocket("/talk")
class Talk:
    @on("misfortune")
    @layers(_layer("talk"))
    def happen(self, kind: str, scope: Scope) -> None:
        _misfortune(kind, scope)


@tcp
class Till:
    @on("misfortune")
    @layers(_layer("till"))
    def happen(self, kind: str, scope: Scope) -> None:
        _misfortune(kind, scope)


@udp
class Beacon:
    @on("misfortune")
    @layers(_layer("beacon"))
    def happen(self, kind: str, scope: Scope) -> None:
        _misfortune(kind, scope)


@on_error(Unlucky)
def console(error: Unlucky, message: Any) -> dict[str, str]:
    return {"consolation": str(error)}


@on_error(Unlucky)
def too_late(error: Unlucky, message: Any) -> dict[str, str]:
    return {"consolation": "never told"}


@on_error(Hopeless)
def fail_again(error: Hopeless, message: Any) -> None:
    raise KeyError("the handler failed too")


@on_error(Refused)
def watch(error: Refused, message: Any) -> None:
    trace.append("watched")


@on_missing(("web", "till", "beacon"))
def nothing_here(message: Any) -> dict[str, str]:
    return {"missing": "sorry"}
