"""Routes of messages: by the action field, by the values of dotted keys, or the default.

The action decides first, then the conditions (those with more keys first, then in order of declaration), then the default.  Every key of a
condition must be there with an equal value of the same type; ``1`` is not ``"1"`` and not ``true``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

R = TypeVar("R")
ABSENT = object()
"""What :func:`dig` gives for what is not there."""


def dig(data: Any, dotted: str) -> Any:
    """The value at a dotted key of nested mappings and lists; ABSENT when there is none."""
    for part in dotted.split("."):
        if isinstance(data, Mapping):
            data = data.get(part, ABSENT)
        elif isinstance(data, list) and part.isdigit() and int(part) < len(data):
            data = data[int(part)]
        else:
            return ABSENT
        if data is ABSENT:
            return ABSENT
    return data


class FieldRouter(Generic[R]):
    """Filled at start, read-only afterwards."""

    __slots__ = ("_actions", "_conditions", "_default", "_field")

    def __init__(self, action_field: str) -> None:
        self._field = action_field
        self._actions: dict[str, R] = {}
        self._conditions: list[tuple[list[tuple[str, Any]], R]] = []
        self._default: R | None = None

    def add_action(self, action: str, route: R) -> None:
        self._actions[action] = route

    def add_condition(self, condition: Mapping[str, Any], route: R) -> None:
        self._conditions.append((sorted(condition.items()), route))
        self._conditions.sort(key=lambda pair: -len(pair[0]))  # stable: declaration order among equals

    def set_default(self, route: R) -> None:
        self._default = route

    @property
    def has_actions(self) -> bool:
        """Whether messages name what they want."""
        return bool(self._actions or self._conditions)

    def only_route(self) -> R | None:
        """The route of every message, when nothing but a default is set."""
        return None if self._actions or self._conditions else self._default

    def find(self, data: Any) -> R | None:
        if type(data) is dict:
            action = data.get(self._field)
            if type(action) is str:
                route = self._actions.get(action)
                if route is not None:
                    return route
        for condition, route in self._conditions:
            if all(_equal(dig(data, key), value) for key, value in condition):
                return route
        return self._default


def _equal(found: Any, wanted: Any) -> bool:
    return type(found) is type(wanted) and bool(found == wanted)
