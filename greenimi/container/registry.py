"""Container: beans found by class, protocol or zope interface, in a hierarchy (application -> server), made when first asked for.

Underneath stands one ``zope.interface.registry.Components`` a container, whose bases are those of the parent; ``container.components`` is
open for adapters and handlers.  What is registered there is a :class:`Binding`, never the bean itself: it knows how and when to make it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar, overload

from zope.interface.registry import Components

from greenimi.container.binding import MISSING, Binding
from greenimi.container.context import current
from greenimi.container.match import interface_of, interfaces_of, is_protocol, matches, name_of
from greenimi.errors import AmbiguousBean, ConflictError, Frozen, MissingBean, NoScope
from greenimi.marks import here

T = TypeVar("T")
D = TypeVar("D")


class Container:
    """Beans by key (a class, a protocol or a zope interface) and name.  What it has not, its parent is asked for.

    A warm ``get`` is one dict lookup and takes no lock.
    """

    def __init__(self, name: str, parent: Container | None = None) -> None:
        self.name = name
        self.parent = parent
        self.frozen = False
        self.bindings: list[Binding] = []
        self.children: dict[str, Container] = {}
        self.endings: list[Callable[[], object]] = []
        """What to call at the end, in the order the beans were made."""
        self.late: dict[str, Callable[[], Binding]] = {}
        """Beans by ``module:class``, for classes that are not imported yet: bound when one is asked for and no other is there."""
        self.components: Any = Components(name, bases=() if parent is None else (parent.components,))
        self._lineage: tuple[Container, ...] = (self,) if parent is None else (self, *parent._lineage)
        self._replaced: dict[Binding, Binding] = {}  # by overrides
        self._warm: dict[Any, Any] = {}  # app beans by what was asked for
        self._scoped: dict[Any, Binding] = {}  # message-lifetime bindings by what was asked for
        self._found: dict[Any, list[Binding]] = {}  # all that a key finds, without regard to names
        if parent is not None:
            if name in parent.children:
                raise ConflictError(f"the container {parent.name} has a child {name} already")
            parent.children[name] = self
        self.bind(Binding(self, (Container,), instance=self))

    def __repr__(self) -> str:
        return f"<Container {'/'.join(c.name for c in reversed(self._lineage))}>"

    # -- filling ---------------------------------------------------------------------------------------------------

    def add(self, key: Any, instance: object, name: str = "") -> None:
        """Put in a ready object, found by ``key`` and by ``name`` (the key's own name unless given).  Raises Frozen after commit."""
        binding = Binding(self, (key,), name, cls=type(instance), where=str(here(2)), instance=instance)
        for other in self.bindings:
            if key in other.keys and other.name == binding.name and other.lifetime != "driver":
                raise ConflictError(f"{name_of(key)} {binding.name!r}: {other} and {binding}", hint="in tests use container.override(...)")
        self.bind(binding)

    def bind(self, binding: Binding) -> None:
        """Register a binding.  Conflicts are the business of the caller's actions."""
        if self.frozen:
            raise Frozen(
                f"the container {self.name} takes no more beans: {binding}",
                hint="register while the application is set up; in tests use container.override(...)",
            )
        self._bind(binding)

    def _bind(self, binding: Binding) -> None:
        # as subscriptions: zope would let a second utility of one interface and name displace the first without a word
        for interface in interfaces_of(binding.keys):
            self.components.utilities.subscribe((), interface, binding)
        self.bindings.append(binding)
        self._forget()

    def _unbind(self, binding: Binding) -> None:
        for interface in interfaces_of(binding.keys):
            self.components.utilities.unsubscribe((), interface, binding)
        self.bindings.remove(binding)

    def child(self, name: str) -> Container:
        """The child of that name, made when there is none.  It sees this container's beans; its own come first."""
        return self.children.get(name) or Container(name, self)

    def family(self) -> Iterator[Container]:
        """This container and all below it."""
        yield self
        for child in list(self.children.values()):
            yield from child.family()

    def freeze(self) -> None:
        """Take no more beans, here and in the children there are."""
        for container in self.family():
            container.frozen = True

    # -- asking ----------------------------------------------------------------------------------------------------

    @overload
    def get(self, key: type[T], name: str = "") -> T: ...
    @overload
    def get(self, key: Any, name: str = "") -> Any: ...
    def get(self, key: Any, name: str = "") -> Any:
        """The bean that ``key`` (and ``name``) finds, made if need be.

        MissingBean when there is none, AmbiguousBean when there are several and no name tells them apart.  A message-lifetime bean is
        that of the current scope; outside any scope that is NoScope.
        """
        slot = (key, name) if name else key
        found = self._warm.get(slot, MISSING)
        if found is not MISSING:
            return found
        binding = self._scoped.get(slot)
        if binding is None:
            return self._first_get(slot, key, name)
        now = current.get(None)
        if now is not None and now.beans:
            found = now.beans.get(binding, MISSING)
            if found is not MISSING:
                return found
        return binding.in_scope()

    def _first_get(self, slot: Any, key: Any, name: str) -> Any:
        warm, scoped = self._warm, self._scoped  # these very dicts, so that a _forget meanwhile holds
        binding = self.find(key, name)
        if binding.lifetime == "message":
            scoped[slot] = binding
            return binding.in_scope()
        instance = warm[slot] = binding.once()
        return instance

    @overload
    def query(self, key: type[T], name: str = "") -> T | None: ...
    @overload
    def query(self, key: type[T], name: str, default: D) -> T | D: ...
    @overload
    def query(self, key: type[T], *, default: D) -> T | D: ...
    @overload
    def query(self, key: Any, name: str = "", default: Any = None) -> Any: ...
    def query(self, key: Any, name: str = "", default: Any = None) -> Any:
        """Like ``get``, with ``default`` when nothing provides ``key``."""
        return self.get(key, name) if self.candidates(key, name) else default

    @overload
    def all(self, key: type[T]) -> dict[str, T]: ...
    @overload
    def all(self, key: Any) -> dict[str, Any]: ...
    def all(self, key: Any) -> dict[str, Any]:
        """Every bean that ``key`` finds, by name, in the order of registration, the parent's first; of one name the nearest."""
        return {binding.name: self._instance(binding) for binding in self.all_bindings(key)}

    def all_bindings(self, key: Any) -> list[Binding]:
        """What :meth:`all` is made from."""
        found: dict[str, Binding] = {}
        for container in reversed(self._lineage):
            own: dict[str, Binding] = {}
            for binding in self._providers(key):
                if binding.container is container and binding.lifetime != "driver":
                    if binding.name in own:
                        raise self._ambiguous(key, "", [own[binding.name], binding])
                    own[binding.name] = binding
            found.update(own)
        return list(found.values())

    @overload
    def create(self, key: type[T], *args: Any, **kwargs: Any) -> T: ...
    @overload
    def create(self, key: Any, *args: Any, **kwargs: Any) -> Any: ...
    def create(self, key: Any, *args: Any, **kwargs: Any) -> Any:
        """A fresh object of the bean that ``key`` finds, stored nowhere: the arguments given win, the rest is injected.

        What a generator factory does after its ``yield`` is done with the current message or, outside any, when the container closes.
        """
        return self._fresh(self.find(key), args, kwargs)

    def driver(self, key: Any, name: str) -> Callable[..., Any]:
        """The driver called ``name`` (``@bean(driver=name, provides=key)``): every call makes a fresh object, as ``create`` does."""
        found = [b for b in self._nearest(self._providers(key), name) if b.lifetime == "driver"]
        if len(found) == 1:
            return lambda *args, **kwargs: self._fresh(found[0], args, kwargs)
        if found:
            raise self._ambiguous(key, name, found)
        known = self.drivers(key)
        close = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known) or 'none; include the component that brings it'}"
        raise MissingBean(f"{name_of(key)} has no driver {name!r}", hint=hint)

    def drivers(self, key: Any) -> list[str]:
        """The names of the drivers of ``key``."""
        return sorted({b.name for b in self._providers(key) if b.lifetime == "driver"})

    def _fresh(self, binding: Binding, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        instance, closer = self._effective(binding).make(args, kwargs)
        if closer is not None:
            now = current.get(None)
            if now is not None:
                now.defer(closer)
            else:
                self.endings.append(closer)
        return instance

    def _instance(self, binding: Binding) -> Any:
        found = self._effective(binding)
        return found.in_scope() if found.lifetime == "message" else found.once()

    # -- looking up ------------------------------------------------------------------------------------------------

    def find(self, key: Any, name: str = "") -> Binding:
        """The binding behind ``get``, overrides considered."""
        found = self.candidates(key, name)
        if len(found) == 1:
            return self._effective(found[0])
        if found:
            raise self._ambiguous(key, name, found)
        raise self._missing(key, name)

    def candidates(self, key: Any, name: str = "") -> list[Binding]:
        """The bindings that ``key`` and ``name`` find, in the nearest container that has any; overrides not considered.

        Without a name, of several the one called ``default`` is meant, where there is one.
        """
        found = self._nearest([b for b in self._providers(key) if b.lifetime != "driver"], name)
        defaults = [b for b in found if b.name == "default"] if len(found) > 1 and not name else ()
        if not found and self._bind_late(key, name):
            return self.candidates(key, name)
        return list(defaults) or found

    def _bind_late(self, key: Any, name: str) -> bool:
        path = f"{getattr(key, '__module__', '')}:{getattr(key, '__qualname__', '')}"
        for container in self._lineage:
            if path in container.late:
                binding = container.late[path]()
                if name in ("", binding.name):
                    del container.late[path]
                    container._bind(binding)
                    return True
        return False

    def _nearest(self, bindings: list[Binding], name: str) -> list[Binding]:
        for container in self._lineage:
            found = [b for b in bindings if b.container is container and (not name or b.name == name)]
            if found:
                return found
        return []

    def _providers(self, key: Any) -> list[Binding]:
        """All bindings that ``key`` finds, in this container and above it."""
        found = self._found.get(key)
        if found is None:
            everything = [b for c in self._lineage for b in c.bindings]
            named = set(self.components.utilities.subscriptions((), interface_of(key)))
            found = [b for b in everything if b in named]
            if not found and is_protocol(key):
                found = [b for b in everything if b.cls is not None and matches(key, b.cls)]
            self._found[key] = found
        return found

    def _effective(self, binding: Binding) -> Binding:
        for container in self._lineage:
            if binding in container._replaced:
                return container._replaced[binding]
        return binding

    def _forget(self) -> None:
        """Replace the caches by empty ones, here and below; a lookup under way fills the old ones in vain."""
        for container in self.family():
            container._warm, container._scoped, container._found = {}, {}, {}

    def _missing(self, key: Any, name: str) -> MissingBean:
        others = {b.name for b in self._providers(key) if b.lifetime != "driver" and b.name}
        drivers = self.drivers(key)
        if name and others:
            hint = f"it is provided under the names {', '.join(sorted(others))}"
        elif drivers:
            hint = f"it has drivers only ({', '.join(drivers)}): choose one with container.driver({name_of(key)}, name)"
        elif is_protocol(key):
            hint = "no bean has all its members; declare attributes on the class, or say @bean(provides=...)"
        else:
            hint = f"mark it (or what makes it) with @bean and have its module in include, or container.add({name_of(key)}, ...)"
        text = f"nothing in the container {self.name} provides {name_of(key)}"
        return MissingBean(f"{text} under the name {name!r}" if name else text, hint=hint)

    def _ambiguous(self, key: Any, name: str, found: list[Binding]) -> AmbiguousBean:
        text = f"{name_of(key)}{f' {name!r}' if name else ''} is provided by {' and by '.join(map(str, found))}"
        names = sorted({b.name for b in found})
        if len(names) < len(found):
            return AmbiguousBean(text, hint="give them different names: @bean(name=...)")
        return AmbiguousBean(text, hint=f'ask by name: get({name_of(key)}, "{names[0]}") or Annotated[{name_of(key)}, Named("{names[0]}")]')

    # -- tests -----------------------------------------------------------------------------------------------------

    @contextmanager
    def override(self, key: Any, instance: T, name: str = "") -> Iterator[T]:
        """``instance`` stands in for the bean that ``key`` finds, by whatever key it is asked for, here and in the children.

        Beans that need it are made anew meanwhile, and those are closed and forgotten afterwards: then everything is as before, the
        instances included.  Blocks may be nested.  Objects handed out earlier keep what they hold.
        """
        found = self.candidates(key, name)
        if len(found) > 1:
            raise self._ambiguous(key, name, found)
        if found:
            target = found[0]
            before = self._replaced.get(target)
            with self._anew(self._dependents(target)):
                self._replaced[target] = Binding(self, target.keys, target.name, cls=type(instance), instance=instance)
                self._forget()
                try:
                    yield instance
                finally:
                    del self._replaced[target]
                    if before is not None:
                        self._replaced[target] = before
                    self._forget()
        else:
            stand_in = Binding(self, (key,), name, cls=type(instance), instance=instance)
            self._bind(stand_in)
            try:
                yield instance
            finally:
                self._unbind(stand_in)
                self._forget()

    def _dependents(self, target: Binding) -> list[Binding]:
        """The bindings of the family that need ``target``, directly or not."""
        needs = {binding: binding.needed() for container in self.family() for binding in container.bindings}
        found = {target}
        while more := {b for b, needed in needs.items() if b not in found and not found.isdisjoint(needed)}:
            found |= more
        return list(found - {target})

    @contextmanager
    def _anew(self, bindings: list[Binding]) -> Iterator[None]:
        """Within the block these bindings have not been made yet; after it they are again what they were before."""
        before = [(b, b.instance, b.closer) for b in bindings]
        now = current.get(None)
        beans = dict(now.beans) if now is not None and now.beans else {}
        for binding in bindings:
            binding.instance, binding.closer = MISSING, None
            if now is not None and now.beans:
                now.beans.pop(binding, None)
        try:
            yield
        finally:
            with ExitStack() as ends:
                for container in reversed(list(self.family())):
                    mine = {b.closer for b in bindings if b.container is container}
                    for closer in [c for c in container.endings if c in mine]:
                        container.endings.remove(closer)
                        ends.callback(closer)
                for binding, instance, ending in before:
                    binding.instance, binding.closer = instance, ending
                    if now is not None and now.beans is not None:
                        now.beans.pop(binding, None)
                        if binding in beans:
                            now.beans[binding] = beans[binding]

    # -- the end ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End what was made: the children's beans first, then its own, last made first.

        Every ending runs; the last error is raised, the earlier ones are its context.  Closing twice does nothing.
        """
        with ExitStack() as ends:
            endings, self.endings = self.endings, []
            for closer in endings:
                ends.callback(closer)
            for child in list(self.children.values()):
                ends.callback(child.close)
        if self.parent is not None:
            self.parent.children.pop(self.name, None)


# -- the current container -----------------------------------------------------------------------------------------

_default: Container | None = None


def set_default_container(container: Container | None) -> Container | None:
    """Say what code outside any message sees as the current container.  Returns what it was.  The application calls this."""
    global _default
    before, _default = _default, container
    return before


def current_container() -> Container:
    """The container of the current scope, else the application's.  Raises NoScope where there is neither."""
    now = current.get(None)
    if now is not None:
        return now.container
    if _default is None:
        raise NoScope(
            "there is no current container here",
            hint="there is one in handlers, listeners, services and functions marked @command(), not while modules are imported; "
            "by hand: start an App first, or work inside `with Scope(container):`",
        )
    return _default
