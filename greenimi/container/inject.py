"""The wish list: what the parameters of a constructor or factory ask for, read from their annotations."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import InitVar, dataclass, is_dataclass
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, Union, get_args, get_origin

from greenimi.container.binding import MISSING
from greenimi.container.match import is_key, name_of
from greenimi.errors import ConfigError, MissingBean, StartError
from greenimi.interfaces import IConfig

if TYPE_CHECKING:
    from greenimi.container.registry import Container

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Named:
    """``Annotated[Pool, Named("main")]``: the bean of that name."""

    name: str


@dataclass(frozen=True, slots=True)
class ConfigValue:
    """``Annotated[int, ConfigValue("shop.limit")]``: a value of the configuration, read when the bean is made.

    A dataclass is bound to the table at that path, strictly.
    """

    path: str


@dataclass(frozen=True, slots=True)
class EnvValue:
    """``Annotated[str, EnvValue("HOME")]``: a variable of the environment, those of ``.env`` included."""

    name: str


class Lazy(Generic[T]):
    """A bean looked up when it is used, not when it is injected: breaks a circle on purpose, and lets an app bean reach a message bean.

    In a test: ``Mailer(Lazy(lambda: shop))``.
    """

    __slots__ = ("_get",)

    def __init__(self, get: Callable[[], T]) -> None:
        self._get = get

    def get(self) -> T:
        """The bean; asks the container every time."""
        return self._get()

    __call__ = get


@dataclass(frozen=True, slots=True)
class Need:
    """One parameter to fill.  ``kind``: bean, lazy, list, dict, config, env, or unknown (only the caller or conf can give it).

    ``hint`` is the bare annotation, ``key`` the bean's class (or the configuration path, or the variable), ``name`` the bean's name.
    """

    parameter: str
    kind: str
    hint: Any
    key: Any = None
    name: str = ""
    optional: bool = False
    default: Any = MISSING

    @property
    def required(self) -> bool:
        return not self.optional and self.default is MISSING

    def resolve(self, container: Container) -> Any:
        """The value to pass.  Raises what the container or the configuration raises when there is none and the parameter needs one."""
        key, name = self.key, self.name
        match self.kind:
            case "bean":
                return container.get(key, name) if self.required else container.query(key, name, self._instead())
            case "lazy":
                return Lazy(partial(container.get, key, name)) if self.required or container.candidates(key, name) else self._instead()
            case "list":
                return list(container.all(key).values())
            case "dict":
                return container.all(key)
            case "config":
                return self._from_config(container.get(IConfig))
            case "env":
                text = container.get(IConfig).env.get(key)
                if text is not None:
                    return convert(text, self.hint, f"environment variable {key}")
                if self.required:
                    raise ConfigError(f"the environment variable {key} is not set")
                return self._instead()
        if self.required:
            raise self.unknown()
        return self._instead()

    def _instead(self) -> Any:
        return None if self.default is MISSING else self.default

    def _from_config(self, config: Any) -> Any:
        if is_dataclass(self.hint):
            return config.settings(self.key, self.hint)
        value = config.get(self.key) if self.required else config.get(self.key, MISSING)
        return self._instead() if value is MISSING else convert(value, self.hint, f"{self.key} ({config.where(self.key)})")

    def unknown(self) -> MissingBean:
        return MissingBean(
            f"the container has nothing for the parameter {self.parameter}: {shown(self.hint)}",
            hint='annotate it with a bean\'s class, or Annotated[..., ConfigValue("path")], give it a default, or set it in [beans.<name>]',
        )


def convert(value: Any, hint: Any, what: str) -> Any:
    """``value`` as the plain type ``hint``, text read as a number or truth value.  ConfigError where it is none; other hints pass."""
    if hint is bool and isinstance(value, str) and value.lower() in _TRUTH:
        return _TRUTH[value.lower()]
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (int, float) and isinstance(value, str):
        try:
            return hint(value)
        except ValueError:
            pass
    plain = hint in _PLAIN
    if plain and (not isinstance(value, hint) or (isinstance(value, bool) and hint is int)):
        raise ConfigError(f"{what}: {value!r} is not {'an' if hint is int else 'a'} {shown(hint)}")
    return value


_PLAIN = (str, bytes, int, float, bool, list, dict, tuple, set)
_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def shown(hint: Any) -> str:
    """An annotation as a person writes it."""
    return name_of(hint) if is_key(hint) and get_origin(hint) is None else str(hint).replace("typing.", "")


# -- reading annotations -------------------------------------------------------------------------------------------


def needs_of(target: Callable[..., Any]) -> list[Need]:
    """What the constructor of a class, or a function, wants.  Strings are resolved where they stand; StartError if they cannot be."""
    function = constructor_of(target)
    if function is None:
        return []
    parameters = list(inspect.signature(function).parameters.values())
    needs = []
    for parameter in parameters[1:] if isinstance(target, type) else parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        default = MISSING if parameter.default is parameter.empty else parameter.default
        if parameter.kind is not parameter.POSITIONAL_ONLY:
            needs.append(parse(parameter.name, _hint(target, function, parameter), default))
        elif default is MISSING:
            raise StartError(f"{name_of(target)}: the parameter {parameter.name} is positional-only and cannot be injected")
    return needs


def constructor_of(target: Callable[..., Any]) -> Callable[..., Any] | None:
    """The function whose parameters count, None for a class that has no constructor of its own."""
    if not isinstance(target, type):
        return target
    constructor = target.__init__  # type: ignore[misc]
    return constructor if inspect.isfunction(constructor) else None


def _hint(target: Any, function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """The parameter's annotation, resolved; Any where it has none, or one that cannot be read and a default."""
    annotation = parameter.annotation
    if annotation is parameter.empty:
        return Any
    names = getattr(inspect.unwrap(function), "__globals__", {})
    local: Mapping[str, Any] = {}
    if isinstance(target, type) and is_dataclass(target):  # a field inherited from another module is resolved over there
        for base in target.__mro__:
            if inspect.get_annotations(base).get(parameter.name) is annotation:
                names, local = vars(sys.modules[base.__module__]), vars(base)
                break
    try:
        return evaluate(annotation, names, local)
    except NameError as error:
        if parameter.default is not parameter.empty:
            return Any
        raise StartError(
            f"{name_of(target)}: the annotation of {parameter.name} cannot be read: {error}",
            hint="import the name at the top of the module, outside `if TYPE_CHECKING`",
        ) from error


