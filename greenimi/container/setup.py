"""Setup: what an application is made of, collected first, checked and made real at commit."""

from __future__ import annotations

import difflib
import importlib
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from greenimi.container import scan
from greenimi.container.actions import Actions
from greenimi.container.beans import BeanBinding, Definition, Weaver, check_graph, configure
from greenimi.container.match import name_of
from greenimi.container.registry import Container
from greenimi.container.scan import Marked
from greenimi.container.service import Services
from greenimi.errors import ConfigError, ConflictError, Frozen, StartError
from greenimi.interfaces import IConfig
from greenimi.marks import Mark, Where, here, marks_of

if TYPE_CHECKING:
    MarkHandler = Callable[["Setup", type | None, str, Any, Mark], object]

S = TypeVar("S")


class Setup:
    """Every component gets one in its ``includeme(setup)``, says what it brings, and nothing happens before :meth:`commit`.

    Includes and scans may come in any order.  ``definitions`` (the beans) is complete once the marks were handled; ``weavers`` build the
    classes of beans, in order.
    """

    def __init__(self, config: IConfig, container: Container | None = None) -> None:
        self.config: Any = config  # Any: a type checker reads the methods of a zope interface as lacking self
        self.container = container or Container("app")
        self.actions = Actions()
        self.services = Services()
        self.definitions: list[Definition] = []
        self.weavers: list[Weaver] = []
        self.partials: dict[type, list[tuple[type, Where]]] = {}
        self._marks: list[Marked] = []
        self._unhandled: deque[Marked] = deque()
        self._taken: set[tuple[type | None, int, int]] = set()  # of the marks, so that none counts twice
        self._handlers: dict[str, list[MarkHandler]] = {}
        self._directives: dict[str, tuple[Callable[..., Any], Where]] = {}
        self._places: list[Where] = []
        self._callbacks: list[tuple[int, Callable[[], object]]] = []
        self._included: list[Any] = []
        self._scanned: set[str] = set()
        self._unconfigured: list[Definition] = []
        self._elsewhere: set[str] = set()
        self.container.add(type(config) if IConfig.implementedBy(type(config)) else IConfig, config)  # type: ignore[attr-defined]
        self.container.add(Services, self.services)

    @property
    def environment(self) -> str:
        """``development`` unless the configuration says otherwise."""
        return str(self.config.get("environment", "development"))

    # -- collecting ------------------------------------------------------------------------------------------------

    def include(self, what: ModuleType | str | type | Callable[[Setup], object]) -> None:
        """Call the ``includeme(setup)`` of a module, or scan it where it has none.  Of a marked class or function take the marks.

        ``what``: a module, its dotted name, a marked class or function, a function to call with the setup, or ``"package.module:name"``
        for one of these.  A second time does nothing.
        """
        found = self.resolve(what, "include") if isinstance(what, str) else what
        if any(found is known for known in self._included):
            return
        self._included.append(found)
        if not isinstance(found, ModuleType):
            if marks := list(scan.marks_on(getattr(found, "__name__", ""), found)):
                self._take(marks)
            elif isinstance(found, type):
                raise StartError(f"{name_of(found)} carries no mark, so including it means nothing", hint="is it missing a decorator?")
            else:
                found(self)
        elif (function := getattr(found, "includeme", None)) is not None:
            self.note("module", found)
            function(self)
        else:
            self.scan(found)

    def resolve(self, name: str, key: str) -> Any:
        """What ``"package.module"`` or ``"package.module:name"`` says.  ConfigError names ``key`` when there is no such thing."""
        if not isinstance(name, str):
            raise ConfigError(f"{key} must be a dotted name, not {name!r}")
        path, _, attribute = name.partition(":")
        try:
            found: Any = importlib.import_module(path)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{path}.".startswith(f"{error.name}."):
                raise  # the module is there; what it imports is not
            raise ConfigError(f"{key}: there is no module {error.name}", hint="is it spelled right, and on the path?") from error
        for part in attribute.split(".") if attribute else ():
            try:
                found = getattr(found, part)
            except AttributeError:
                raise ConfigError(f"{key}: {path} has no {attribute}{_suggest(part, dir(found))}") from None
        return found

    def scan(self, module: ModuleType | str, ignore: str | Sequence[str] = ()) -> None:
        """Collect the marks of a module or of a whole package; their handlers run at commit.  A module already scanned is left out.

        ``ignore``: patterns of full dotted names, ``"shop.tests"`` or ``"*.migrations"``; what they match is not even imported.
        """
        root = self.resolve(module, "scan") if isinstance(module, str) else module
        for found in scan.modules(root, (ignore,) if isinstance(ignore, str) else ignore):
            if found.__name__ not in self._scanned:
                self._scanned.add(found.__name__)
                self.note("module", found)
                self._take(scan.marks_in(found))

    def _take(self, marks: Iterable[Marked]) -> None:
        """Collect them; what was included alone and scanned with its module as well counts once."""
        for found in marks:
            key = (found.owner, id(found.target), id(found.mark))
            if key not in self._taken:
                self._taken.add(key)
                self._marks.append(found)
                self._unhandled.append(found)

    def on_mark(self, kind: str, handler: MarkHandler | None = None) -> None:
        """Have ``handler(setup, owner, name, target, mark)`` called at commit for every mark of this kind.

        ``owner`` is the class that holds a marked method or property (of a partial: the bean's class), None for a class or function itself.
        Several handlers of a kind run in the order given; without one the kind is only known, for :meth:`marked`.
        """
        handlers = self._handlers.setdefault(kind, [])
        if handler is not None:
            handlers.append(handler)

    def marked(self, kind: str) -> list[Marked]:
        """Every use of a mark found so far: ``(owner, name, target, mark)``.  A parent's marks count where ``@inherit`` stands."""
        return [found for found in self._marks if found.mark.kind == kind]

    def action(self, discriminator: Hashable | None, callable: Callable[[], object], *, where: Where | None = None, order: int = 0) -> None:
        """Register something at commit; two actions of one discriminator are a conflict.  See :meth:`Actions.add`.

        ``where`` is the line that calls this or, within a directive, the line that used the directive.
        """
        self.actions.add(discriminator, callable, where=where or self._here(), order=order)

    def _here(self) -> Where:
        return self._places[-1] if self._places else here(3)

    def add_directive(self, name: str, function: Callable[..., Any]) -> None:
        """Make ``setup.<name>(...)`` call ``function(setup, ...)``."""
        place = here(2)
        if name in self._directives or hasattr(type(self), name):
            other = self._directives[name][1] if name in self._directives else "Setup itself"
            raise ConflictError(f"directive {name}: {other} and {place}")
        self._directives[name] = (function, place)

    def __getattr__(self, name: str) -> Any:
        directives = self.__dict__.get("_directives", {})
        if name not in directives:
            raise AttributeError(f"the setup has no directive {name}{_suggest(name, directives)}; include the component that brings it")
        return partial(self._direct, directives[name][0])

    def _direct(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        self._places.append(self._places[0] if self._places else here(2))
        try:
            return function(self, *args, **kwargs)
        finally:
            self._places.pop()

    def settings(self, path: str, kind: type[S]) -> S:
        """The table at ``path`` as a frozen dataclass, strictly bound; noted under ``settings`` for listings."""
        found: S = self.config.settings(path, kind)
        self.note("settings", (path, kind))
        return found

    def add_bean(
        self,
        target: Callable[..., Any],
        *,
        name: str = "",
        lifetime: str = "app",
        provides: Any = None,
        server: str | tuple[str, ...] = (),
        driver: str = "",
        env: str | tuple[str, ...] = (),
        where: Where | None = None,
    ) -> Definition | None:
        """What ``@bean`` does, for a class or factory that carries no mark.  None when ``env`` leaves it out of this environment."""
        place = where or self._here()
        servers, environments = ((server,) if isinstance(server, str) else server), ((env,) if isinstance(env, str) else env)
        keys = provides if isinstance(provides, tuple) else (provides,) if provides is not None else ()
        definition = Definition(target, name, lifetime, keys, servers, driver, place)
        if environments and self.environment not in environments:
            self._elsewhere.add(definition.name)
            return None
        self.definitions.append(definition)
        self._unconfigured.append(definition)
        register = partial(self._register, definition)
        self.actions.add(_claim(definition, definition.keys[0], name), register, where=place, note=("bean", definition))
        if name or driver:
            for key in definition.keys[1:]:
                self.actions.add(_claim(definition, key, name), _nothing, where=place)
        return definition

    def _register(self, definition: Definition) -> None:
        if definition not in self.definitions:  # conf put its class in the place of another bean
            self.actions.notes["bean"] = [d for d in self.introspect("bean") if d is not definition]
            return
        definition.weave(self.partials.get(definition.declared, ()), self.weavers)
        for container in [self.server_container(name) for name in definition.servers] or [self.container]:
            container.bind(BeanBinding(container, definition))

    def add_service(self, service: Any, name: str) -> None:
        """Start and stop an IService with the application, in the tier it names."""
        self.services.add(service, name)
        self.note("service", (name, service))

    def server_container(self, name: str) -> Container:
        """The container of a server, made on demand: it sees all beans of the application, and its own first."""
        return self.container.child(name)

    def note(self, kind: str, record: Any) -> None:
        """Keep a record for listings (``greenimi routes``, ``beans``, OpenAPI)."""
        self.actions.notes.setdefault(kind, []).append(record)

    def introspect(self, kind: str) -> list[Any]:
        """The records noted under ``kind``, in order."""
        return list(self.actions.notes.get(kind, ()))

    # -- commit ----------------------------------------------------------------------------------------------------

    def on_commit(self, callable: Callable[[], object], order: int = 0) -> None:
        """Run during commit after the marks were handled, lower ``order`` first, equals in the order they came.

        Below 0 it runs before the actions: it may add beans that others need.  From 0 on it runs after the beans were checked, so it may
        use the container; what it adds is registered and checked as well.
        """
        self._callbacks.append((order, callable))

    def commit(self) -> Container:
        """Handle the marks, run the actions, check the beans, freeze.  Raises a StartError that names places; returns the container."""
        if self.container.frozen:
            raise Frozen("this setup was committed already")
        self._handle_marks()
        self._call_back(lambda order: order < 0)
        self._settle()
        check_graph(self.container)
        while self._call_back(lambda _: True, once=True):
            self._handle_marks()
            if self.actions.pending:
                self._settle()
                check_graph(self.container)
        self._check_leftovers()
        self.container.freeze()
        return self.container

    def _handle_marks(self) -> None:
        while self._unhandled:
            found = self._unhandled.popleft()
            if found.mark.kind not in self._handlers:
                label = f"{found.owner.__name__}.{found.name}" if found.owner else found.name
                raise StartError(
                    f"{found.mark.where}: nobody knows the mark {found.mark.kind} on {label}{_suggest(found.mark.kind, self._handlers)}",
                    hint="include the component it belongs to, or setup.on_mark(kind, handler)",
                )
            for owner in _owners(found):
                for handler in self._handlers[found.mark.kind]:
                    handler(self, owner, found.name, found.target, found.mark)

    def _call_back(self, wanted: Callable[[int], bool], *, once: bool = False) -> bool:
        """Run the callbacks whose order is wanted, those that they add too (or only the first).  False when there was none."""
        called = False
        while not (once and called) and (waiting := [entry for entry in self._callbacks if wanted(entry[0])]):
            entry = min(waiting, key=lambda entry: entry[0])
            self._callbacks.remove(entry)
            entry[1]()
            called = True
        return called

    def _settle(self) -> None:
        unconfigured, self._unconfigured = self._unconfigured, []
        configure(self, unconfigured)
        self.actions.commit()

    def _check_leftovers(self) -> None:
        """What the application wrote and nothing took up is a mistake."""
        known = {definition.name for definition in self.definitions} | self._elsewhere
        for name in self.config.section("beans"):
            if name not in known:
                raise ConfigError(f"beans.{name} ({self.config.where(f'beans.{name}')}): there is no such bean{_suggest(name, known)}")
        classes = {definition.declared for definition in self.definitions}
        for target, parts in self.partials.items():
            if target not in classes:
                raise StartError(f"{parts[0][1]}: {parts[0][0].__name__} is a partial of {target.__name__}, which is no bean here")


def _claim(definition: Definition, key: Any, name: str) -> Hashable:
    """What a definition claims for itself alone."""
    parts = ("driver", key, definition.driver) if definition.driver else ("bean", key, name) if name else ("bean", key)
    return (*parts, f"of {', '.join(definition.servers)}") if definition.servers else parts


def _owners(found: Marked) -> list[type | None]:
    """Whom a mark belongs to: what stands in a partial belongs to the bean."""
    if found.owner is None:
        return [None]
    return [mark.options["target"] for mark in marks_of(found.owner, "partial")] or [found.owner]


def _nothing() -> None:
    """An action that only claims its discriminator."""


def _suggest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, [name_of(each) for each in known], 1)
    return f"; did you mean {close[0]}?" if close else ""
