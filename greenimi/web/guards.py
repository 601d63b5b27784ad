"""Guards: what ``@requires`` and ``@public`` mean, at every door."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from greenimi.container.onion import Proceed
from greenimi.errors import Refused
from greenimi.marks import Mark, marks_of
from greenimi.message import Message
from greenimi.web.identity import caller


@dataclass(frozen=True)
class Guard:
    """A layer that lets through who has all of ``roles``, one of ``any_of`` where there are any, and whom ``check`` likes."""

    roles: frozenset[str] = frozenset()
    any_of: frozenset[str] = frozenset()
    check: Callable[[Any, Any], object] | None = None

    def admit(self, message: Message) -> None:
        """Raises Unauthorized (401) when nobody knows who sent it, Refused (403) for those who may not."""
        identity = caller(message)
        if not self.roles <= identity.roles or (self.any_of and not self.any_of & identity.roles):
            raise Refused("a role is missing")
        if self.check is not None and not self.check(identity, message):
            raise Refused("this is not allowed")

    def __call__(self, message: Message, proceed: Proceed) -> Any:
        self.admit(message)
        return proceed(message)


class Public:
    """Stands among the layers of a route that anybody may call."""

    def __call__(self, message: Message, proceed: Proceed) -> Any:
        return proceed(message)


PUBLIC = Public()


def guard_of(mark: Mark) -> Guard:
    """What one ``@requires`` says."""
    return Guard(frozenset(mark.options["roles"]), frozenset(mark.options["any_of"]), mark.options["check"])


def with_guards(layers: Iterable[Any], *, required: bool) -> tuple[Any, ...]:
    """The layers of a route, its guards outermost: nothing else may run for those who are not let in, a cache least of all.

    ``required``: a route that says nothing about it wants any identity.
    """
    found = list(layers)
    guards = [layer for layer in found if isinstance(layer, Guard)]
    if required and not guards and PUBLIC not in found:
        guards = [Guard()]
    return (*guards, *[layer for layer in found if not isinstance(layer, Guard | Public)])


def guards_of_handshake(controllers: Sequence[type], *, required: bool) -> list[Guard]:
    """Whoever opens a WebSocket has to pass the guards of all controllers on its path."""
    guards: list[Guard] = []
    for controller in controllers:
        own = [guard_of(mark) for mark in reversed(marks_of(controller, "requires"))]
        if required and not own and not marks_of(controller, "public"):
            own = [Guard()]
        guards += own
    return guards
