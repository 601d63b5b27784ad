"""The servers of an application as one service: built from conf and routes, started in a worker on sockets that somebody else opened."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gevent

from greenimi.codec.payload import payload_from
from greenimi.container.onion import compose
from greenimi.container.registry import Container
from greenimi.container.service import Tier
from greenimi.dispatch.pipeline import Handlers, HttpPipeline, MessagePipeline, Page, RouteBuilder
from greenimi.dispatch.route import Route
from greenimi.errors import ConfigError
from greenimi.event import Events
from greenimi.event.lifecycle import HubBlocked, ServerCreated, ServerCreating, ServersCreated, ServersCreating, ServerStarting
from greenimi.hub import Hub
from greenimi.hub.client_actions import ClientActions
from greenimi.servers.around import guarded, inner_layers, outer_layers
from greenimi.servers.guests.wsgi import Mount, clean_prefix, load_guest
from greenimi.servers.http import HttpServer
from greenimi.servers.identity import FirstMessage, authenticators_for, handshake_guards
from greenimi.servers.messages import MessageEndpoint, StreamedEndpoint
from greenimi.servers.runtime import Runtime
from greenimi.servers.settings import ServerSettings, WorkerSettings
from greenimi.servers.tcp import TcpServer
from greenimi.servers.timelimit import TimeLimits
from greenimi.servers.udp import UdpServer
from greenimi.servers.watch.guard import Blocked, Guard
from greenimi.servers.websocket import WebSocketDoor
from greenimi.web.identity import EachDatagram, RequestIdentity
from greenimi.web.templates import Templates

log = logging.getLogger("greenimi.servers")

Server = HttpServer | TcpServer | UdpServer
Sockets = Mapping[str, Sequence[socket.socket]]


@dataclass(frozen=True, slots=True)
class Plan:
    """One configured server and what was registered for it."""

    name: str
    settings: ServerSettings
    container: Container
    routes: Sequence[Route]
    error_handlers: Handlers
    missing: Any
    mounts: Sequence[Mount] = ()
    authenticators: Sequence[type] = ()


class Doors:
    """IService of the last tier.  ``listen`` is told the sockets before ``start``; one worker process has one."""

    tier = Tier.DOORS

    def __init__(self, plans: Sequence[Plan], settings: WorkerSettings, events: Events, *, debug: bool, hub: Hub | None = None) -> None:
        self._plans = plans
        self.settings = settings
        self._events = events
        self._debug = debug
        self._sockets: Sockets = {}
        self._share = False
        self.before_opening: Callable[[], object] = lambda: None  # may raise StartError
        self.last_words = min(1.0, settings.graceful_timeout * 0.2)  # seconds that `stop` may take
        self.runtime = Runtime(settings.handlers, settings.queue, hub)
        self.guard = Guard(settings.blocked, settings.timeout / 2, self._tell_blocked)
        self.runtime.each_second.append(self.guard.tick)
        self.servers: dict[str, Server] = {}
        self._farewell = 0.0  # when the last goodbye is said
        self._code = 1001

    def _tell_blocked(self, report: Blocked) -> None:
        self._events.emit(HubBlocked(report.seconds, report.where, report.stack))

    def listen(self, sockets: Sockets, *, share: bool = False) -> None:
        """Serve on these sockets, by server name.  ``share``: other processes have them too, so UDP waits for :meth:`read`."""
        self.build()
        self._sockets = sockets
        self._share = share
        for name in self.servers:
            self._events.emit(ServerStarting(name))

    @property
    def names(self) -> list[str]:
        """Of the configured servers, also before they are built."""
        return [plan.name for plan in self._plans]

    def build(self) -> None:
        """Make controllers and pipelines.  Done by ``start``; on its own it finds mistakes without opening a door."""
        if self.servers or not self._plans:
            return
        emit = self._events.emit
        emit(ServersCreating())
        for plan in self._plans:
            emit(ServerCreating(plan.name))
            try:
                self.servers[plan.name] = self._build(plan)
            except ConfigError as error:
                raise ConfigError(f"servers.{plan.name}: {error.text}", hint=error.hint) from None
            emit(ServerCreated(plan.name))
        emit(ServersCreated())

    def start(self) -> None:
        self.build()
        self.runtime.start()
        self.before_opening()
        self.guard.start()
        for name, server in self.servers.items():
            for sock in self._sockets.get(name, ()):
                server.attach(sock, share=self._share)
            server.start()

    def pushes(self) -> dict[str, float]:
        """What became of pushes to clients that read too slowly, for the metrics."""
        servers = [server for server in self.servers.values() if not isinstance(server, UdpServer)]
        return {"dropped_total": sum(each.dropped for each in servers), "cut_total": sum(each.cut_count for each in servers)}

    def read(self, slots: Collection[int]) -> None:
        """Read these slots of every UDP server from now on, and no others."""
        for server in self.servers.values():
            if isinstance(server, UdpServer):
                server.read(slots)

    def drain(self) -> None:
        for server in self.servers.values():
            server.drain()

    def farewell(self, code: int, seconds: float) -> None:
        """Say goodbye to the clients of all stream servers, spread over ``seconds``; those at work are left to it."""
        self._code = code
        self._farewell = time.monotonic() + seconds
        for server in self.servers.values():
            if not isinstance(server, UdpServer):
                server.farewell(code, seconds)

    def finish(self, seconds: float, meanwhile: Callable[[], object] = lambda: None) -> bool:
        """Wait until the goodbyes are said and no message is being handled, at most ``seconds``; False when that is not so even then."""
        until = time.monotonic() + seconds
        while self._connected() and time.monotonic() < min(until, self._farewell):
            meanwhile()
            gevent.sleep(0.05)
        return self.runtime.finish(max(0.0, until - time.monotonic()), meanwhile)

    def _connected(self) -> bool:
        return any(server.connections for server in self.servers.values() if not isinstance(server, UdpServer))

    def stop(self) -> None:
        for server in self.servers.values():
            if isinstance(server, UdpServer):
                server.stop()
            else:
                server.stop(self._code)
        self.runtime.flush_now()
        for server in self.servers.values():
            server.shut()
        if not self.runtime.finish(self.last_words / 2):  # `closed` handlers, and what is stuck
            self.runtime.handlers.kill()
            self.runtime.finish(self.last_words / 2)
        self.guard.stop()
        self.runtime.stop()

    # -- building --------------------------------------------------------------------------------------------------
    def _build(self, plan: Plan) -> Server:
        settings = plan.settings
        builder = RouteBuilder(plan.container, settings.groups)
        if settings.kind == "http":
            return self._build_http(plan, builder)
        authenticators = authenticators_for(settings, plan.container, plan.authenticators)
        if authenticators is None:
            pipeline = self._messages(plan, builder, plan.routes, settings.payload, settings.layers)
        elif settings.kind == "udp":
            pipeline = self._messages(plan, builder, plan.routes, settings.payload, [EachDatagram(authenticators), *settings.layers])
        else:
            first = FirstMessage(authenticators, settings.action_field)
            pipeline = self._messages(plan, builder, plan.routes, settings.payload, [first, *settings.layers])
            first.failed = pipeline.failed
        kind = TcpServer if settings.kind == "tcp" else UdpServer
        return kind(plan.name, settings, plan.container, self.runtime, pipeline)

    def _messages(self, plan: Plan, builder: RouteBuilder, routes: Sequence[Route], payload: str, layers: Sequence[Any]) -> MessagePipeline:
        settings = plan.settings
        coder = payload_from(payload)
        self.runtime.hub.payloads.setdefault(coder.name, coder)
        return MessagePipeline(
            builder,
            guarded(routes, settings, TimeLimits(self.runtime.handlers)),
            coder,
            layers=layers,
            error_handlers=plan.error_handlers,
            missing=plan.missing,
            action_field=settings.action_field,
            id_field=settings.id_field,
            silent=settings.kind == "udp",
            debug=self._debug,
            actions=self._client_actions(settings),
        )

    def _client_actions(self, settings: ServerSettings) -> dict[str, Callable[[Any], Any]]:
        """Not for UDP: a forged sender would have us remember and send what it never asked for."""
        if settings.kind == "udp":
            return {}
        ping = settings.ping_interval if settings.kind == "http" else settings.idle / 2
        return ClientActions(self.runtime.hub, ping).all()

    def _build_http(self, plan: Plan, builder: RouteBuilder) -> HttpServer:
        settings = plan.settings
        if settings.templates.folders:
            plan.container.get(Templates).open(self._events.emit)
        limits = TimeLimits(self.runtime.handlers)
        authenticators = authenticators_for(settings, plan.container, plan.authenticators)
        identity = None if authenticators is None else RequestIdentity(authenticators, self.runtime.expiries.until)
        pipeline = HttpPipeline(
            builder,
            guarded([route for route in plan.routes if route.kind == "http"], settings, limits),
            layers=[*inner_layers(settings, plan.container, identity), *settings.layers],
            outer=outer_layers(settings, plan.container),
            error_handlers=plan.error_handlers,
            missing=plan.missing,
            page=self._error_pages(settings),
            debug=self._debug,
        )
        by_path: dict[str, list[Route]] = {}
        for route in plan.routes:
            if route.kind == "websocket" and route.template is not None:
                by_path.setdefault(route.place, []).append(route)
        for routes in by_path.values():
            options = routes[0].options
            messages = self._messages(plan, builder, routes, options["payload"] or settings.payload, settings.message_layers)
            endpoint = (StreamedEndpoint if messages.streams else MessageEndpoint)(plan.container, messages)
            door = WebSocketDoor(endpoint, settings, options["subprotocols"])
            pipeline.add_upgrade(routes[0], compose(handshake_guards(routes, settings), door))
        for found in plan.mounts:
            guest = load_guest(found.application, found.prefix, settings)
            pipeline.mount(guest.prefix, compose(limits.layers(settings.max_time), guest))
        if settings.client:
            from greenimi.web.client_script import ClientScript

            pipeline.mount(clean_prefix(settings.client), ClientScript(settings.client))
        if settings.static:
            from greenimi.web.static import StaticFiles

            for path, folder in settings.static.items():
                prefix = clean_prefix(path)
                pipeline.mount(prefix, StaticFiles(prefix, folder))
        return HttpServer(plan.name, settings, plan.container, self.runtime, pipeline)

    def _error_pages(self, settings: ServerSettings) -> Page | None:
        if not (self._debug or settings.error_pages.folder):
            return None
        from greenimi.web.errorpage import ErrorPages

        return ErrorPages(settings.error_pages, debug=self._debug)
