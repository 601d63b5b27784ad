from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from greenimi.validate.texts import NotFinite, sent_as


@dataclass
class Search:
    text: str
    deep: bool
    tags: list[int]
    more: Search | None = None
    ratios: list[float] = field(default_factory=list)


@pytest.mark.parametrize(
    ("annotation", "sent", "ready"),
    [
        (int, ["1", "2"], "2"),
        (int, "1", "1"),
        (int, [], []),
        (list[int], ["1", "2"], ["1", "2"]),
        (list[int], "1", ["1"]),
        (set[int] | None, "1", ["1"]),
        (bool, "ON", True),
        (bool, ["yes", "no"], False),
        (bool, "maybe", "maybe"),
        (bool | None, "off", False),
        (list[bool], ["on", "off"], [True, False]),
        (float, "1.5", "1.5"),
        (float, "x", "x"),
        (float, 1.5, 1.5),
        (int | str, ["a", "b"], "b"),
        (
            Search,
            {"text": ["a", "b"], "deep": "on", "tags": "1", "other": ["x"]},
            {"text": "b", "deep": True, "tags": ["1"], "other": ["x"]},
        ),
        (Search, "text", "text"),
    ],
)
def test_ready_for_its_type(annotation: Any, sent: Any, ready: Any) -> None:
    assert sent_as(annotation)(sent) == ready


@pytest.mark.parametrize("text", ["nan", "-inf", "Infinity", "1e999"])
def test_no_finite_number(text: str) -> None:
    assert isinstance(sent_as(float | None)([text]), NotFinite)
