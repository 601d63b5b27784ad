"""One operation of the document: everything that is known of a route and its handler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from greenimi.components.openapi.docstrings import Docstring, parse_docstring
from greenimi.components.openapi.inputs import Inputs
from greenimi.components.openapi.responses import Views, answers, errors
from greenimi.components.openapi.schemas import Schema, Schemas
from greenimi.components.openapi.security import Security
from greenimi.dispatch.route import Route


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the operations of a server share.  ``views``: the kinds of views that its conf names."""

    schemas: Schemas = field(default_factory=Schemas)
    security: Security = field(default_factory=Security)
    views: Sequence[str] = ()


def operation_of(route: Route, number: str, around: Surroundings) -> Schema:
    """The operation of ``route``; ``number`` is its operationId."""
    function = getattr(route.controller, route.function_name)
    doc = parse_docstring(function.__doc__, frozenset(parameter.name for parameter in route.parameters))
    inputs = Inputs(route, around.schemas, doc, number)
    asked = around.security.of(route)
    views = Views.of(route, around.views)
    found: Schema = {
        "tags": list(route.options.get("tags", ())) or [route.controller.__name__],
        **_words(route, function, doc, asked.roles),
        "operationId": number,
    }
    if inputs.parameters:
        found["parameters"] = inputs.parameters
    if inputs.body is not None:
        found["requestBody"] = inputs.body
    refusals = errors(inputs.statuses | asked.statuses | views.statuses)
    found["responses"] = {**answers(route.returns, around.schemas, doc.returns, views), **refusals}
    if asked.ways:
        found["security"] = asked.ways
    if route.options.get("deprecated", hasattr(function, "__deprecated__")):
        found["deprecated"] = True
    return found


def _words(route: Route, function: Any, doc: Docstring, roles: Sequence[str]) -> dict[str, str]:
    """Summary and description: what the route says, else the docstring."""
    summary = route.options.get("summary", "") or doc.summary
    parts = [route.options.get("description", "") or doc.description]
    if told := getattr(function, "__deprecated__", ""):
        parts.append(f"Deprecated: {told}")
    parts += [f"Roles: {words}." for words in roles]
    description = "\n\n".join(filter(None, parts))
    return {key: text for key, text in (("summary", summary), ("description", description)) if text}


def operation_ids(routes: Iterable[Route]) -> list[str]:
    """An operationId for each route, in order: ``Orders_show``.

    It does not change when other routes come and go, but where those are of the same handler (then the method, then the path tells them
    apart) or of a controller of the same name (then the module does).
    """
    routes = list(routes)
    modules: dict[str, set[str]] = {}
    for route in routes:
        modules.setdefault(route.controller.__name__, set()).add(f"{route.controller.__module__}.{route.controller.__qualname__}")
    names = []
    for route in routes:
        controller = route.controller.__name__
        if len(modules[controller]) > 1:
            controller = f"{route.controller.__module__}.{route.controller.__qualname__}".replace(".", "_").replace("<locals>", "")
        names.append(f"{controller}_{route.function_name}")
    names = _told_apart(names, [route.method.lower() for route in routes])
    return _told_apart(names, [_slug(route) for route in routes])


def _told_apart(names: list[str], further: list[str]) -> list[str]:
    counts: Mapping[str, int] = Counter(names)
    return [f"{name}_{more}" if counts[name] > 1 else name for name, more in zip(names, further, strict=True)]


def _slug(route: Route) -> str:
    text = route.template.text if route.template else ""
    return "_".join("".join(char if char.isalnum() else " " for char in text).split())
