"""Resolving what users write as layers: callables, classes, dotted names and ``"@group"``."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

from greenimi.container.beans import make_for
from greenimi.container.onion import Layer
from greenimi.container.registry import Container
from greenimi.errors import ConfigError


def resolve_layers(
    found: Iterable[Any], container: Container, groups: Mapping[str, Sequence[str]], inside: tuple[str, ...] = ()
) -> list[Layer]:
    """Ready-to-call layers, outermost first.  A class is made by the container, so its constructor is its wish list.

    Raises ConfigError naming the layer that cannot be resolved.
    """
    layers: list[Layer] = []
    for item in found:
        if isinstance(item, str) and item.startswith("@"):
            name = item[1:]
            if name not in groups:
                raise ConfigError(f"no layer group called {name!r}; groups: {', '.join(sorted(groups)) or 'none'}")
            if name in inside:
                raise ConfigError(f"the layer group {name!r} holds itself: {' → '.join((*inside, name))}")
            layers += resolve_layers(groups[name], container, groups, (*inside, name))
            continue
        target = _import(item) if isinstance(item, str) else item
        if inspect.isclass(target):
            target = make_for(container, target)
        if not callable(target):
            raise ConfigError(f"the layer {item!r} is not callable as (message, proceed) -> result")
        layers.append(target)
    return layers


def _import(dotted: str) -> Any:
    module, _, name = dotted.partition(":")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the layer {dotted!r} cannot be imported: {error}", hint="write it as package.module:name") from None
    return found
