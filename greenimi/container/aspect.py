"""Advice: layers around the methods of beans, woven into a subclass when the container is set up.

Woven are methods, static methods and class methods (generators and all; for a generator function ``after`` means: the generator is made),
and the constructor where ``__init__`` is named and the class, or a base, defines it.  The subclass goes by the name of the bean's class, so
``isinstance`` holds, and calls of ``self`` are advised as well.

Not woven: objects made by hand (``Shop()``, what a factory function makes), calls on the class itself (``Shop.make()``) and through
``super()``, properties, and beans that hold advice themselves.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, get_args

from greenimi.container.beans import Definition, subclass
from greenimi.container.onion import Proceed, compose
from greenimi.container.pointcut import Pointcut, is_special, methods_of
from greenimi.errors import PointcutError, StartError
from greenimi.marks import Mark

if TYPE_CHECKING:
    from greenimi.container.registry import Container
    from greenimi.container.setup import Setup

Kind = Literal["around", "before", "after", "after_returning", "after_throwing"]
Errors = tuple[type[BaseException], ...]

LATE = 1000
"""Pointcuts are checked when every other room has added its beans."""


class Call:
    """One call of an advised method.

    ``target``   the object; the class for a class method, None for a static one
    ``name``     of the method
    ``function`` what is called in the end, unbound: ``function(target, *args, **kwargs)``
    ``args``, ``kwargs``  the arguments without ``self``; advice may replace them before the method runs
    ``result``   what the method returned, once it did; ``after_returning`` may replace it
    ``error``    what the method raised, while ``after_throwing`` runs, else None
    """

    __slots__ = ("args", "error", "function", "kwargs", "name", "result", "suppressed", "target")

    def __init__(self, target: Any, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.target = target
        self.name = name
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.result: Any = None
        self.error: BaseException | None = None
        self.suppressed = False

    def suppress(self, result: Any = None) -> None:
        """Swallow the error: the method returns ``result`` instead.  For ``after_throwing``; RuntimeError where there is no error."""
        if self.error is None:
            raise RuntimeError(f"{self!r} raised nothing that could be suppressed")
        self.suppressed = True
        self.result = result

    def __repr__(self) -> str:
        return f"<Call {self.function.__qualname__}>"


@dataclass(frozen=True, slots=True)
class AspectSettings:
    """One table of ``[[aspects]]``: advice without touching the code."""

    where: str | tuple[str, ...] = field(metadata={"doc": 'patterns "module:Class.method" or "@mark"'})
    advice: str = field(metadata={"doc": 'the function: "package.module:function"'})
    kind: Kind = field(default="around", metadata={"doc": "when it runs"})
    priority: int = field(default=0, metadata={"doc": "higher is further out"})
    deny: str | tuple[str, ...] = field(default=(), metadata={"doc": "patterns to leave out"})


@dataclass(frozen=True, slots=True)
class Advice:
    """One advice: the function, when it runs and for which methods.  ``owner`` is the bean's class where it is a method."""

    kind: Kind
    run: Callable[..., Any]
    where: tuple[Pointcut, ...]
    deny: tuple[Pointcut, ...]
    priority: int
    errors: Errors
    deny_errors: Errors
    place: str
    source: Any
    owner: type | None = None

    def covers(self, cls: type, name: str) -> bool:
        hits = [pointcut for pointcut in self.where if pointcut.matches(cls, name)]
        for pointcut in hits:
            pointcut.used = True
        return bool(hits) and not any(pointcut.matches(cls, name) for pointcut in self.deny)

    @property
    def once(self) -> object:
        """Advice of which this is the same applies to a method one time only."""
        return self.kind, self.source, self.errors, self.deny_errors


