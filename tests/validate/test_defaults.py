from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypedDict

import msgspec
import pytest

from greenimi.validate.defaults import filler_of


@dataclass(frozen=True)
class Line:
    sku: str = "tea"
    pieces: int = 1
    more: list[Line] = field(default_factory=list)


@dataclass(slots=True)
class Slotted:
    a: int = 1


@dataclass
class Bare:
    a: int


class Wire(msgspec.Struct):
    line: Line
    size: int = 1


class Keys(TypedDict):
    line: Line


class Pair(NamedTuple):
    one: int
    line: Line


@dataclass
class Made:
    a: int = 1
    b: int = field(default=2, init=False)

    def __post_init__(self) -> None:
        self.c = 3  # no field, but there


@pytest.mark.parametrize(
    ("annotation", "value", "told"),
    [
        (Line, {"pieces": 2}, '{"sku":"tea","pieces":2,"more":[]}'),
        (Line, {"more": [{}]}, '{"sku":"tea","pieces":1,"more":[{"sku":"tea","pieces":1,"more":[]}]}'),
        (dict[str, Line | None], {"k": {}, "n": None}, '{"k":{"sku":"tea","pieces":1,"more":[]},"n":null}'),
        (list[Wire], [{"line": {}}], '[{"line":{"sku":"tea","pieces":1,"more":[]},"size":1}]'),
        (Keys, {"line": {}}, '{"line":{"sku":"tea","pieces":1,"more":[]}}'),
        (Pair, [1, {}], '[1,{"sku":"tea","pieces":1,"more":[]}]'),
        (tuple[int, Line], [1, {}], '[1,{"sku":"tea","pieces":1,"more":[]}]'),
        (Made, {}, '{"a":1,"b":2}'),
    ],
)
def test_what_was_not_sent_is_told(annotation: Any, value: Any, told: str) -> None:
    fill = filler_of(annotation)
    assert fill is not None
    found = msgspec.convert(value, annotation)
    fill(found)
    assert msgspec.json.encode(found).decode() == told


@pytest.mark.parametrize("annotation", [int, Slotted, Bare, list[Bare], dict[str, int], Any, int | None])
def test_where_there_is_nothing_to_do(annotation: Any) -> None:
    assert filler_of(annotation) is None


def test_objects_made_by_hand_stay_as_they_are() -> None:
    line = Line("jam")
    before = dict(line.__dict__)
    fill = filler_of(Line)
    assert fill is not None
    fill(line)
    assert line.__dict__ == before
