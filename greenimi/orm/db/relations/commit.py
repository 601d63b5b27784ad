"""Relations of the models of an application are checked when it is put together: by then all models exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greenimi.errors import StartError
from greenimi.marks import Mark

if TYPE_CHECKING:
    from greenimi.container.setup import Setup

MARK = "model with relations"


def includeme(setup: Setup) -> None:
    """Check each model with relations that is found by scanning."""
    setup.on_mark(MARK, check)


def check(setup: Setup, owner: Any, name: str, model: Any, mark: Mark) -> None:
    """Raises StartError for a relation that cannot be, naming class, attribute and place."""
    for relation in model._meta.relations.values():
        try:
            relation.ready(model)
        except TypeError as error:
            raise StartError(f"{mark.where}: {error}") from error
