"""Which route, or which mounted application, answers a request.

A route without conditions is called at once.  One that has some stands in the tree as a :class:`Conditional`, which asks them first, and
where they do not hold has the search begin again from the top, with the conditions of every route that fits.  So the first declared route
whose conditions hold wins, static paths before placeholders, and those without conditions pay nothing for it.

Nothing holds: the application mounted there; 415 when the media type of the body was all that was wrong; 404 else.  A route of another
host does not exist for a request: it counts neither for 405 nor for ``Allow``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from greenimi.container.onion import Proceed
from greenimi.dispatch.conditions import Conditions, rule_tests, takes
from greenimi.dispatch.paths import NO_PARAMS, PathRouter, Template
from greenimi.dispatch.route import Route
from greenimi.errors import ConflictError, MethodNotAllowed, NotFound, Refusal, TooLarge
from greenimi.message import Request, Response

WEBSOCKET = "WEBSOCKET"
"""The method under which the tree of paths keeps the handshake of WebSocket controllers."""


def limit_body(request: Request, limit: int) -> None:
    """Let the body have ``limit`` bytes: raises TooLarge (413) for one that has or announces more, and reading it does once it has more."""
    stream = request.stream
    if stream is None:
        size = len(request.raw)
    else:
        stream.most = limit
        size = max(stream.received, int(request.headers.get("content-length", 0)))
    if size > limit:
        raise TooLarge(f"the body is over {limit} bytes")


def limited(call: Proceed, limit: int) -> Proceed:
    """``call``, for requests whose body is within the limit."""

    def within(request: Request) -> Any:
        limit_body(request, limit)
        return call(request)

    return within


class Conditional:
    """The call of a route that has conditions: the route's where they hold, else ``otherwise``."""

    __slots__ = ("_heavy", "_host", "_light", "_max_body", "_takes", "call", "consumes", "otherwise")

    def __init__(self, conditions: Conditions, call: Proceed, otherwise: Proceed, max_body: int | None) -> None:
        self.call = call
        self.otherwise = otherwise
        self.consumes = conditions.consumes
        self._host = conditions.host
        self._light, self._heavy = rule_tests(conditions.rules)
        self._takes = takes(conditions.consumes) if conditions.consumes else None
        self._max_body = max_body

    def __call__(self, request: Request) -> Any:
        return self.call(request) if self.mismatch(request) is None else self.otherwise(request)

    def is_at(self, request: Request) -> bool:
        """Whether the request is for the route's host."""
        return self._host is None or self._host.match(request.host) is not None

    def mismatch(self, request: Request) -> str | None:
        """None when all hold: what the host tells is among the request's params then.  Else what does not: host, rules or consumes.

        The body is read last and only where everything else holds, within the limit of the route.  Raises what that raises.
        """
        params: Mapping[str, Any] | None = None
        if self._host is not None:
            params = self._host.match(request.host)
            if params is None:
                return "host"
        if not all(test(request) for test in self._light):
            return "rules"
        if self._takes is not None and not self._takes(request):
            return "consumes"
        if self._heavy:
            if self._max_body is not None:
                limit_body(request, self._max_body)
            if not all(test(request) for test in self._heavy):
                return "rules"
        if params:
            request.params = {**request.params, **params}
        return None


