from __future__ import annotations

from typing import Any

import pytest

from greenimi.components.openapi.merge import merged


@pytest.mark.parametrize(
    ("generated", "part", "result"),
    [
        ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 4}, "e": 5}, {"a": 1, "b": {"c": 4, "d": 3}, "e": 5}),
        ({"a": {"b": 1}}, {"a": [1]}, {"a": [1]}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        ({}, {"a": None, "b": {"c": None}}, {"b": {"c": None}}),
        ([{"name": "a", "x": 1}, {"name": "b"}], [{"name": "a", "y": 2}], [{"name": "a", "x": 1, "y": 2}, {"name": "b"}]),
        ([{"name": "a", "in": "query"}], [{"name": "a", "in": "path"}], [{"name": "a", "in": "query"}, {"name": "a", "in": "path"}]),
        ([{"name": "a"}], [{"$ref": "#/x"}], [{"$ref": "#/x"}]),
        ([{"name": "a"}], [], []),
        ({"$ref": "#/components/responses/NotFound"}, {"description": "no"}, {"description": "no"}),
        ({"$ref": "#/components/schemas/A"}, {"description": "a"}, {"$ref": "#/components/schemas/A", "description": "a"}),
    ],
)
def test_merged(generated: Any, part: Any, result: Any) -> None:
    assert merged(generated, part) == result


def test_nothing_is_changed_in_place() -> None:
    generated: dict[str, Any] = {"a": {"b": 1}, "c": [{"name": "d"}]}
    part: dict[str, Any] = {"a": {"b": 2}, "c": [{"name": "d", "e": 1}]}
    merged(generated, part)
    assert generated == {"a": {"b": 1}, "c": [{"name": "d"}]}
    assert part == {"a": {"b": 2}, "c": [{"name": "d", "e": 1}]}
