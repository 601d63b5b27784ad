"""JSON Schema 2020-12 of Python types: what msgspec says of them, with what it leaves out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec

from greenimi import enums
from greenimi.components.openapi.docstrings import parse_docstring
from greenimi.components.openapi.rules import keywords
from greenimi.validate.shapes import Shape, is_foreign, shape_of

PREFIX = "#/components/schemas/"

Schema = dict[str, Any]


class Schemas:
    """The types of one document.  :meth:`add` gives a schema at once that :meth:`finish` fills, when all names are known."""

    def __init__(self) -> None:
        self._wanted: list[tuple[Schema, Any]] = []
        self._models: dict[type, Schema] = {}  # of pydantic
        self._components: dict[str, Schema] = {}
        self._amended: set[str] = set()

    def add(self, annotation: Any, **own: Any) -> Schema:
        """The schema of a type; ``own`` keywords win over the generated ones.  Of what is no data it allows anything."""
        schema: Schema = dict(own)
        if _is_readable(annotation):
            self._wanted.append((schema, annotation))
            return schema
        shape = shape_of(annotation)
        if shape.form == "union":  # of classes that a reader could not tell apart
            schema["anyOf"] = [self.add(part) for part in shape.parts]
        elif shape.form == "list":
            schema.update({"type": "array", "items": self.add(shape.parts[0])})
        elif shape.form == "map":
            schema.update({"type": "object", "additionalProperties": self.add(shape.parts[1])})
        return schema

    def named(self, name: str, schema: Schema) -> Schema:
        """Make ``schema`` a component, and give a reference to it."""
        self._components[name] = schema
        return {"$ref": PREFIX + name}

    def finish(self) -> dict[str, Schema]:
        """Fill the schemas.  Returns the components that they refer to, by name."""
        kinds = [annotation for _, annotation in self._wanted]
        found, components = msgspec.json.schema_components(kinds, schema_hook=self._custom, ref_template=PREFIX + "{name}")
        self._components.update(components)
        for (schema, annotation), generated in zip(self._wanted, found, strict=True):
            self._amend(generated, annotation)
            schema.update({**generated, **schema})
        return dict(sorted(self._components.items()))

    def _custom(self, kind: type) -> Schema:
        """What msgspec does not know: models of pydantic tell themselves; of anything else the name, as it does not take nothing."""
        if not is_foreign(kind):
            return {"title": kind.__name__}
        if kind not in self._models:
            schema = kind.model_json_schema(ref_template=PREFIX + "{model}")  # type: ignore[attr-defined]
            self._components.update(schema.pop("$defs", {}))
            self._components[kind.__name__] = schema
            self._models[kind] = {"$ref": PREFIX + kind.__name__}
        return self._models[kind]

    # -- what msgspec leaves out -----------------------------------------------------------------------------------
    def _amend(self, schema: Schema, annotation: Any) -> None:
        """Add rules, formats, labels and what docstrings say of fields, to this and to all that it is made of."""
        shape = shape_of(annotation)
        if schema.get("$ref", "").startswith(PREFIX):
            self._amend_component(schema["$ref"].removeprefix(PREFIX), shape)
        elif shape.form == "union":
            self._amend_union(schema, [part for part in shape.parts if part is not type(None)])
        elif shape.bare is object:
            schema.clear()
        elif shape.form == "row":
            self._amend_items(schema, shape)
        elif shape.form == "list" and shape.parts:
            self._amend(schema.get("items", {}), shape.parts[0])
        elif shape.form == "map" and isinstance(schema.get("additionalProperties"), dict):
            self._amend(schema["additionalProperties"], shape.parts[1])
        elif shape.bare in _SAID_TOO_LITTLE:
            schema.update({**_SAID_TOO_LITTLE[shape.bare], **schema})
        for rule in shape.rules:
            schema.update(keywords(rule))

    def _amend_union(self, schema: Schema, members: list[Any]) -> None:
        """``X | None`` is amended as X; of other unions the classes, which can be told apart by their names."""
        inner = [one for one in schema.get("anyOf", [schema]) if one != {"type": "null"}]
        if len(members) == len(inner) == 1:
            self._amend(inner[0], members[0])
            return
        for member in members:
            for one in inner:
                if one.get("$ref") == PREFIX + getattr(member, "__name__", ""):
                    self._amend(one, member)

    def _amend_items(self, schema: Schema, shape: Shape) -> None:
        """Of an array each of whose items has a type of its own."""
        for inner, field in zip(schema.get("prefixItems", ()), shape.fields, strict=False):
            self._amend(inner, field.annotation)

    def _amend_component(self, name: str, shape: Shape) -> None:
        if name in self._amended:
            return
        self._amended.add(name)
        schema = self._components[name]
        if isinstance(shape.bare, type) and issubclass(shape.bare, enums.Enum):
            schema["description"] = _labelled(shape.bare, schema.get("description", ""))
        properties = schema.get("properties", {})
        self._amend_items(schema, shape)
        doc = parse_docstring(schema.pop("description", ""), frozenset(field.name for field in shape.fields))
        if doc.text:
            schema["description"] = doc.text
        for field in shape.fields:
            if field.key in properties:
                self._amend(properties[field.key], field.annotation)
                if text := doc.parameters.get(field.name):
                    properties[field.key].setdefault("description", text)


_SAID_TOO_LITTLE: Mapping[Any, Schema] = {
    dt.datetime: {"format": "date-time"},  # may have no time zone, which msgspec does not tell apart
    dt.time: {"format": "time"},
    Decimal: {"pattern": r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"},
}
"""What msgspec leaves out about values that are texts in JSON."""


def _is_readable(annotation: Any) -> bool:
    try:
        msgspec.json.schema_components([annotation], schema_hook=lambda kind: {"title": kind.__name__})
    except (TypeError, NameError):
        return False
    return True


def _labelled(kind: type[Enum], text: str) -> str:
    """The description of a labelled enum: what its values are called."""
    lines = "\n".join(f"- `{member.value}`: {getattr(member, 'label', member.name)}" for member in kind)
    return f"{text}\n\n{lines}".strip()
