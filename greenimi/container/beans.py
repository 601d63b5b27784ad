"""What ``@bean`` means: a definition, the class built for it, its construction and the check of the whole graph."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import new_class
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

from greenimi.container.binding import Binding, Made
from greenimi.container.inject import Need, constructor_of, convert, evaluate, needs_of, shown
from greenimi.container.match import is_key, name_of
from greenimi.container.registry import Container
from greenimi.errors import AmbiguousBean, CircularBean, ConfigError, ConflictError, MissingBean, StartError
from greenimi.marks import ATTRIBUTE, Mark, Where

if TYPE_CHECKING:
    from greenimi.container.setup import Setup

T = TypeVar("T")
Weaver = Callable[[type, "Definition"], type]
"""Makes the class that is instantiated from the bean's class: the same, or a subclass of it."""


_NOWHERE = Where("?", 0)


@dataclass(eq=False, slots=True)
class Definition:
    """One ``@bean``.

    ``target`` is the class or factory that makes it, ``declared`` the one that was marked (conf may have put another in its place),
    ``final`` what is called in the end: for a class the one the weavers built.
    """

    target: Callable[..., Any]
    name: str = ""
    lifetime: str = "app"
    provides: tuple[Any, ...] = ()
    servers: tuple[str, ...] = ()
    driver: str = ""
    where: Where = _NOWHERE
    declared: Any = None
    final: Callable[..., Any] = field(init=False)
    needs: list[Need] = field(init=False)
    arguments: dict[str, Any] = field(default_factory=dict)
    """Constructor arguments from conf."""
    properties: dict[str, Any] = field(default_factory=dict)
    """Attributes from conf, set after construction: the value, and where it was set."""
    keys: tuple[Any, ...] = field(init=False)
    generates: bool = field(init=False)

    def __post_init__(self) -> None:
        if self.lifetime not in ("app", "message"):
            raise StartError(f'{self.where}: a bean\'s lifetime is "app" or "message", not {self.lifetime!r}')
        self.declared = self.target
        self._read_target()
        self.name = self.name or name_of(self.keys[0])

    def _read_target(self) -> None:
        self.final = self.target
        self.needs = needs_of(self.target)
        self.generates = inspect.isgeneratorfunction(self.target)
        made = self.target if isinstance(self.target, type) else _returned(self.target)
        keys = (made, *self.provides) if is_key(made) and get_origin(made) is None else self.provides
        if not keys:
            raise StartError(
                f"{self.where}: the factory {name_of(self.target)} does not say what it makes",
                hint="annotate what it returns with a class, protocol or interface, or say @bean(provides=...)",
            )
        self.keys = tuple(dict.fromkeys(keys))

    @property
    def cls(self) -> type | None:
        """The class of what it makes, as far as that is known."""
        return self.keys[0] if isinstance(self.keys[0], type) else None

    def __str__(self) -> str:
        return f"{name_of(self.target)} ({self.where})"

    def replace(self, target: Callable[..., Any]) -> None:
        """Put another class (or factory) in its place: found by all that found the old one, and by its own class."""
        self.provides = self.keys
        self.target = target
        self._read_target()

    def configure(self, table: Mapping[str, Any], path: str, config: Any) -> None:
        """Take values from conf: for a constructor parameter of that name as its argument, else as an attribute."""
        hints = {need.parameter: need.hint for need in self.needs}
        for key, value in table.items():
            if key == "class":
                continue
            place = f"{path}.{key} ({config.where(f'{path}.{key}')})"
            if key in hints:
                self.arguments[key] = convert(value, hints[key], place)
            else:
                self.properties[key] = (value, place)
        self.needs = [need for need in self.needs if need.parameter not in self.arguments]

    def weave(self, parts: Iterable[tuple[type, Where]], weavers: Iterable[Weaver]) -> None:
        """Build the class that is instantiated.  Objects that a factory makes keep their class."""
        if isinstance(self.target, type):
            found = mix_in(self.target, self.where, list(parts))
            for weaver in weavers:
                found = weaver(found, self)
            self.final = found


def _returned(function: Callable[..., Any]) -> Any:
    """The return annotation of a factory; of a generator, what it yields."""
    annotation = inspect.signature(function).return_annotation
    try:
        found = evaluate(annotation, getattr(inspect.unwrap(function), "__globals__", {}))
    except NameError as error:
        raise StartError(f"the return annotation of {name_of(function)} cannot be read: {error}") from error
    if inspect.isgeneratorfunction(function):
        found = (get_args(found) or (None,))[0]
    return None if found is inspect.Signature.empty else found


# -- building the class --------------------------------------------------------------------------------------------