class Routing:
    """Filled at start.  ``core()`` is what to call with requests from then on; ask again after adding more."""

    def __init__(self, missing: Callable[[Any], Any] | None = None) -> None:
        self._missing = missing
        self._router: PathRouter[Proceed] = PathRouter()
        self._find = self._router.find
        self._mounts: list[tuple[str, Proceed]] = []  # longest prefix first
        self._beginnings: set[str | None] = set()  # the first segments of templates; None: not a literal
        self._fixed: set[str] | None = set()  # the paths of all routes; None: some have placeholders or ignore case

    def add(self, route: Route, method: str, call: Proceed) -> None:
        """Have ``call`` answer what ``route`` takes, under ``method``; for its place in the tree, see ``PathRouter``."""
        assert route.template is not None
        found = Conditional(route.conditions, call, self._otherwise, route.options.get("max_body")) if route.conditions else call
        self._add(route.template, method, found, spare=False)
        other = route.template.with_other_end() if route.auto_end_slash else None
        if other is not None:
            self._add(other, method, found, spare=True)

    def _add(self, template: Template, method: str, call: Proceed, *, spare: bool) -> None:
        self._router.add(template, method, call, spare=spare)
        self._beginnings.add(None if template.ignore_case else template.segments[0].literal)
        if template.names or template.ignore_case:
            self._fixed = None
        elif self._fixed is not None:
            self._fixed.add(template.text)

    def mount(self, prefix: str, call: Proceed) -> None:
        """See ``HttpPipeline.mount``."""
        if any(prefix == known for known, _ in self._mounts):
            raise ConflictError(f"two applications are mounted at {prefix or '/'}")
        self._mounts.append((prefix, call))
        self._mounts.sort(key=lambda mounted: -len(mounted[0]))

    # -- asking ----------------------------------------------------------------------------------------------------

    def core(self) -> Proceed:
        """The shortest way for what there is."""
        if not self._mounts:
            return self._route
        if self._fixed is None:
            return self._route_or_guest
        if len(self._mounts) == 1 and self._mounts[0][0] == "":
            return _guest_but_for(frozenset(self._fixed), self._mounts[0][1], self._route)
        return self._guest_or_route

    def _route(self, request: Request) -> Any:
        found = self._find(WEBSOCKET if request.upgrade else request.method, request.path)
        if found is None:
            return self._otherwise(request)
        call, request.params = found
        return call(request)

    def _route_or_guest(self, request: Request) -> Any:
        """Where no template begins like the path the tree need not be asked, once for every method."""
        if request.path[1:].partition("/")[0] not in self._beginnings and None not in self._beginnings:
            mounted = self._mounted(request.path)
            if mounted is not None:
                return mounted(request)
        return self._route(request)

    def _guest_or_route(self, request: Request) -> Any:
        mounted = None if request.path in self._fixed else self._mounted(request.path)  # type: ignore[operator]  # see core
        return self._route(request) if mounted is None else mounted(request)

    def _mounted(self, path: str) -> Proceed | None:
        for prefix, call in self._mounts:
            if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("/", ""):
                return call
        return None

    def _otherwise(self, request: Request) -> Any:
        """No route of the request's own method takes it at first sight: search with all conditions, and say what is wrong.

        HEAD is answered by GET, OPTIONS by the list of methods, a request for another protocol as if it were none.
        """
        method, path = request.method, request.path
        wrong: list[tuple[str, Conditional]] = []

        def holds(call: Proceed, params: Mapping[str, Any]) -> bool:
            request.params = params
            if type(call) is not Conditional:
                return True
            mismatch = call.mismatch(request)
            if mismatch is not None:
                wrong.append((mismatch, call))
            return mismatch is None

        fitting = [method, "GET"] if method == "HEAD" else [method]
        for each in [WEBSOCKET, *fitting] if request.upgrade else fitting:  # RFC 9110 section 7.8 lets us ignore an upgrade
            found = self._router.choose(each, path, holds)
            if found is not None:
                call = found[0]
                return call.call(request) if type(call) is Conditional else call(request)
        request.params = NO_PARAMS
        known = self._methods(request)
        if known.isdisjoint(fitting) and known:
            return self._other_method(request, known)
        mounted = self._mounted(path)
        if mounted is not None:
            return mounted(request)
        taken = sorted({kind for what, call in wrong if what == "consumes" for kind in call.consumes})
        if taken:
            raise Refusal(f"the body must be {' or '.join(taken)}", status=415, headers=[("Accept", ", ".join(taken))])
        if self._missing is not None:
            return self._missing(request)
        raise NotFound(f"nothing at {path[:200]}{' for such a request' if known else ''}")

    def _methods(self, request: Request) -> set[str]:
        """What is at the path, for the host of the request."""
        if request.path == "*":
            return self._router.all_methods
        return self._router.methods(request.path, lambda call, params: type(call) is not Conditional or call.is_at(request))

    def _other_method(self, request: Request, known: set[str]) -> Any:
        """The answer to a method that the path does not have.  Raises MethodNotAllowed, or Refusal where only a WebSocket is."""
        allowed = sorted((known - {WEBSOCKET}) | ({"HEAD"} if "GET" in known else set()) | {"OPTIONS"})
        if request.method == "OPTIONS":
            return Response(b"", 204, "", [("Allow", ", ".join(allowed))])
        if WEBSOCKET in known and request.method == "GET":
            raise Refusal("this is a WebSocket", status=426, headers=[("Upgrade", "websocket"), ("Connection", "Upgrade")])
        raise MethodNotAllowed(f"{request.method} is not allowed at {request.path[:200]}", allowed)


def _guest_but_for(fixed: frozenset[str], guest: Proceed, route: Proceed) -> Proceed:
    """All for one guest, but for a few paths.  The way of every request of a server that serves an application of another framework."""

    def chosen(request: Request) -> Any:
        path = request.path
        if path in fixed or path[:1] != "/":  # "*" and the authority of a CONNECT are no paths
            return route(request)
        return guest(request)

    return chosen
