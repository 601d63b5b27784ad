"""Whether this worker lives and is ready, and its metrics: checks in the background, and the HTTP endpoints that tell."""

from __future__ import annotations

import difflib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from greenlet import GreenletExit
from zope.interface import implementer

from greenimi import green
from greenimi.config import option
from greenimi.container.context import Scope, run
from greenimi.container.registry import Container
from greenimi.container.service import Tier
from greenimi.errors import ConfigError, ConflictError, Refused, StartError
from greenimi.event import Events
from greenimi.hub import Hub
from greenimi.interfaces import IService
from greenimi.marks import Mark, Where, get, here, http
from greenimi.message import Request, Response
from greenimi.pool import Pools
from greenimi.servers.doors import Doors
from greenimi.servers.entrance.trusted import Trusted
from greenimi.servers.http import HttpServer
from greenimi.servers.watch.metrics import CONTENT_TYPE, exposition
from greenimi.servers.watch.statistics import Statistics
from greenimi.servers.watch.totals import read
from greenimi.web.response import render

if TYPE_CHECKING:
    from greenimi.container.setup import Setup

_OURS = "worker"
"""Under this name stands what the worker itself lacks."""

_GRACE = 5.0
"""Seconds that a result may be late before it does not count any more."""

_LONGEST = 300
_FRESH = (("Cache-Control", "no-store"),)

log = logging.getLogger("greenimi.servers")


@dataclass(frozen=True)
class HealthSettings:
    """``[health]``"""

    server: str = option("", "HTTP server that answers at these paths; by default none does.")
    live: str = option("/livez", "Path that is answered as long as the worker's loop turns; empty for none.")
    ready: str = option("/readyz", "Path that tells whether the worker should be given work: 200 or 503; empty for none.")
    metrics: str = option("/metrics", "Path of the metrics in Prometheus' text format; empty for none.")
    allow: list[str] = option(
        ["127.0.0.1/32", "::1/128", "unix"], "Trusted that may read the metrics and why a worker is not ready; unix for Unix sockets."
    )


@dataclass(slots=True)
class _Check:
    """One check and what it found last."""

    name: str
    function: Callable[[], object]
    every: float
    limit: float
    where: Where
    problem: str = "it has not run yet"
    at: float = 0.0
    known: Any = field(default_factory=green.Event)

    def state(self, now: float) -> str:
        """``""`` when all is well, or why not."""
        late = now - self.at - self.every - self.limit
        if self.known.is_set() and late > _GRACE:
            return f"no result for {now - self.at:.0f} seconds"
        return self.problem

    def told(self, problem: str) -> None:
        """Keep a result; a change is logged."""
        if problem and (not self.known.is_set() or not self.problem):
            log.warning("health check %s: %s", self.name, problem)
        elif not problem and self.known.is_set() and self.problem:
            log.info("health check %s: all is well again", self.name)
        self.problem = problem
        self.at = time.monotonic()
        self.known.set()


@implementer(IService)
class Health:
    """A service: from start to stop it runs the checks, each in a greenlet of its own, and remembers what they found."""

    tier = Tier.WORK

    def __init__(self, container: Container, statistics: Statistics, settings: HealthSettings) -> None:
        self._container = container
        self._settings = settings
        self.endpoints: Any = None  # the controller, where a server answers
        self._statistics = statistics
        self._checks: dict[str, _Check] = {}
        self._greenlets: list[green.Greenlet] = []
        self._started = False

    def check(
        self, name: str, function: Callable[[], object], *, every: float = 5.0, limit: float = 2.0, where: Where | None = None
    ) -> None:
        """Call ``function()`` in the background ``every`` so many seconds, in a scope of its own.

        It fails when it raises, returns False, or takes longer than ``limit`` seconds: the worker is not ready then.  ConflictError for a
        name that another check has.
        """
        found = _Check(name, function, every, limit, where or here(2))
        other = self._checks.setdefault(name, found)
        if other is not found:
            raise ConflictError(f"the health check {name}: {other.where} and {found.where}")
        if name == _OURS:
            raise StartError(f"{found.where}: {_OURS} is no name for a health check: the worker itself stands under it")
        if self._started:
            self._begin(found)

    # -- as a service ------------------------------------------------------------------------------------------------
    def start(self) -> None:
        self._started = True
        self._answer_at_once()
        for check in self._checks.values():
            self._begin(check)

    def _answer_at_once(self) -> None:
        """Have a worker whose handlers are all busy still say that it lives, and whether it is ready."""
        server = self._container.get(Doors).servers.get(self._settings.server)
        if self.endpoints is not None and isinstance(server, HttpServer):
            own = server.container.get(self.endpoints)
            server.at_once.update({self._settings.live: lambda request: own.liveness(), self._settings.ready: own.readiness})

    def drain(self) -> None:
        """Nothing to do: the checks go on until the end."""

    def stop(self) -> None:
        self._started = False
        for greenlet in self._greenlets:
            greenlet.kill(block=False)
        self._greenlets.clear()

    def _begin(self, check: _Check) -> None:
        self._greenlets.append(green.spawn(self._go_on, check))

    def _go_on(self, check: _Check) -> None:
        while True:
            check.told(self._problem(check))
            green.sleep(check.every)

    def _problem(self, check: _Check) -> str:
        """Run a check.  Whatever it raises is the problem."""
        try:
            with green.timeout(check.limit, TimeoutError(f"no answer within {check.limit:g} seconds")):
                answer = run(Scope(self._container), lambda _: check.function(), None)
        except GreenletExit:
            raise
        except BaseException as error:
            text = " ".join(str(error).split())
            return f"{type(error).__name__}: {text}"[:_LONGEST]
        return "it says no" if answer is False else ""

    # -- asking ------------------------------------------------------------------------------------------------------
    def verify(self, timeout: float = 10.0) -> None:
        """Wait for the first result of every check, all in all ``timeout`` seconds.  StartError names those that fail.  After ``start``."""
        until = time.monotonic() + timeout
        problems = {}
        for name, check in list(self._checks.items()):
            known = check.known.wait(max(0.0, until - time.monotonic()))
            problem = check.problem if known else f"no result within {timeout:g} seconds"
            if problem:
                problems[name] = problem
        if problems:
            text = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
            raise StartError(f"health checks fail: {text}", hint="is everything running that the application needs?")

    def problems(self) -> dict[str, str]:
        """Why the worker should not be given work, by check; empty when it should."""
        states = self.results()
        return {name: state for name, state in states.items() if state}

    def results(self) -> dict[str, str]:
        """Every check with what it found, ``""`` for nothing wrong, the worker itself first."""
        now = time.monotonic()
        return {_OURS: self._of_worker(), **{name: check.state(now) for name, check in self._checks.items()}}

    def _of_worker(self) -> str:
        if self._statistics.state != "ready":
            return self._statistics.state
        return "overloaded" if self._statistics.overloaded else ""