def subclass(cls: type, bases: tuple[type, ...], namespace: Mapping[str, Any]) -> type:
    """A class made of ``bases`` that goes by the name, module and docstring of ``cls``.  Weavers build theirs with it, too."""
    own = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__, **namespace}
    return new_class(cls.__name__, bases, exec_body=lambda body: body.update(own))


def mix_in(cls: type, where: Where, parts: list[tuple[type, Where]]) -> type:
    """``cls`` with its partial classes mixed in.  Nothing may be defined twice: a part adds, it does not replace."""
    if not parts:
        return cls
    owners: dict[str, Where] = {}
    for part, place in parts:
        if "__init__" in vars(part):
            raise StartError(f"{place}: the partial {part.__name__} of {cls.__name__} has a constructor, which would never run")
        for name in vars(part):
            if name == ATTRIBUTE or (name.startswith("__") and name.endswith("__")):
                continue
            other = owners.get(name) or (where if hasattr(cls, name) else None)
            if other is not None:
                raise ConflictError(f"{cls.__name__}.{name}: {other} and {place}", hint="a partial adds; to change a method use @around")
            owners[name] = place
    above = [part for part, _ in parts if issubclass(part, cls)]  # written as a subclass so that type checkers see the bean's own
    below = [part for part, _ in parts if not issubclass(part, cls)]
    return subclass(cls, (*above, cls, *below), {})


# -- making --------------------------------------------------------------------------------------------------------


def make_for(container: Container, cls: type[T]) -> T:
    """A fresh ``cls``, bean or not, injected from this very container: what a server makes of a class that is not its own bean."""
    found = container.candidates(cls)
    known = found[0] if found else None
    definition = known.definition if isinstance(known, BeanBinding) else Definition(cls)
    made: T = BeanBinding(container, definition).make()[0]
    return made


