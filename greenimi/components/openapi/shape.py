"""The shape of an OpenAPI 3.1 document: which object has which fields, so that a hand-written part that breaks it is named.

What the fields of the specification's objects hold, in a few words: ``string``, ``boolean``, ``number``, ``any``; the name of an object;
``[x]`` a list, ``{x}`` a map of them.  ``!`` behind a field: it must be there.  Fields ``x-...`` are free everywhere.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

OBJECTS: dict[str, dict[str, str]] = {
    "OpenAPI": {
        "openapi!": "string",
        "info!": "Info",
        "jsonSchemaDialect": "string",
        "servers": "[Server]",
        "paths": "{PathItem}",
        "webhooks": "{PathItem}",
        "components": "Components",
        "security": "[{[string]}]",
        "tags": "[Tag]",
        "externalDocs": "Docs",
    },
    "Info": {
        "title!": "string",
        "version!": "string",
        "summary": "string",
        "description": "string",
        "termsOfService": "string",
        "contact": "{string}",
        "license": "License",
    },
    "License": {"name!": "string", "identifier": "string", "url": "string"},
    "Server": {"url!": "string", "description": "string", "variables": "{Variable}"},
    "Variable": {"default!": "string", "enum": "[string]", "description": "string"},
    "Components": {
        "schemas": "{Schema}",
        "responses": "{Response}",
        "parameters": "{Parameter}",
        "examples": "{Example}",
        "requestBodies": "{RequestBody}",
        "headers": "{Header}",
        "securitySchemes": "{SecurityScheme}",
        "links": "{Link}",
        "callbacks": "{Callback}",
        "pathItems": "{PathItem}",
    },
    "PathItem": {
        **dict.fromkeys(("get", "put", "post", "delete", "options", "head", "patch", "trace"), "Operation"),
        "$ref": "string",
        "summary": "string",
        "description": "string",
        "servers": "[Server]",
        "parameters": "[Parameter]",
    },
    "Operation": {
        "tags": "[string]",
        "summary": "string",
        "description": "string",
        "externalDocs": "Docs",
        "operationId": "string",
        "parameters": "[Parameter]",
        "requestBody": "RequestBody",
        "responses": "{Response}",
        "callbacks": "{Callback}",
        "deprecated": "boolean",
        "security": "[{[string]}]",
        "servers": "[Server]",
    },
    "Docs": {"url!": "string", "description": "string"},
    "Parameter": {
        "name!": "string",
        "in!": "string",
        "description": "string",
        "required": "boolean",
        "deprecated": "boolean",
        "allowEmptyValue": "boolean",
        "style": "string",
        "explode": "boolean",
        "allowReserved": "boolean",
        "schema": "Schema",
        "content": "{MediaType}",
        "example": "any",
        "examples": "{Example}",
    },
    "RequestBody": {"content!": "{MediaType}", "description": "string", "required": "boolean"},
    "MediaType": {"schema": "Schema", "example": "any", "examples": "{Example}", "encoding": "{Encoding}"},
    "Encoding": {
        "contentType": "string",
        "headers": "{Header}",
        "style": "string",
        "explode": "boolean",
        "allowReserved": "boolean",
    },
    "Response": {"description!": "string", "headers": "{Header}", "content": "{MediaType}", "links": "{Link}"},
    "Callback": {},
    "Example": {"summary": "string", "description": "string", "value": "any", "externalValue": "string"},
    "Link": {
        "operationRef": "string",
        "operationId": "string",
        "parameters": "{any}",
        "requestBody": "any",
        "description": "string",
        "server": "Server",
    },
    "Header": {
        "description": "string",
        "required": "boolean",
        "deprecated": "boolean",
        "style": "string",
        "explode": "boolean",
        "schema": "Schema",
        "content": "{MediaType}",
        "example": "any",
        "examples": "{Example}",
    },
    "Tag": {"name!": "string", "description": "string", "externalDocs": "Docs"},
    "SecurityScheme": {
        "type!": "string",
        "description": "string",
        "name": "string",
        "in": "string",
        "scheme": "string",
        "bearerFormat": "string",
        "flows": "any",
        "openIdConnectUrl": "string",
    },
    "Schema": {
        **dict.fromkeys(("title", "description", "$ref", "format", "pattern", "contentEncoding", "contentMediaType"), "string"),
        **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), "number"),
        **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), "number"),
        **dict.fromkeys(("deprecated", "readOnly", "writeOnly", "uniqueItems"), "boolean"),
        **dict.fromkeys(("properties", "patternProperties", "$defs", "dependentSchemas"), "{Schema}"),
        **dict.fromkeys(("anyOf", "oneOf", "allOf", "prefixItems"), "[Schema]"),
        **dict.fromkeys(("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"), "Schema"),
        "required": "[string]",
        "enum": "[any]",
        "examples": "[any]",
    },
}
_PRIMITIVES: dict[str, tuple[Any, str]] = {
    "string": (str, "a string"),
    "boolean": (bool, "true or false"),
    "number": (int | float, "a number"),
}
_OPEN = {"Schema", "Callback"}
"""Objects that may have fields that are not listed."""

_STATUS = re.compile(r"[1-5](?:[0-9]{2}|XX)|default")
_PLACES = ("query", "header", "path", "cookie")
_SCHEMES = ("apiKey", "http", "mutualTLS", "oauth2", "openIdConnect")


def problems(value: Any, kind: str = "OpenAPI", path: str = "") -> Iterator[str]:
    """What is wrong with ``value`` as a ``kind``, each beginning with the dotted path of the place.  Nothing: its shape is right."""
    if kind == "any":
        return
    if kind in _PRIMITIVES:
        wanted, words = _PRIMITIVES[kind]
        if not isinstance(value, wanted) or (isinstance(value, bool) and kind != "boolean"):
            yield f"{path}: expected {words}, got {_shown(value)}"
    elif kind.startswith("["):
        if not isinstance(value, list | tuple):
            yield f"{path}: expected a list, got {_shown(value)}"
            return
        for number, item in enumerate(value):
            yield from problems(item, kind[1:-1], f"{path}.{number}")
    elif kind == "Schema" and isinstance(value, bool):
        return
    elif not isinstance(value, Mapping):
        yield f"{path}: expected an object, got {_shown(value)}"
    elif kind.startswith("{"):
        for key, item in value.items():
            if not str(key).startswith("x-"):
                yield from problems(item, kind[1:-1], _join(path, key))
    elif "$ref" in value and kind not in ("Schema", "PathItem"):
        yield from problems(value["$ref"], "string", _join(path, "$ref"))
    else:
        yield from _of_object(value, kind, path)


def _of_object(value: Mapping[str, Any], kind: str, path: str) -> Iterator[str]:
    fields = {name.removesuffix("!"): inner for name, inner in OBJECTS[kind].items()}
    for name in OBJECTS[kind]:
        if name.endswith("!") and name[:-1] not in value:
            yield f"{_join(path, name[:-1])} is missing"
    for name, item in value.items():
        if name in fields:
            yield from problems(item, fields[name], _join(path, name))
        elif kind not in _OPEN and not str(name).startswith("x-"):
            close = difflib.get_close_matches(str(name), fields, 1)
            yield f"{_join(path, name)}: there is no such field{f'; did you mean {close[0]}?' if close else ''}"
    check = _CHECKS.get(kind)
    if check is not None:
        yield from check(value, path)


def _of_paths(value: Mapping[str, Any], path: str) -> Iterator[str]:
    paths = value.get("paths", {})
    for name in paths if isinstance(paths, Mapping) else ():
        if not str(name).startswith(("/", "x-")):
            yield f"{_join(path, 'paths')}.{name}: a path begins with /"


def _of_operation(value: Mapping[str, Any], path: str) -> Iterator[str]:
    responses = value.get("responses", {})
    for status in responses if isinstance(responses, Mapping) else ():
        if not _STATUS.fullmatch(str(status)) and not str(status).startswith("x-"):
            yield f"{_join(path, 'responses')}.{status}: expected a status such as 200, 4XX or default"


def _of_parameter(value: Mapping[str, Any], path: str) -> Iterator[str]:
    place = value.get("in")
    if isinstance(place, str) and place not in _PLACES:
        yield f"{_join(path, 'in')}: expected one of {', '.join(_PLACES)}, got {_shown(place)}"
    if place == "path" and value.get("required") is not True:
        yield f"{_join(path, 'required')}: what is in the path is required: true"
    if ("schema" in value) == ("content" in value):
        yield f"{path}: expected schema or content, one of the two"


def _of_scheme(value: Mapping[str, Any], path: str) -> Iterator[str]:
    kind = value.get("type")
    if isinstance(kind, str) and kind not in _SCHEMES:
        yield f"{_join(path, 'type')}: expected one of {', '.join(_SCHEMES)}, got {_shown(kind)}"


_CHECKS = {"OpenAPI": _of_paths, "Operation": _of_operation, "Parameter": _of_parameter, "SecurityScheme": _of_scheme}


def dangling(document: Any) -> Iterator[str]:
    """References to parts of the document that it does not have, each beginning with the path of its place."""
    for path, value in _references(document, ""):
        found = document
        for part in value[2:].split("/"):
            found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
        if found is None:
            yield f"{path}: the document has no {value}"


def doubled(document: Mapping[str, Any]) -> Iterator[str]:
    """Operations that have the operationId of another one."""
    places: dict[str, str] = {}
    for path, item in document.get("paths", {}).items():
        for method, operation in item.items() if isinstance(item, Mapping) else ():
            number = operation.get("operationId") if isinstance(operation, Mapping) else None
            place = f"paths.{path}.{method}"
            if number is not None and places.setdefault(number, place) != place:
                yield f"{place}.operationId: {number} is that of {places[number]}"


def _references(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key == "$ref" and isinstance(item, str) and item.startswith("#/"):
                yield path, item
            elif key not in ("example", "examples", "default", "const", "enum"):
                yield from _references(item, _join(path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _references(item, f"{path}.{number}")


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    return "null" if value is None else repr(value)[:60]
