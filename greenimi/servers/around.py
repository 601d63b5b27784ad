"""What an HTTP server puts around every request, as its conf says, in one order.

Layers are imported where conf asks for them: what is not there takes neither time at the start nor memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from greenimi.container.registry import Container
from greenimi.dispatch.route import Route
from greenimi.interfaces import ISessionStore
from greenimi.marks import marks_of
from greenimi.servers.entrance.trusted import Trusted
from greenimi.servers.settings import ServerSettings
from greenimi.servers.timelimit import TimeLimits
from greenimi.web.guards import with_guards
from greenimi.web.identity import RequestIdentity

if TYPE_CHECKING:
    from greenimi.web.csrf import CsrfLayer


def has_sessions(settings: ServerSettings) -> bool:
    """Whether conf says where the sessions of a server are kept."""
    return bool(settings.session.driver)


def checks_csrf(settings: ServerSettings) -> bool:
    """Whether requests that pages of other sites make are refused."""
    return settings.csrf.check == "always" or (settings.csrf.check == "auto" and has_sessions(settings))


def outer_layers(settings: ServerSettings, container: Container) -> Sequence[Any]:
    """Around everything, errors included; ``proceed`` gives them a Response.  Outermost first.

    Request id, access log, security headers, CORS, compression, ETag, cookies of inner layers.
    """
    layers: list[Any] = []
    if settings.request_id.enabled:
        from greenimi.web.requestid import RequestIds

        layers.append(RequestIds(settings.request_id.header, Trusted(settings.trusted)))
    if settings.access_log.format:
        from greenimi.web.accesslog import AccessLog

        access_log = AccessLog(settings.access_log)
        container.endings.append(access_log.close)
        layers.append(access_log)
    if settings.security.enabled:
        from greenimi.web.security import SecurityHeaders

        layers.append(SecurityHeaders(settings.security))
    if settings.cors.origins:
        from greenimi.web.cors import Cors

        layers.append(Cors(settings.cors))
    if settings.compression.enabled:
        from greenimi.web.compression import CompressionLayer

        layers.append(CompressionLayer(settings.compression))
    if settings.etag:
        from greenimi.web.etag import etag_layer

        layers.append(etag_layer)
    if has_sessions(settings) or checks_csrf(settings):
        from greenimi.web.late import late_fields

        layers.append(late_fields)
    return layers


def inner_layers(settings: ServerSettings, container: Container, identity: RequestIdentity | None = None) -> Sequence[Any]:
    """Inside of those, around the layers of conf and the handler; errors pass through them as exceptions.  Outermost first.

    Proxy headers, hosts, decompression, session, identity, views; around the handlers of routes also execution time, CSRF and guards, see
    :func:`guarded`.
    """
    layers: list[Any] = []
    if settings.forwarded:  # what is outside looks at it on the way out only
        from greenimi.web.forwarded import Forwarded

        layers.append(Forwarded(settings.forwarded, Trusted(settings.trusted)))
    if settings.hosts:
        from greenimi.web.hosts import Hosts

        layers.append(Hosts(settings.hosts))
    if settings.compression.requests:
        from greenimi.web.compression import DecompressionLayer

        layers.append(DecompressionLayer(settings.max_body, settings.compression.ratio))
    if has_sessions(settings):
        from greenimi.web.session_layer import SessionLayer

        store = container.driver(ISessionStore, settings.session.driver)(settings=settings.session)
        layers.append(SessionLayer(store, settings.session))
    if identity is not None:
        layers.append(identity)
    if settings.views.kinds:
        from greenimi.web.views import DefaultViewLayer

        layers.append(DefaultViewLayer(settings.views.kinds, settings.views.xml_root))
    return layers


def guarded(routes: Sequence[Route], settings: ServerSettings, limits: TimeLimits) -> list[Route]:
    """Routes with what stands around their handlers outside of their own layers: the time limit, for HTTP CSRF, and the guards."""
    csrf = _csrf(settings)
    required = settings.identity.default == "required"

    def dressed(route: Route) -> Route:
        if route.event:
            return route
        layers: list[Any] = [*limits.layers(route.options.get("max_time", settings.max_time))]
        if csrf is not None and route.kind == "http" and not _is_exempt(route):
            layers.append(csrf)
        return replace(route, layers=(*layers, *with_guards(route.layers, required=required)))

    return [dressed(route) for route in routes]


def _csrf(settings: ServerSettings) -> CsrfLayer | None:
    if not checks_csrf(settings):
        return None
    from greenimi.web.csrf import CsrfLayer

    return CsrfLayer(settings.csrf)


def _is_exempt(route: Route) -> bool:
    """``@csrf_exempt`` says that pages of other sites may call it."""
    return any(marks_of(target, "csrf_exempt") for target in (route.controller, getattr(route.controller, route.function_name)))
