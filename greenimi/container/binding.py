"""A binding: one bean of one container, and how it comes to be, at most once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from greenimi.container.context import scope
from greenimi.container.match import name_of
from greenimi.errors import CircularBean

if TYPE_CHECKING:
    from greenimi.container.registry import Container

MISSING: Any = object()
Made = tuple[Any, Callable[[], object] | None]
"""A new bean, and what to call when its lifetime ends."""


class Binding:
    """One bean of one container: what finds it (``keys``, ``name``), what it is (``cls``), how long it lives and where it was declared.

    ``lifetime`` is ``"app"``, ``"message"`` or ``"driver"`` (only made on request, by name).  This class holds a ready object; subclasses
    make theirs in :meth:`make`.
    """

    __slots__ = ("_lock", "_making", "closer", "cls", "container", "instance", "keys", "lifetime", "name", "where")

    def __init__(
        self,
        container: Container,
        keys: tuple[Any, ...],
        name: str = "",
        *,
        cls: type | None = None,
        lifetime: str = "app",
        where: str = "",
        instance: Any = MISSING,
    ) -> None:
        self.container = container
        self.keys = keys
        self.name = name or name_of(keys[0])
        self.cls = cls
        self.lifetime = lifetime
        self.where = where
        self.instance = instance
        self.closer: Callable[[], object] | None = None
        self._lock = threading.RLock()
        self._making = False

    @property
    def label(self) -> str:
        """Its class's name, as chains show it."""
        return name_of(self.keys[0])

    def __str__(self) -> str:
        named = f" {self.name!r}" if self.name != self.label else ""
        return f"{self.label}{named} ({self.where})" if self.where else f"{self.label}{named}"

    def make(self, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Made:
        """A fresh object, not stored anywhere."""
        raise TypeError(f"{self} was added ready made, so no other can be created")

    def needed(self) -> list[Binding]:
        """The bindings it needs, as far as they are known before it is made."""
        return []

    def once(self) -> Any:
        """The only instance.  Safe between threads and greenlets: whoever comes first makes it, the others wait for that."""
        if self.instance is MISSING:
            with self._lock:
                if self.instance is MISSING:
                    self._make_and_keep()
        return self.instance

    def _make_and_keep(self) -> None:
        if self._making:
            raise CircularBean(
                f"{self} asks for itself while it is being made",
                hint="do not call a Lazy or a facade in a constructor, in a factory or in ready()",
            )
        self._making = True
        try:
            instance, closer = self.make()
        finally:
            self._making = False
        self.closer = closer
        if closer is not None:
            self.container.endings.append(closer)
        self.instance = instance

    def in_scope(self) -> Any:
        """The instance of the current message.

        Greenlets that share a message's scope and race for its first use may both make one; all get the one that was stored first.
        """
        now = scope()
        beans = now.beans
        if beans is None:
            beans = now.beans = {}
        found = beans.get(self, MISSING)
        if found is not MISSING:
            return found
        instance, closer = self.make()
        if closer is not None:
            now.defer(closer)
        return beans.setdefault(self, instance)