class BeanBinding(Binding):
    """The binding of a definition in one container."""

    __slots__ = ("_ready", "definition")

    def __init__(self, container: Container, definition: Definition) -> None:
        lifetime = "driver" if definition.driver else definition.lifetime
        name = definition.driver or definition.name
        super().__init__(container, definition.keys, name, cls=definition.cls, lifetime=lifetime, where=str(definition.where))
        self.definition = definition
        self._ready = isinstance(definition.final, type) and inspect.isfunction(inspect.getattr_static(definition.final, "ready", None))

    def make(self, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Made:
        """Construct, set the properties from conf, then call ``ready()`` where a class has it.  When any fails nothing is kept."""
        definition, kwargs = self.definition, kwargs or {}
        taken = self._names_of(args, kwargs) if args or kwargs else ()
        passed = {name: value for name, value in definition.arguments.items() if name not in taken}
        try:
            for need in definition.needs:
                if need.parameter not in taken:
                    passed[need.parameter] = need.resolve(self.container)
            made = definition.final(*args, **kwargs, **passed)
            closer = None
            if definition.generates:
                generator, made = made, _first(made, definition)
                closer = partial(_rest, generator, definition)
            try:
                self._complete(made)
            except BaseException:
                if closer is not None:
                    closer()
                raise
        except Exception as error:
            error.add_note(f"while making {self}")
            raise
        return made, closer

    def _names_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> set[str]:
        """The parameters that these arguments fill."""
        function = constructor_of(self.definition.target)
        if function is None:
            return set(kwargs)
        own = (None,) if isinstance(self.definition.target, type) else ()
        return set(inspect.signature(function).bind_partial(*own, *args, **kwargs).arguments)

    def _complete(self, made: Any) -> None:
        for name, (value, place) in self.definition.properties.items():
            if not hasattr(made, name) and name not in _annotated(type(made)):
                raise ConfigError(f"{place}: {type(made).__name__} has no attribute {name}")
            now = type(getattr(made, name, None))
            try:  # text, for example from an environment variable, becomes what the attribute is
                setattr(made, name, convert(value, now, place) if now in (bool, int, float) else value)
            except AttributeError as error:
                raise ConfigError(f"{place}: {name} of {type(made).__name__} cannot be set: {error}") from error
        if self._ready:
            made.ready()

    def edges(self) -> Iterator[tuple[Need, list[Binding]]]:
        """Each need for beans with the bindings it finds now."""
        for need in self.definition.needs:
            if need.kind in ("bean", "lazy"):
                yield need, self.container.candidates(need.key, need.name)
            elif need.kind in ("list", "dict"):
                yield need, self.container.all_bindings(need.key)

    def needed(self) -> list[Binding]:
        return [binding for _, found in self.edges() for binding in found]


def _annotated(cls: type) -> set[str]:
    return {name for base in cls.__mro__ for name in inspect.get_annotations(base)}


def _first(generator: Generator[Any, None, None], definition: Definition) -> Any:
    for made in generator:
        return made
    raise StartError(f"the generator factory {definition} ended without a yield")


def _rest(generator: Generator[Any, None, None], definition: Definition) -> None:
    for _ in generator:
        generator.close()
        raise StartError(f"the generator factory {definition} yields more than once")


# -- checking ------------------------------------------------------------------------------------------------------


def check_graph(root: Container) -> None:
    """Find at start what would fail at run: missing, ambiguous and circular beans, a message bean held by an app bean, absent values.

    The error names the chain that leads there: ``OrderApi -> Shop -> Mailer -> Shop``.
    """
    done: set[Binding] = set()
    for container in root.family():
        for binding in container.bindings:
            if binding.lifetime != "driver":  # whoever makes one passes what the container has not
                _visit(binding, [], done)


def _visit(binding: Binding, path: list[Binding], done: set[Binding]) -> None:
    if binding in done or not isinstance(binding, BeanBinding):
        return
    path = [*path, binding]
    for need in binding.definition.needs:
        if need.kind not in ("bean", "lazy", "list", "dict"):
            _check_value(need, binding, path)
    for need, found in _edges(binding, path):
        if need.kind == "lazy":
            continue
        for other in found:
            if other in path:
                raise CircularBean(
                    _chain([*path, other]),
                    hint=f"break it on purpose with Lazy[{name_of(need.key)}] in {binding.label}, or let one hear of the other by an event",
                )
            if binding.lifetime == "app" and other.lifetime == "message":
                raise StartError(
                    f"{_chain([*path, other])}: {binding} lives as long as the application, {other} for one message",
                    hint=f"take Lazy[{name_of(need.key)}] or a facade, or give {binding.label} the lifetime message",
                )
            _visit(other, path, done)
    done.add(binding)


def _edges(binding: BeanBinding, path: list[Binding]) -> Iterator[tuple[Need, list[Binding]]]:
    try:
        for need, found in binding.edges():
            if need.kind in ("bean", "lazy") and (len(found) > 1 or (need.required and not found)):
                binding.container.find(need.key, need.name)  # raises
            yield need, found
    except (MissingBean, AmbiguousBean) as error:
        raise type(error)(f"{_chain(path)} ({binding.where}): {error.text}", hint=error.hint) from None


def _check_value(need: Need, binding: BeanBinding, path: list[Binding]) -> None:
    try:
        need.resolve(binding.container)
    except StartError as error:
        raise type(error)(
            f"{_chain(path)} ({binding.where}), {need.parameter}: {shown(need.hint)}: {error.text}", hint=error.hint
        ) from None


def _chain(path: list[Binding]) -> str:
    return " -> ".join(binding.label for binding in path)


# -- marks ---------------------------------------------------------------------------------------------------------


def handle_bean(setup: Setup, owner: type | None, name: str, target: Any, mark: Mark) -> None:
    """``@bean``"""
    if owner is not None:
        raise StartError(f"{mark.where}: @bean stands on the method {owner.__name__}.{name}", hint="mark a class or a function of a module")
    setup.add_bean(target, where=mark.where, **mark.options)


def handle_partial(setup: Setup, owner: type | None, name: str, target: Any, mark: Mark) -> None:
    """``@partial(Target)``"""
    if owner is not None or not isinstance(target, type):
        raise StartError(f"{mark.where}: @partial stands on {name}, which is not a class")
    setup.partials.setdefault(mark.options["target"], []).append((target, mark.where))


def configure(setup: Setup, definitions: Iterable[Definition]) -> None:
    """Apply the conf section ``beans`` to these definitions."""
    config = setup.config
    tables = config.section("beans")
    for definition in definitions:
        table, path = tables.get(definition.name), f"beans.{definition.name}"
        if table is None or definition.driver:
            continue
        if not isinstance(table, Mapping):
            raise ConfigError(f"{path} ({config.where(path)}) must be a table: a class, or values for the bean's attributes")
        same = [str(d) for d in setup.definitions if d.name == definition.name and not d.driver]
        if len(same) > 1:
            raise ConfigError(f"{path} fits several beans: {' and '.join(same)}", hint="give them different names: @bean(name=...)")
        if "class" in table:
            target = setup.resolve(table["class"], f"{path}.class")
            if not callable(target):
                raise ConfigError(f"{path}.class: {table['class']} is neither a class nor a factory")
            for other in [d for d in setup.definitions if d.target is target and d is not definition]:
                setup.definitions.remove(other)  # its own @bean gives way to the place conf puts it in
            definition.replace(target)
        definition.configure(table, path, config)
