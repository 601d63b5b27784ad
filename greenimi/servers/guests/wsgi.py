"""Guests: WSGI applications (Flask, Django, ...) at a path of an HTTP server (PEP 3333).

A guest is asked inside the server's layers, in the message's scope, in a pooled handler greenlet.  What it returns as one piece leaves as
one piece; everything else is sent while it is made.  WebSockets of guests are in ``gevent_websocket``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from greenimi.codec.base import load_class
from greenimi.container.context import current
from greenimi.dispatch.failure import report
from greenimi.errors import ConfigError, ConnectionClosed, StartError
from greenimi.message import Request, Response, Upgrade
from greenimi.servers.guests.answer import Answer, is_ours
from greenimi.servers.guests.environ import Application, EnvironMaker, FileWrapper
from greenimi.servers.guests.gevent_websocket import GuestWebSockets, asks_for_websocket
from greenimi.servers.guests.sendfile import sendable
from greenimi.servers.sendfile import answer_from_file
from greenimi.servers.settings import ServerSettings
from greenimi.servers.sockets import Address
from greenimi.servers.stream import StreamConnection

if TYPE_CHECKING:
    from greenimi.codec.http1 import Http1Codec
    from greenimi.container.setup import Setup


@dataclass(frozen=True, slots=True)
class Mount:
    """A WSGI application at a path of a server: the callable, or ``"package.module:name"``."""

    server: str
    prefix: str
    application: Application | str


def mount(setup: Setup, server: str, prefix: str, application: Application | str) -> None:
    """The directive ``setup.mount("web", "/shop", app)``.  Two of them at one place are a conflict.

    Noted under ``mount``.  Raises StartError when conf has no such HTTP server, ConfigError for what is no path.
    """
    known = [facts.name for facts in setup.introspect("server") if facts.kind == "http"]
    if server not in known:
        raise StartError(f"{prefix} is to be mounted on the server {server!r}; HTTP servers in conf: {', '.join(known) or 'none'}")
    found = Mount(server, prefix, application)
    setup.action(("guest", clean_prefix(prefix), f"on server {server}"), lambda: setup.note("mount", found))


def clean_prefix(prefix: str) -> str:
    """``"/shop"`` for ``"/shop/"``, ``""`` for ``"/"``.  Raises ConfigError for what is no path."""
    if not prefix.startswith("/") or not prefix.isascii() or not prefix.isprintable() or any(mark in prefix for mark in " %?#"):
        raise ConfigError(f"{prefix!r} is not a path to mount at", hint='write it like "/shop", in plain characters')
    return prefix.rstrip("/")


def load_guest(application: Application | str, prefix: str, settings: ServerSettings) -> Guest:
    """The guest that serves ``application`` at ``prefix``.

    A string names it, ``"package.module:name"``, or the function that makes it, ``"package.module:create_app()"``.  Raises ConfigError.
    """
    if isinstance(application, str):
        found = load_class(application.removesuffix("()"), "the WSGI application")
        if application.endswith("()"):
            found = found()
    else:
        found = application
    if not callable(found):
        raise ConfigError(f"the WSGI application {application!r} cannot be called")
    return Guest(found, clean_prefix(prefix), settings)


class Guest:
    """One application at one path.  ``HttpPipeline.mount(guest.prefix, guest)`` puts it there."""

    def __init__(self, application: Application, prefix: str, settings: ServerSettings) -> None:
        self.prefix = prefix
        self.application = application
        self._make = EnvironMaker(prefix, Address.parse(settings.bind)).make
        self._websockets = GuestWebSockets(application, self._make, settings)

    def __call__(self, request: Request) -> Response:
        """The answer of the application; an Upgrade when it asks for a WebSocket, or sends by itself.  Raises what it raises."""
        if request.upgrade and asks_for_websocket(request):
            return self._websockets.open(request)
        answer = Answer(request)
        environ = self._make(request)
        if is_ours(request.connection):  # not below another WSGI server
            environ["wsgi.early_hints"] = answer.early_hints
        try:
            result = self.application(environ, answer.start)
            if type(result) is list and len(result) == 1 and not answer.begun:
                return answer.whole(result[0])
            close = getattr(result, "close", None)
            if close is not None:
                current.get().defer(close)
            if answer.begun:
                return answer.finish(result)
            if type(result) is FileWrapper:
                response = self._file(request, answer, result)
                if response is not None:
                    return response
            return answer.parts(result)
        except Exception as error:
            if not answer.begun:
                raise
            answer.give_up()
            if not isinstance(error, ConnectionClosed):
                report(error, request)
            return Upgrade(_over, ())
        except BaseException:  # stopped from outside
            if answer.begun:
                answer.give_up()
            raise

    @staticmethod
    def _file(request: Request, answer: Answer, wrapper: FileWrapper) -> Upgrade | None:
        """The answer that the kernel sends from a file; None where that is not possible."""
        connection: Any = request.connection
        if type(connection) is not StreamConnection or connection.tls is not None:
            return None
        found = sendable(wrapper.file)
        if found is None:
            return None
        descriptor, offset, available = found
        count = answer.length_within(available)
        return answer.file(count, partial(_send, request, descriptor, offset, count))


def _send(request: Request, descriptor: int, offset: int, count: int, response: Upgrade, connection: StreamConnection) -> None:
    """Answer with a file, once the layers have seen the response."""
    codec: Http1Codec = connection.codec  # type: ignore[assignment]  # HTTP is what it speaks
    answer_from_file(connection, codec, request, response, descriptor, offset, count)
    if codec.paused:  # a wish for another protocol was ignored: what came behind it is HTTP
        connection.take(codec.resume())


def _over(response: Upgrade, connection: Any) -> None:
    """Nothing more can be sent."""