def includeme(setup: Setup) -> None:
    """Read ``[health]``, bring the beans Health and Statistics, ``@health_check``, and the endpoints where a server is named for them."""
    settings = setup.settings("health", HealthSettings)
    container = setup.container
    statistics = Statistics(lambda: container.get(Doors), container.get(Events))
    health = Health(container, statistics, settings)
    container.add(Statistics, statistics)
    container.add(Health, health)
    setup.add_service(statistics, "statistics")
    setup.add_service(health, "health")
    setup.on_mark("health_check", _add_check)
    allowed = _networks(setup, settings)
    hub = container.get(Hub)
    statistics.add_source("hub", hub.numbers)
    statistics.add_source("pushes", lambda: container.get(Doors).pushes())
    container.get(Pools).tell(statistics.add_source, statistics.remove_source)
    if hub.meets:
        health.check("hub", lambda: hub.relay.healthy)
    if settings.server:
        _check_server(setup, settings.server)
        health.endpoints = endpoints(settings, allowed, debug=bool(setup.config.get("app.debug", False)))
        setup.include(health.endpoints)


def _add_check(setup: Setup, owner: type | None, name: str, target: Any, mark: Mark) -> None:
    def function() -> object:
        return getattr(setup.container.get(owner), name)() if owner is not None else target()

    setup.container.get(Health).check(function=function, where=mark.where, **mark.options)


def _networks(setup: Setup, settings: HealthSettings) -> Trusted:
    try:
        return Trusted(settings.allow)
    except ConfigError as error:
        raise ConfigError(f"{_place(setup, 'health.allow')}{error.text.removeprefix('trusted: ')}", hint=error.hint) from None


def _check_server(setup: Setup, name: str) -> None:
    servers = [key for key, found in setup.config.section("servers").items() if found.get("kind", "http") == "http"]
    if name not in servers:
        close = difflib.get_close_matches(name, servers, 1)
        hint = f"did you mean {close[0]}?" if close else f"HTTP servers in conf: {', '.join(servers) or 'none'}"
        raise ConfigError(f"{_place(setup, 'health.server')}there is no HTTP server {name!r}", hint=hint)


def _place(setup: Setup, key: str) -> str:
    place = setup.config.place(key)
    return f"{f'{place}: ' if place else ''}{key}: "


def endpoints(settings: HealthSettings, allowed: Trusted, *, debug: bool) -> type:
    """The controller of the three paths, as conf wants them."""

    @http(server=settings.server)
    class HealthEndpoints:
        """What orchestrators, load balancers and Prometheus ask."""

        def __init__(self, health: Health, statistics: Statistics) -> None:
            self._health = health
            self._statistics = statistics

        def liveness(self) -> Response:
            return Response("ok", headers=_FRESH)

        def readiness(self, request: Request) -> Response:
            results = self._health.results()
            ready = not any(results.values())
            answer: dict[str, object] = {"status": "ready" if ready else "not ready"}
            if debug or _from_inside(request, allowed):
                answer["checks"] = {name: state or "ok" for name, state in results.items()}
            response = render(answer)
            response.status = 200 if ready else 503
            response.headers = _FRESH
            return response

        def metrics(self, request: Request) -> Response:
            if not _from_inside(request, allowed):
                raise Refused("the metrics are not for this address")
            self._statistics.write()
            return Response(exposition(*read(self._statistics.board)), 200, CONTENT_TYPE, _FRESH)

    for path, function in (
        (settings.live, HealthEndpoints.liveness),
        (settings.ready, HealthEndpoints.readiness),
        (settings.metrics, HealthEndpoints.metrics),
    ):
        if path:
            get(path)(function)
    return HealthEndpoints


def _from_inside(request: Request, allowed: Trusted) -> bool:
    """What a proxy passed on comes from anywhere, whatever the address of the proxy."""
    headers = request.headers
    return "x-forwarded-for" not in headers and "forwarded" not in headers and request.connection.address in allowed
