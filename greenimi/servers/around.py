"""What an HTTP server puts around every request, as its conf says, in one order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from greenimi.container.registry import Container
from greenimi.servers.settings import ServerSettings


def outer_layers(settings: ServerSettings, container: Container) -> Sequence[Any]:
    """Around everything, errors included; ``proceed`` gives them a Response.  Outermost first.

    Proxy headers, request id, access log, security headers, CORS, compression, ETag.
    """
    layers: list[Any] = []
    return layers


def inner_layers(settings: ServerSettings, container: Container) -> Sequence[Any]:
    """Inside of those, around the layers of conf and the handler; errors pass through them as exceptions.  Outermost first.

    Execution time, session, CSRF, identity.
    """
    layers: list[Any] = []
    return layers
