"""The OpenAPI 3.1 document of one server, from its routes and what is written by hand."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from greenimi.components.openapi.docstrings import parse_docstring
from greenimi.components.openapi.merge import merged
from greenimi.components.openapi.operations import Surroundings, operation_ids, operation_of
from greenimi.components.openapi.parts import Part, checked
from greenimi.components.openapi.responses import PROBLEM, error_components
from greenimi.components.openapi.schemas import Schema
from greenimi.components.openapi.security import Security
from greenimi.components.openapi.shape import OBJECTS, dangling, doubled
from greenimi.dispatch.paths import Template
from greenimi.dispatch.route import Route
from greenimi.errors import StartError

_METHODS = ("get", "put", "post", "delete", "patch", "trace")
"""Those that a document tells of: HEAD and OPTIONS are everywhere, and OpenAPI knows no others."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a document is made of.  ``info`` is its Info object, ``file`` the server's hand-written part."""

    server: str
    routes: Sequence[Route]
    info: Mapping[str, str]
    addresses: Sequence[str] = ()
    security: Security = field(default_factory=Security)
    views: Sequence[str] = ()
    file: Path | None = None


def document_of(facts: Facts) -> Schema:
    """Make the document, as JSON knows it: no two places share an object.

    Raises StartError naming the place of a hand-written part that breaks its shape, ConfigError for a file that cannot be read.
    """
    around = Surroundings(security=facts.security, views=facts.views)
    routes = [route for route in facts.routes if _is_listed(route)]
    paths = _paths(routes, around)
    document: Schema = {"openapi": "3.1.0", "info": dict(facts.info)}
    if facts.addresses:
        document["servers"] = [{"url": address} for address in facts.addresses]
    document["paths"] = paths
    document["components"] = {}
    document["tags"] = _tags(paths, routes)
    if facts.file is not None:
        part = Part.from_file(facts.file)
        document = checked(merged(document, part.resolved(around.schemas)), "OpenAPI", part.place)
    parts = document["components"] = merged(_components(document, around), document.get("components", {}))
    document["components"] = {name: found for name, found in parts.items() if found}
    for problem in (*dangling(document), *doubled(document)):
        raise StartError(f"the OpenAPI document of the server {facts.server}: {problem}")
    return msgspec.json.decode(msgspec.json.encode(document), type=dict)


def _is_listed(route: Route) -> bool:
    """HTTP routes of the application, unless they say no.  Those of greenimi itself, such as health, are for operators."""
    if route.kind != "http" or route.template is None or route.controller.__module__.startswith("greenimi."):
        return False
    return bool(route.options.get("include_in_docs", True)) and route.method.lower() in _METHODS


def _paths(routes: Sequence[Route], around: Surroundings) -> Schema:
    """The paths with their operations.

    A document cannot tell apart two handlers of one method at one path, whatever their conditions or types of placeholders: the first
    without conditions (else the first) is the operation, whose description names the others.  Placeholders are called as in the first
    template of their path.
    """
    numbers = dict(zip(map(id, routes), operation_ids(routes), strict=True))
    places: dict[str, dict[str, list[Route]]] = {}
    for route in routes:
        places.setdefault(_blank(route.template), {}).setdefault(route.method.lower(), []).append(route)
    paths: Schema = {}
    for methods in places.values():
        first = next(iter(methods.values()))[0].template
        assert first is not None
        item = paths[first.plain] = {}
        for method, same in methods.items():
            chosen = next((route for route in same if not route.conditions), same[0])
            operation = operation_of(chosen, numbers[id(chosen)], around)
            others = [f"Another handler, `{route.handler}`, answers what this one does not take." for route in same if route is not chosen]
            if others:
                operation["description"] = "\n\n".join(filter(None, [operation.get("description", ""), *others]))
            item[method] = _finished(operation, chosen, first, around)
    return paths


def _blank(template: Template | None) -> str:
    """The path of a template with its placeholders left blank."""
    assert template is not None
    path = template.plain
    for name in template.names:
        path = path.replace(f"{{{name}}}", "{}", 1)
    return path


def _finished(operation: Schema, route: Route, first: Template, around: Surroundings) -> Schema:
    """The operation with its placeholders called as in the first template of its path, and what is written by hand laid over it."""
    assert route.template is not None
    names = dict(zip(route.template.names, first.names, strict=True))
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            parameter["name"] = names[parameter["name"]]
    for part in Part.of(route):
        operation = checked(merged(operation, part.resolved(around.schemas)), "Operation", part.place)
    return _ordered(operation)


def _ordered(operation: Schema) -> Schema:
    """The fields as the specification lists them, the responses by their statuses."""
    fields = [*OBJECTS["Operation"]]
    found = dict(sorted(operation.items(), key=lambda field: fields.index(field[0]) if field[0] in fields else len(fields)))
    found["responses"] = dict(sorted(operation.get("responses", {}).items()))
    return found


def _tags(paths: Schema, routes: Iterable[Route]) -> list[Schema]:
    """What operations are listed under, in their order; controllers with what their docstrings say."""
    found = {name: {"name": name} for item in paths.values() for operation in item.values() for name in operation.get("tags", ())}
    for route in routes:
        name, text = route.controller.__name__, parse_docstring(inspect.getdoc(route.controller)).text
        if name in found and text and not _is_automatic(route.controller, text):
            found[name]["description"] = text
    return list(found.values())


def _is_automatic(kind: type, text: str) -> bool:
    """What @dataclass writes where there is no docstring."""
    return text.startswith(f"{kind.__name__}(")


def _components(document: Mapping[str, Any], around: Surroundings) -> Schema:
    """What the paths refer to."""
    operations = [operation for item in document.get("paths", {}).values() for operation in item.values() if isinstance(operation, Mapping)]
    responses = error_components(
        {answer["$ref"] for each in operations for answer in each.get("responses", {}).values() if "$ref" in answer}
    )
    ways = {name for each in operations for way in each.get("security", ()) for name in way}
    return {
        "schemas": {**around.schemas.finish(), **({"ProblemDetails": dict(PROBLEM)} if responses else {})},
        "responses": responses,
        "securitySchemes": {name: scheme for name, scheme in around.security.schemes.items() if name in ways},
    }
