"""Applications of other frameworks beside routes of our own, on one server."""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import django  # type: ignore[import-untyped]
import flask
import flask_socketio  # type: ignore[import-untyped]
from django.conf import settings  # type: ignore[import-untyped]
from django.core.wsgi import get_wsgi_application  # type: ignore[import-untyped]
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse  # type: ignore[import-untyped]
from django.urls import path  # type: ignore[import-untyped]
from geventwebsocket.resource import Resource, WebSocketApplication
from pyramid.config import Configurator  # type: ignore[import-untyped]
from pyramid.response import Response as PyramidResponse  # type: ignore[import-untyped]

from greenimi import get, http


@http
class Own:
    @get("/own")
    def own(self) -> int:
        return os.getpid()


def bare(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode("latin-1") + b" " + body]


# -- Flask -------------------------------------------------------------------------------------------------------------
shop = flask.Flask("shop")
shop.secret_key = "only for tests"


@shop.route("/items/<name>", methods=["GET", "POST"])
def items(name: str) -> Any:
    flask.session["seen"] = flask.session.get("seen", 0) + 1
    link = flask.url_for("items", name=name)
    return {"name": name, "form": flask.request.form, "args": flask.request.args, "link": link, "seen": flask.session["seen"]}


@shop.route("/upload", methods=["POST"])
def upload() -> str:
    return str(len(flask.request.files["file"].read()))


@shop.route("/stream")
def stream() -> Any:
    def lines() -> Iterator[str]:
        for number in range(3):
            yield f"{number} of {flask.request.args['of']}\n"

    return flask.Response(flask.stream_with_context(lines()), mimetype="text/plain", headers={"Connection": "keep-alive"})


@shop.route("/file")
def file() -> Any:
    return flask.send_file(__file__, mimetype="text/x-python")


@shop.route("/memory")
def memory() -> Any:
    return flask.send_file(io.BytesIO(b"x" * 100_000), mimetype="text/plain")


@shop.route("/broken")
def broken() -> Any:
    raise ValueError("broken")


# -- Django ------------------------------------------------------------------------------------------------------------
def django_view(request: HttpRequest, name: str) -> HttpResponse:
    return JsonResponse({"name": name, "path": request.path, "post": request.POST.dict(), "secure": request.is_secure()})


def django_stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter(["one ", "two"]), content_type="text/plain")


urlpatterns = [path("items/<name>", django_view), path("stream", django_stream)]


def make_django() -> Any:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="only for tests", DEBUG=False)
    django.setup()
    return get_wsgi_application()


# -- Pyramid -----------------------------------------------------------------------------------------------------------
def make_pyramid() -> Any:
    def view(request: Any) -> Any:
        return PyramidResponse(f"{request.matchdict['name']} {request.path} {request.route_path('item', name='y')}")

    with Configurator() as config:
        config.add_route("item", "/items/{name}")
        config.add_view(view, route_name="item")
        return config.make_wsgi_app()


# -- Flask-SocketIO ----------------------------------------------------------------------------------------------------
rooms = flask.Flask("rooms")
socketio = flask_socketio.SocketIO(rooms, async_mode="gevent")


@socketio.on("say")  # type: ignore[untyped-decorator]
def say(text: str) -> str:
    flask_socketio.emit("said", text, broadcast=True)
    return f"heard {text}"


@socketio.on("transport")  # type: ignore[untyped-decorator]
def transport() -> str:
    found: str = socketio.server.transport(flask.request.sid)  # type: ignore[attr-defined]  # Flask-SocketIO's
    return found


# -- gevent-websocket --------------------------------------------------------------------------------------------------
class Chat(WebSocketApplication):
    def on_message(self, message: Any) -> None:
        for client in self.ws.handler.server.clients.values():
            client.ws.send(message)


resource = Resource(OrderedDict([("^/chat", Chat), ("^/", bare)]))
