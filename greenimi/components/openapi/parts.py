"""Hand-written parts of a document: files that conf names, and what ``@operation`` says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_origin

import msgspec

from greenimi.components.openapi.output import read_yaml
from greenimi.components.openapi.schemas import Schema, Schemas
from greenimi.components.openapi.shape import problems
from greenimi.dispatch.route import Route
from greenimi.errors import ConfigError, StartError
from greenimi.marks import Mark, marks_of

KIND = "operation"
"""Of the mark that ``@operation`` leaves."""


@dataclass(frozen=True, slots=True)
class Part:
    """Something written by hand, and where it stands."""

    place: str
    value: Any

    @classmethod
    def of(cls, route: Route) -> list[Part]:
        """What ``@operation`` says on a route's controller and then on its handler; the one nearest to it last."""
        function = getattr(route.controller, route.function_name)
        marks = [mark for target in (route.controller, function) for mark in reversed(marks_of(target, KIND))]
        return [cls(_place(mark), mark.options["part"]) for mark in marks]

    @classmethod
    def from_file(cls, file: Path) -> Part:
        """Raises ConfigError for a file that cannot be read."""
        try:
            data = file.read_bytes()
            value = msgspec.json.decode(data) if file.suffix == ".json" else read_yaml(data)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{file}: {error}") from None
        return cls(str(file), value)

    def resolved(self, schemas: Schemas) -> Any:
        """The part as plain data: classes and other annotations became schemas, statuses and other keys text."""
        try:
            return _plain(self.value, schemas)
        except TypeError as error:
            raise StartError(f"{self.place}: {error}") from None


def _place(mark: Mark) -> str:
    return f"{mark.where}: @{KIND}"


def _plain(value: Any, schemas: Schemas) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item, schemas) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, schemas) for item in value]
    if isinstance(value, type) or get_origin(value) is not None:
        return schemas.add(value)
    return msgspec.to_builtins(value)


def checked(value: Any, kind: str, place: str) -> Schema:
    """``value``, once a part from ``place`` was laid over it.  Raises StartError naming what breaks the shape of a ``kind``."""
    found = list(problems(value, kind))
    if found:
        text = "\n  ".join(found[:20])
        raise StartError(f"{place}: {text}", hint="the shapes are those of the OpenAPI Specification 3.1")
    return value  # type: ignore[no-any-return]