class Aspects:
    """All advice of one setup, and the weaver.

    A call runs: around (in), before, the method, after, after_returning, around (out); where the method raises: around (in), before, the
    method, after_throwing.  Of one kind, higher priority runs first, equal ones as declared; for around the first is the outermost.  Every
    matching after_throwing runs, also when one before it suppressed the error; a suppressed call skips after and after_returning.
    An error of an advice goes to the caller (through the advice around it), and is no matter for after_throwing.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._advice: list[Advice] = []
        self._woven = False

    # -- declaring -------------------------------------------------------------------------------------------------

    def handle(self, setup: Setup, owner: type | None, name: str, target: Any, mark: Mark) -> None:
        """``@around`` and the other four."""
        options = dict(mark.options)
        if isinstance(target, type) or not callable(target):
            raise StartError(f"{mark.where}: advice is a function or a method of a bean, and {name} is neither")
        source = target if owner is None else (owner, name)
        run = target if owner is None else _on_bean(setup.container, owner, name)
        self._add(run, options.pop("where"), options.pop("advice"), str(mark.where), source, owner, **options)

    def directive(self, setup: Setup, function: Callable[..., Any], *where: Any, kind: Kind = "around", **options: Any) -> None:
        """``setup.advice(function, "shop:Shop.*", kind="before", priority=5)``: what the decorators do, for a function without a mark.

        Options: ``priority``, ``deny``, and for ``after_throwing`` also ``errors`` and ``deny_errors``.
        """
        self._add(function, where, kind, str(setup._here()), function, None, **options)

    def prepare(self) -> None:
        """Read ``[[aspects]]``; drop the methods of beans that this environment leaves out."""
        there = {definition.declared for definition in self._setup.definitions}
        left_out = {found.target for found in self._setup.marked("bean")} - there
        self._advice = [advice for advice in self._advice if advice.owner not in left_out]
        config = self._setup.config
        if config.get("aspects", None) is None:
            self._setup.note("settings", ("aspects", list[AspectSettings]))
            return
        for number, table in enumerate(self._setup.settings("aspects", list[AspectSettings])):
            path = f"aspects.{number}"
            function = self._setup.resolve(table.advice, f"{path}.advice")
            place = f"{path} ({config.where('aspects')})"
            self._add(function, _listed(table.where), table.kind, place, function, None, deny=table.deny, priority=table.priority)

    def _add(
        self,
        run: Callable[..., Any],
        where: Sequence[Any],
        kind: Kind,
        place: str,
        source: Any,
        owner: type | None,
        *,
        deny: str | Sequence[Any] = (),
        priority: int = 0,
        errors: Errors = (Exception,),
        deny_errors: Errors = (),
    ) -> None:
        if self._woven:
            raise StartError(
                f"{place}: this advice comes too late", hint="beans are woven already; declare it before commit runs the actions"
            )
        if kind not in get_args(Kind):
            raise StartError(f"{place}: there is no advice {kind!r}, there are {', '.join(get_args(Kind))}")
        try:
            pointcuts, denied = tuple(map(Pointcut, where)), tuple(map(Pointcut, _listed(deny)))
        except TypeError as error:
            raise PointcutError(
                f"{place}: {error}", hint='name a method (Shop.place), a pattern ("shop:Shop.*") or a mark ("@get")'
            ) from None
        if not pointcuts:
            raise PointcutError(f"{place}: the advice does not say where it belongs")
        self._advice.append(Advice(kind, run, pointcuts, denied, priority, errors, deny_errors, place, source, owner))
        self._advice.sort(key=lambda advice: -advice.priority)

    # -- weaving ---------------------------------------------------------------------------------------------------

    def weave(self, cls: type, definition: Definition) -> type:
        """The weaver: ``cls`` itself where no advice is for it, else a subclass whose advised methods, and no others, are wrapped."""
        self._woven = True
        if any(advice.owner is not None and issubclass(cls, advice.owner) for advice in self._advice):
            return cls
        wrapped = {}
        for name, method in methods_of(cls).items():
            advice: dict[object, Advice] = {}
            for each in self._advice:
                if each.covers(cls, name):
                    advice.setdefault(each.once, each)
            if advice:
                wrapped[name] = _wrap(name, method, list(advice.values()))
        if not wrapped:
            return cls
        try:
            return subclass(cls, (cls,), {"__slots__": (), **wrapped})
        except TypeError as error:
            raise StartError(f"{definition}: advice needs a subclass of it, and there can be none: {error}") from error

    # -- checking --------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """PointcutError for a pointcut that matched no bean, unless it is for one that this environment leaves out."""
        for advice in self._advice:
            for pointcut in advice.where:
                if not pointcut.used and not self._left_out(pointcut):
                    raise PointcutError(f"{advice.place}: {pointcut} matches no method of any bean", hint=self._hint(pointcut))
            if advice.owner is not None:
                try:
                    self._setup.container.find(advice.owner)
                except LookupError as error:
                    raise StartError(f"{advice.place}: an advice that is a method needs its bean: {error}") from None

    def _left_out(self, pointcut: Pointcut) -> bool:
        classes = [found.target for found in self._setup.marked("bean") if isinstance(found.target, type)]
        return any(pointcut.matches(cls, name) for cls in classes for name in methods_of(cls))

    def _hint(self, pointcut: Pointcut) -> str:
        classes = [definition.target for definition in self._setup.definitions if isinstance(definition.target, type)]
        known = [f"{cls.__module__}:{cls.__qualname__}.{name}" for cls in classes for name in methods_of(cls) if not is_special(name)]
        close = difflib.get_close_matches(pointcut.text.strip("'"), known, 1)
        return f"did you mean {close[0]}?" if close else "only methods of beans are woven: is the class marked @bean and included?"


def _listed(what: str | Sequence[Any]) -> Sequence[Any]:
    return (what,) if isinstance(what, str) or callable(what) else what


def _on_bean(container: Container, owner: type, name: str) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        return getattr(container.get(owner), name)(*args)

    return run


# -- wrapping one method -------------------------------------------------------------------------------------------


def _wrap(name: str, method: Any, advice: list[Advice]) -> Any:
    """The method with its advice around it, of the same sort: function, static or class method."""
    function = getattr(method, "__func__", method)
    static = isinstance(method, staticmethod)
    run = compose([each.run for each in advice if each.kind == "around"], _core(_call_static if static else _call, advice))

    @wraps(function)
    def advised(target: Any, /, *args: Any, **kwargs: Any) -> Any:
        return run(Call(target, name, function, args, kwargs))

    @wraps(function)
    def advised_static(*args: Any, **kwargs: Any) -> Any:
        return run(Call(None, name, function, args, kwargs))

    if static:
        return staticmethod(advised_static)
    return classmethod(advised) if isinstance(method, classmethod) else advised


def _call(call: Call) -> Any:
    result = call.result = call.function(call.target, *call.args, **call.kwargs)
    return result


def _call_static(call: Call) -> Any:
    result = call.result = call.function(*call.args, **call.kwargs)
    return result


def _core(body: Proceed, advice: list[Advice]) -> Proceed:
    """The method and the advice that stands inside of all around."""
    before, after, returning = ([each.run for each in advice if each.kind == kind] for kind in ("before", "after", "after_returning"))
    throwing = [each for each in advice if each.kind == "after_throwing"]
    if not (before or after or returning or throwing):
        return body

    def core(call: Call) -> Any:
        for run in before:
            run(call)
        try:
            body(call)
        except BaseException as error:
            if _suppressed(call, error, throwing):
                return call.result
            raise
        for run in after:
            run(call)
        for run in returning:
            run(call)
        return call.result

    return core


def _suppressed(call: Call, error: BaseException, throwing: list[Advice]) -> bool:
    call.error, call.suppressed = error, False
    try:
        for advice in throwing:
            if isinstance(error, advice.errors) and not isinstance(error, advice.deny_errors):
                advice.run(call)
    finally:
        call.error = None  # an error kept here would keep its frames, and they this call
    return call.suppressed


def includeme(setup: Setup) -> None:
    """Bring the five decorators of advice, ``setup.advice(...)`` and ``[[aspects]]``."""
    aspects = Aspects(setup)
    setup.on_mark("advice", aspects.handle)
    setup.add_directive("advice", aspects.directive)
    setup.on_commit(aspects.prepare, order=-LATE)
    setup.weavers.append(aspects.weave)
    setup.on_commit(aspects.check, order=LATE)
