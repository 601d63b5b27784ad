"""The one onion: layers around a core, composed once.

Middleware is a layer over a message, advice is a layer over a call; both are ``(value, proceed) -> result``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Proceed = Callable[[Any], Any]
Layer = Callable[[Any, Proceed], Any]


def compose(layers: Sequence[Layer], core: Proceed) -> Proceed:
    """One callable that runs ``layers`` in order, outermost first, around ``core``.  Costs one call a layer, nothing else."""
    for layer in reversed(layers):
        core = _wrap(layer, core)
    return core


def _wrap(layer: Layer, proceed: Proceed) -> Proceed:
    def wrapped(value: Any) -> Any:
        return layer(value, proceed)

    return wrapped
