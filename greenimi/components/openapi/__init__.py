"""OpenAPI 3.1: documents made from routes, types, rules and docstrings, a page to read and try them, ``greenimi openapi``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from greenimi.marks import marker

if TYPE_CHECKING:
    from greenimi.container.setup import Setup

T = TypeVar("T")

__all__ = ["includeme", "operation"]


def operation(part: Mapping[str, Any] | None = None, /, **fields: Any) -> Callable[[T], T]:
    """What the document is to say of a handler, or of all handlers of a controller, laid over what is generated.

    ``part``, ``fields``: fields of OpenAPI's Operation object as the specification spells them, such as ``operationId="place"`` or
    ``responses={201: {"description": "placed", "content": {"application/json": {"schema": Order}}}}``.  A class stands for its schema.
    None takes out what was generated.
    """
    return marker("operation", part={**(part or {}), **fields})


def includeme(setup: Setup) -> None:
    """Read ``[openapi]``, bring the bean Documents, ``@operation``, the command, and the pages where conf wants them."""
    from greenimi.components.openapi.including import include  # only those who include it pay for its modules

    include(setup)
