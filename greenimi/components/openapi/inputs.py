"""What a handler asks for, as the parameters and the request body of an operation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec

from greenimi.components.openapi.docstrings import Docstring
from greenimi.components.openapi.rules import pattern_of
from greenimi.components.openapi.schemas import Schema, Schemas
from greenimi.dispatch.arguments import Parameter
from greenimi.dispatch.conditions import Rule
from greenimi.dispatch.route import Route
from greenimi.message import Body
from greenimi.validate.shapes import shape_of

JSON = "application/json"
URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
BYTES = "application/octet-stream"

WITHOUT_BODY = ("GET", "HEAD", "DELETE", "OPTIONS", "TRACE")
"""Methods whose requests have no body that would mean anything (RFC 9110 section 9.3)."""

_FIELDS = ("field", "form", "file")
_PLACES = ("path", "query", "header", "cookie")
_LARGEST = 10**18 - 1  # of a number in a path: as many digits as its converter takes


class Inputs:
    """What one route takes.

    ``parameters``  those beside the body, as the document tells them
    ``body``        the request body; None where there is none
    ``statuses``    what a request with wrong ones is answered
    """

    def __init__(self, route: Route, schemas: Schemas, doc: Docstring, number: str) -> None:
        """``number`` is the operationId, after which the schema of a body is named that has no type of its own."""
        self._schemas = schemas
        self._doc = doc
        self._number = number
        self._consumes = route.conditions.consumes
        assert route.template is not None
        rules = dict(zip(route.template.names, route.template.rules, strict=True))
        self.parameters: list[Schema] = []
        self._fields: list[Parameter] = []
        self.body: Schema | None = None
        for parameter in route.parameters:
            source = _source(parameter, route.method)
            if source in _PLACES and (source != "path" or parameter.key in rules):  # others stand in the host
                self.parameters.append(self._parameter(parameter, source, rules.get(parameter.key, "")))
            elif source in _FIELDS:
                self._fields.append(parameter)
            elif source == "payload":
                self.body = self._of_whole(parameter)
        if self._fields and self.body is None:
            self.body = self._of_fields()
        self.parameters += _asked(route.conditions.rules, self.parameters)
        self.statuses = {400, *([404] if rules else []), *([413, 415] if self.body else [])}
        if any(parameter.source != "framework" for parameter in route.parameters):
            self.statuses.add(422)

    # -- beside the body -------------------------------------------------------------------------------------------
    def _parameter(self, parameter: Parameter, place: str, rule: str) -> Schema:
        found: Schema = {"name": parameter.key, "in": place}
        if text := self._description(parameter):
            found["description"] = text
        if parameter.required or place == "path":
            found["required"] = True
        annotation = _without_none(parameter.annotation)
        several = {"minItems": 1} if parameter.required and shape_of(annotation).form == "list" else {}  # none at all: it is missing
        found["schema"] = self._schema(parameter, _with_rule(annotation, rule), **several)
        return found

    def _description(self, parameter: Parameter) -> str:
        return parameter.description or self._doc.parameters.get(parameter.name, "")

    def _schema(self, parameter: Parameter, annotation: Any, **own: Any) -> Schema:
        """The schema of a parameter's type, with its default."""
        if not parameter.required:
            try:
                default = msgspec.to_builtins(parameter.default, str_keys=True)
            except TypeError:  # an object that means nothing outside of the program
                default = None
            if default is not None:
                own["default"] = default
        return self._schemas.add(annotation, **own)

    # -- the body --------------------------------------------------------------------------------------------------
    def _body(self, kinds: list[str], schema: Schema, *, required: bool) -> Schema:
        """A body of these media types, or of those that the route says it takes."""
        kinds = list(self._consumes) or kinds
        found: Schema = {"content": {kind: {"schema": schema} for kind in kinds}}
        if required:
            found["required"] = True
        return found

    def _of_whole(self, parameter: Parameter) -> Schema:
        if parameter.source == "framework":  # the body as it arrives
            return self._body(["*/*"], {}, required=bool(self._consumes))
        bare = shape_of(parameter.annotation).bare
        if bare is bytes:  # nothing at all are bytes, too
            found = self._body([BYTES], {}, required=bool(self._consumes))
        elif bare is str:
            text = {"minLength": 1} if parameter.required else {}
            found = self._body(["text/plain"], self._schema(parameter, parameter.annotation, **text), required=parameter.required)
        else:
            found = self._body([JSON], self._schema(parameter, parameter.annotation), required=parameter.required)
        description = self._description(parameter)
        return {"description": description, **found} if description else found

    def _of_fields(self) -> Schema:
        """A body of the fields that are asked for one by one."""
        sources = {parameter.source for parameter in self._fields}
        if "file" in sources:
            kinds = [MULTIPART]
        elif "form" in sources:
            kinds = [URLENCODED, MULTIPART]
        else:
            kinds = [JSON, *([URLENCODED] if all(_is_flat(parameter) for parameter in self._fields) else [])]
        schema = self._schemas.named(f"{self._number}_body", self._object())
        return self._body(kinds, schema, required=any(parameter.required for parameter in self._fields))

    def _object(self) -> Schema:
        """An object with the fields; a dotted name goes into objects within."""
        whole: Schema = {"type": "object", "properties": {}}
        for parameter in self._fields:
            *outer, last = parameter.key.split(".") if parameter.source == "field" else [parameter.key]
            here = whole
            for name in outer:
                if parameter.required:
                    _require(here, name)
                here = here["properties"].setdefault(name, {"type": "object", "properties": {}})
            here["properties"][last] = self._of_field(parameter)
            if parameter.required:
                _require(here, last)
        return whole

    def _of_field(self, parameter: Parameter) -> Schema:
        text = self._description(parameter)
        own: Schema = {"description": text} if text else {}
        if parameter.required and parameter.source in ("form", "file") and _has_several(parameter.annotation):
            own["minItems"] = 1  # a form without any of them lacks the field
        if parameter.source != "file":
            return self._schema(parameter, parameter.annotation, **own)
        one = {"type": "string", "format": "binary", "contentMediaType": BYTES}
        return {**own, **({"type": "array", "items": one} if _has_several(parameter.annotation) else one)}


