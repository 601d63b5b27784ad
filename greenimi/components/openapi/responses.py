"""What a handler answers, as the responses of an operation."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from http import HTTPStatus
from operator import or_
from typing import Any, get_origin

from greenimi.components.openapi.inputs import BYTES, JSON
from greenimi.components.openapi.schemas import Schema, Schemas
from greenimi.dispatch.failure import PROBLEM_JSON
from greenimi.dispatch.route import Route
from greenimi.marks import marks_of
from greenimi.message import Response
from greenimi.validate.shapes import shape_of
from greenimi.web.sse import EVENT_STREAM, EventStream
from greenimi.web.views import media_type_of

PREFIX = "#/components/responses/"

TEXT = "text/plain"

PROBLEM: Schema = {
    "type": "object",
    "description": "What went wrong, as RFC 9457 tells it.",
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "default": "about:blank"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong with this request, for people."},
        "errors": {
            "type": "array",
            "description": "Every field that is wrong.",
            "items": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("field", "source", "text", "code")},
            },
        },
    },
    "required": ["title", "status"],
}
"""The schema of every error, ``#/components/schemas/ProblemDetails``."""

_ERRORS: Mapping[int, tuple[str, str]] = {
    400: ("BadRequest", "The request cannot be understood."),
    401: ("Unauthorized", "It is not known who is calling."),
    403: ("Forbidden", "Who is calling may not do this."),
    404: ("NotFound", "There is no such thing."),
    406: ("NotAcceptable", "The client takes none of the types that there are."),
    413: ("ContentTooLarge", "The body is too large."),
    415: ("UnsupportedMediaType", "The body is of a type that is not taken here."),
    422: ("UnprocessableContent", "Values of the request break their rules."),
}
"""Names and descriptions of the responses that all operations share."""

_STREAMS = (Iterator, Generator)
_MEDIA_TYPES: Mapping[Any, str] = {str: TEXT, bytes: BYTES}


@dataclass(frozen=True, slots=True)
class Views:
    """What values are shown as: the ``kinds`` of ``@view``, else those of the server, which leave texts, bytes and iterators alone."""

    kinds: tuple[str, ...] = ("json",)
    every: bool = False

    @classmethod
    def of(cls, route: Route, default: Sequence[str]) -> Views:
        """``default``: the kinds that the server's conf names."""
        for target in (getattr(route.controller, route.function_name), route.controller):  # the innermost comes first
            for mark in marks_of(target, "view"):
                return cls(tuple(mark.options["kinds"]), every=True)
        return cls(tuple(default) or ("json",))

    @property
    def statuses(self) -> set[int]:
        """What a client is answered that takes none of them."""
        return {406} if len(self.kinds) > 1 else set()

    def media_types(self, part: Any) -> list[str]:
        """What values of a declared type are sent as; none for a Response and for those who do not say."""
        kind = get_origin(part) or shape_of(part).bare
        if isinstance(kind, type) and issubclass(kind, Response):
            return [EVENT_STREAM] if issubclass(kind, EventStream) else []
        if self.every:
            return [media_type_of(each) for each in self.kinds]
        if part in (None, Any, object) or kind is Iterable:
            return []
        if kind in _STREAMS:
            return [TEXT]
        return [_MEDIA_TYPES[kind]] if kind in _MEDIA_TYPES else [media_type_of(each) for each in self.kinds]


def answers(returns: Any, schemas: Schemas, text: str, views: Views) -> dict[str, Schema]:
    """The responses of a handler with this return annotation, by status; ``text`` is what its docstring says of them."""
    shape = shape_of(returns)
    found: dict[str, Schema] = {}
    parts: dict[str, list[Any]] = {}
    for part in shape.parts if shape.form == "union" else (returns,):
        kinds = views.media_types(part)
        if part is type(None):
            found["204"] = {"description": text if shape.form != "union" and text else HTTPStatus(204).phrase}
        elif not kinds:  # it may be anything
            found["default"] = {"description": text or "What the handler answers."}
        for kind in kinds if part is not type(None) else ():
            parts.setdefault(kind, []).append(part)
    if parts:
        content = {kind: {"schema": _schema(kind, members, schemas)} for kind, members in parts.items()}
        found["200"] = {"description": text or HTTPStatus(200).phrase, "content": content}
    return found


def _schema(kind: str, members: list[Any], schemas: Schemas) -> Schema:
    if kind == JSON or kind.endswith("msgpack"):
        return schemas.add(reduce(or_, members)) if members != [None] else {}
    return {"type": "string"} if kind.startswith("text/") else {}


def errors(statuses: Iterable[int]) -> dict[str, Schema]:
    """References to the responses of these errors, by status."""
    return {str(status): {"$ref": PREFIX + _ERRORS[status][0]} for status in sorted(statuses)}


def error_components(used: Collection[str]) -> dict[str, Schema]:
    """The responses behind those references of :func:`errors` that are ``used``."""
    content = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    return {name: {"description": text, "content": content} for name, text in _ERRORS.values() if PREFIX + name in used}