def evaluate(annotation: Any, names: Mapping[str, Any], local: Mapping[str, Any] | None = None) -> Any:
    """An annotation, strings in it resolved."""
    if isinstance(annotation, InitVar):
        annotation = annotation.type
    holder = SimpleNamespace(__annotations__={"it": annotation})
    found = typing.get_type_hints(holder, dict(names), dict(local or {}), include_extras=True)["it"]
    return found.type if isinstance(found, InitVar) else found


def parse(parameter: str, hint: Any, default: Any = MISSING) -> Need:
    """What one annotation asks for."""
    inner, extras, optional = _unwrap(hint)
    for extra in extras:
        if isinstance(extra, ConfigValue):
            return Need(parameter, "config", inner, extra.path, "", optional, default)
        if isinstance(extra, EnvValue):
            return Need(parameter, "env", inner, extra.name, "", optional, default)
    origin, args = get_origin(inner), get_args(inner)
    kind = "bean"
    if origin is Lazy or origin is list or (origin is dict and args[0] is str):
        kind = origin.__name__.lower()
        inner, more, _ = _unwrap(args[-1])
        extras += more
    name = next((extra.name for extra in extras if isinstance(extra, Named)), "")
    # text and numbers are found by name only: one bean of type int must not flow into every `int = 3`
    if is_key(inner) and get_origin(inner) is None and (name or getattr(inner, "__module__", "") not in ("builtins", "typing")):
        return Need(parameter, kind, inner, inner, name, optional, default)
    return Need(parameter, "unknown", hint, None, "", optional, default)


def _unwrap(hint: Any) -> tuple[Any, tuple[Any, ...], bool]:
    """The bare type, the extras of ``Annotated``, and whether None is welcome."""
    extras: tuple[Any, ...] = ()
    optional = False
    while True:
        if get_origin(hint) is Annotated:
            hint, *found = get_args(hint)
            extras += tuple(found)
        elif get_origin(hint) in (Union, types.UnionType) and len(rest := [a for a in get_args(hint) if a is not type(None)]) == 1:
            optional = optional or len(rest) < len(get_args(hint))
            hint = rest[0]
        else:
            return hint, extras, optional
