"""Which layers conf puts around requests."""

from __future__ import annotations

import subprocess
import sys

from greenimi import get, http, layers, public, requires
from greenimi.container.registry import Container
from greenimi.servers.around import guarded, inner_layers, outer_layers
from greenimi.servers.handlers import HandlerPool
from greenimi.servers.settings import ServerSettings
from greenimi.servers.timelimit import TimeLimit, TimeLimits
from greenimi.testing.plugin import AppFactory
from greenimi.web.accesslog import AccessLog
from greenimi.web.cors import Cors
from greenimi.web.csrf import CsrfLayer
from greenimi.web.etag import etag_layer
from greenimi.web.forwarded import Forwarded
from greenimi.web.guards import Guard
from greenimi.web.requestid import RequestIds
from greenimi.web.response import render
from greenimi.web.security import SecurityHeaders
from greenimi.web.settings import (
    AccessLogSettings,
    CorsSettings,
    CsrfSettings,
    IdentitySettings,
    RequestIdSettings,
    SecuritySettings,
)


def test_a_server_pays_for_nothing_that_conf_does_not_ask_for() -> None:
    container = Container("app")
    assert list(outer_layers(ServerSettings(), container)) == []
    assert list(inner_layers(ServerSettings(), container)) == []
    assert guarded([], ServerSettings(), TimeLimits(HandlerPool())) == []


def test_the_order_of_what_stands_around() -> None:
    settings = ServerSettings(
        forwarded=["forwarded"],
        trusted=["::1"],
        request_id=RequestIdSettings(enabled=True),
        access_log=AccessLogSettings(format="common"),
        security=SecuritySettings(enabled=True),
        cors=CorsSettings(origins=["https://shop.example"]),
        etag=True,
    )
    found = outer_layers(settings, Container("app"))
    assert [type(layer) for layer in found[:4]] == [RequestIds, AccessLog, SecurityHeaders, Cors]
    assert found[-1] is etag_layer
    assert [type(layer) for layer in inner_layers(settings, Container("app"))] == [Forwarded]


@http
class Pages:
    @get("/all", max_time=9)
    @layers(render)
    @requires("admin")
    def all(self) -> None: ...

    @get("/endless", max_time=0)
    def endless(self) -> None: ...

    @get("/open")
    @public
    def open(self) -> None: ...


def test_the_order_of_what_stands_around_handlers(app_factory: AppFactory) -> None:
    app = app_factory([Pages])
    settings = ServerSettings(max_time=5, identity=IdentitySettings(default="required"), csrf=CsrfSettings(check="always"))
    limits = TimeLimits(app.doors.runtime.handlers)
    found = {route.function_name: route.layers for route in guarded(app.setup.introspect("route"), settings, limits)}
    assert [type(layer) for layer in found["all"]] == [TimeLimit, CsrfLayer, Guard, type(render)]
    assert found["all"][0] is limits.layers(9)[0]
    assert [type(layer) for layer in found["endless"]] == [CsrfLayer, Guard]
    assert [type(layer) for layer in found["open"]] == [TimeLimit, CsrfLayer]
    assert found["open"][0] is limits.layers(5)[0]


LEFT_OUT = (
    "accesslog authenticators compression cors csrf debugpage errorpage forwarded media_types passwords rendering security static views"
)


def test_what_conf_does_not_ask_for_is_not_even_imported() -> None:
    program = f"""
from greenimi import green

green.patch()
import sys
from greenimi.testing.support import make_app

make_app({{"servers": {{"web": {{}}}}}}).commit().doors.build()
print(*[name for name in {LEFT_OUT!r}.split() if f"greenimi.web.{{name}}" in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "\n"
