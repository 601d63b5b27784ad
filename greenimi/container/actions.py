"""Deferred registrations: collected first, checked for conflicts, then run in order."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from greenimi.container.match import is_key, name_of
from greenimi.errors import ConflictError
from greenimi.marks import Where, here


@dataclass(frozen=True, slots=True)
class Action:
    """One registration to be done.  No two may have the same ``discriminator``; None never conflicts."""

    discriminator: Hashable | None
    callable: Callable[[], object]
    where: Where
    order: int
    note: tuple[str, Any] | None


class Actions:
    """Collects actions and runs them at commit.  May be committed again after more were added; each action runs once."""

    def __init__(self) -> None:
        self.pending: list[Action] = []
        self.notes: dict[str, list[Any]] = {}
        self._done: dict[Hashable, Action] = {}

    def add(
        self,
        discriminator: Hashable | None,
        callable: Callable[[], object],
        *,
        where: Where | None = None,
        order: int = 0,
        note: tuple[str, Any] | None = None,
    ) -> None:
        """Run ``callable()`` at commit, lower ``order`` first, equals in the order they came.

        ``discriminator``  what it claims for itself alone; a tuple reads as its parts: ``("GET", "/orders/{id}")``.
        ``where``          the place to blame in a conflict, the caller's unless given.
        ``note``           ``(kind, record)`` to keep in ``notes`` once it ran, for listings.
        """
        self.pending.append(Action(discriminator, callable, where or here(2), order, note))

    def commit(self) -> None:
        """Run what is pending, and what that adds.  ConflictError names every discriminator claimed twice, with both places."""
        while self.pending:
            actions, self.pending = sorted(self.pending, key=lambda action: action.order), []
            self._check(actions)
            for action in actions:
                self._run(action)

    def _check(self, actions: list[Action]) -> None:
        conflicts: dict[Hashable, list[Where]] = {}
        for action in actions:
            if action.discriminator is None:
                continue
            first = self._done.setdefault(action.discriminator, action)
            if first is not action:
                conflicts.setdefault(action.discriminator, [first.where]).append(action.where)
        if conflicts:
            lines = [f"{describe(what)}: {' and '.join(map(str, places))}" for what, places in conflicts.items()]
            beans = any(isinstance(what, tuple) and what[0] == "bean" for what in conflicts)
            replaced = "; a bean is replaced by name in conf: [beans.<name>] class = ..." if beans else ""
            raise ConflictError("\n".join(lines), hint=f"keep one of them{replaced}")

    def _run(self, action: Action) -> None:
        try:
            action.callable()
        except Exception as error:
            error.add_note(f"while registering what stands at {action.where}")
            raise
        if action.note is not None:
            kind, record = action.note
            self.notes.setdefault(kind, []).append(record)


def describe(discriminator: Hashable) -> str:
    """A discriminator as a person reads it."""
    parts = discriminator if isinstance(discriminator, tuple) else (discriminator,)
    return " ".join(name_of(part) if is_key(part) else str(part) for part in parts)
