"""What is written by hand, laid over what is generated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SHARED = "#/components/responses/"


def merged(generated: Any, part: Any) -> Any:
    """A new value: mappings by key, lists of things with a name (parameters, tags) by their names, everything else is replaced.

    None takes out what was generated.  A response that many operations share is replaced as well, not changed for all of them.
    """
    if isinstance(generated, Mapping) and isinstance(part, Mapping) and not str(generated.get("$ref", "")).startswith(_SHARED):
        result = dict(generated)
        for key, value in part.items():
            if value is None:
                result.pop(key, None)
            else:
                result[key] = merged(generated.get(key), value)
        return result
    if isinstance(generated, list) and isinstance(part, list) and generated and part and all(map(_name, [*generated, *part])):
        named = {_name(item): item for item in generated}
        for item in part:
            named[_name(item)] = merged(named.get(_name(item)), item)
        return list(named.values())
    return part


def _name(item: Any) -> tuple[Any, ...]:
    """What tells an item from the others of its list; empty for what has no name."""
    if isinstance(item, Mapping) and isinstance(item.get("name"), str):
        return (item["name"], item.get("in"))
    return ()