def _source(parameter: Parameter, method: str) -> str:
    """Where a document shows a parameter.  One that may stand in query or body is shown in the body, where there is one."""
    if parameter.source == "framework" and parameter.annotation is Body:
        return "payload"
    if parameter.source == "query-or-body":
        return "query" if method in WITHOUT_BODY else "field"
    return parameter.source


def _without_none(annotation: Any) -> Any:
    """What is sent where ``X | None`` is asked for and no null can be sent."""
    shape = shape_of(annotation)
    named = [part for part in shape.parts if part is not type(None)]
    if shape.form != "union" or len(named) != 1:
        return annotation
    return Annotated[(named[0], *shape.metadata)] if shape.metadata else named[0]


def _has_several(annotation: Any) -> bool:
    shape = shape_of(annotation)
    return shape.form == "list" or (shape.form == "union" and any(map(_has_several, shape.parts)))


def _asked(rules: Iterable[Rule], known: Sequence[Schema]) -> Iterator[Schema]:
    """Fields of query and header that a condition of the route asks for, and that no parameter takes."""
    names = {(parameter["in"], parameter["name"].lower()) for parameter in known}
    for rule in rules:
        if rule.source in ("query", "header") and rule.operation in _CONDITIONS and (rule.source, rule.name.lower()) not in names:
            schema = {"type": "string", **_CONDITIONS[rule.operation](rule.value)}
            yield {"name": rule.name, "in": rule.source, "required": True, "schema": schema}


_CONDITIONS: Mapping[str, Callable[[str], Schema]] = {
    "there": lambda value: {},
    "=": lambda value: {"const": value},
    "~": lambda value: {"pattern": pattern} if (pattern := pattern_of(value)) else {},
}


def _require(schema: Schema, name: str) -> None:
    required = schema.setdefault("required", [])
    if name not in required:
        required.append(name)


def _is_flat(parameter: Parameter) -> bool:
    """A form can tell it: one text, or several."""
    shape = shape_of(parameter.annotation)
    parts: Iterable[Any] = shape.parts if shape.form in ("list", "union") else (shape.bare,)
    return "." not in parameter.key and all(shape_of(part).form == "value" for part in parts)


def _with_rule(annotation: Any, rule: str) -> Any:
    """The type of a placeholder with what its converter or pattern says beyond it; its own rules weigh more."""
    extra = _of_rule(rule, shape_of(annotation).bare)
    return Annotated[annotation, msgspec.Meta(extra_json_schema=extra)] if extra else annotation


def _of_rule(rule: str, bare: Any) -> Schema:
    text = {"type": "string"} if bare is Any else {}
    pattern = ""
    match rule:
        case "":  # no placeholder
            return {}
        case "str" | "path":
            return text
        case "uuid":
            return {**text, "format": "uuid"}
        case "int" | "float" if bare in (int, float, Any):
            kind = {"type": "integer" if rule == "int" else "number"}
            return {**(kind if bare is Any else {}), "minimum": -_LARGEST, "maximum": _LARGEST}
        case "int":
            pattern = r"^-?[0-9]{1,18}$"
        case "float":
            pattern = r"^-?[0-9]{1,18}(\.[0-9]{1,18})?$"
        case _:
            pattern = pattern_of(rule) or ""
    return {**text, "pattern": pattern} if pattern and bare in (str, Any) else text
