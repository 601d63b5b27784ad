"""The component container: beans, their lifetimes and injection, and the setup that fills it.

``container.add`` and ``@bean`` put things in; annotations, ``container.get`` and facades take them out.  See :class:`Setup` for how a
component plugs in.
"""

from __future__ import annotations

from greenimi.container.beans import Definition, handle_bean, handle_partial
from greenimi.container.binding import Binding
from greenimi.container.context import Scope, scope
from greenimi.container.facade import Connection, Message, Request, facade
from greenimi.container.inject import ConfigValue, EnvValue, Lazy, Named
from greenimi.container.registry import Container, current_container, set_default_container
from greenimi.container.scan import Marked
from greenimi.container.service import Services, Tier
from greenimi.container.setup import Setup

__all__ = [
    "Binding",
    "ConfigValue",
    "Connection",
    "Container",
    "Definition",
    "EnvValue",
    "Lazy",
    "Marked",
    "Message",
    "Named",
    "Request",
    "Scope",
    "Services",
    "Setup",
    "Tier",
    "current_container",
    "facade",
    "includeme",
    "scope",
    "set_default_container",
]


def includeme(setup: Setup) -> None:
    """Bring ``@bean`` and ``@partial``."""
    setup.on_mark("bean", handle_bean)
    setup.on_mark("partial", handle_partial)
