"""``@cacheable``, ``@cache_put``, ``@cache_evict``.  Nothing is imported for them before they are used."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Sequence
from functools import cache as once
from functools import partial, wraps
from types import FunctionType, SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from greenimi.marks import Where, add_mark, here

if TYPE_CHECKING:
    from greenimi.cache.front import Cache
    from greenimi.cache.shelf import Ttl

F = TypeVar("F", bound=Callable[..., Any])
Later = Callable[[Any, Any, Any], str]
"""The name for a call, by its arguments and its result."""

_RESULT = "result"
"""The parameter by which templates of what runs behind the call reach what it returned."""


def cacheable(
    key: str = "",
    *,
    ttl: Ttl = None,
    cache: str = "default",
    lock: bool = True,
    tags: Sequence[str] = (),
    when: Callable[[Any], object] | None = None,
    negative: float | None = None,
) -> Callable[[F], F]:
    """What the function returned is kept, and given out in place of another call: ``@cacheable("user:{user_id}", ttl=60.0)``.

    ``key``    a template of the arguments; without one it is the name of the function with a hash of all arguments but ``self``
    ``cache``  the ``[cache.NAME]`` to use
    ``tags``   templates, too: ``("user:{user_id}",)``

    The others are those of ``Cache.get_or_make``.  What comes back is of the type that the function says it returns; TypeError at the first
    call when it is not.
    """
    where = here(2)

    def decorate(function: F) -> F:
        _check(function, "cacheable")
        from greenimi.container.templates import KeyTemplate

        name, names = KeyTemplate(key or _default_key(function), function), [KeyTemplate(tag, function) for tag in _several(tags)]
        kind = _kind_of(function)

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            return _cache(cache).get_or_make(
                name(args, kwargs),
                partial(function, *args, **kwargs),
                ttl,
                kind=kind(),
                tags=(lambda: [tag(args, kwargs) for tag in names]) if names else (),
                lock=lock,
                when=when,
                negative=negative,
            )

        return cast("F", _marked(call, "cacheable", key, cache, where))

    return decorate


def cache_put(
    key: str,
    *,
    value: str = "",
    ttl: Ttl = None,
    cache: str = "default",
    tags: Sequence[str] = (),
    when: Callable[[Any], object] | None = None,
) -> Callable[[F], F]:
    """The function is always called, and what it returned is kept: ``@cache_put("user:{result.id}")``.

    ``value``  a path to the part of the result that is kept: ``"data.user"``
    ``when``   ``when(result)`` says whether it is kept

    Templates reach the result as ``{result}``.  When it cannot be kept the call ends in the error of the store: an old value would remain.
    """
    where = here(2)

    def decorate(function: F) -> F:
        _check(function, "cache_put")
        name, names = _later(key, function), [_later(tag, function) for tag in _several(tags)]
        kind = _kind_of(function)
        path = value.split(".") if value else ()

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            if when is None or when(result):
                kept = _follow(result, path, value) if path else result
                found = [tag(args, kwargs, result) for tag in names]
                _cache(cache).set(name(args, kwargs, result), kept, ttl, tags=found, kind=Any if path else kind())
            return result

        return cast("F", _marked(call, "cache_put", key, cache, where))

    return decorate


def cache_evict(
    key: str | Sequence[str] = (),
    *,
    tags: Sequence[str] = (),
    cache: str = "default",
    before: bool = False,
) -> Callable[[F], F]:
    """When the function has returned, what is kept under the key, or several, and all with one of the tags, is forgotten.

    ``before``  it is forgotten before the call, also when that fails then

    Templates reach what it returned as ``{result}``, unless ``before``.  When it cannot be forgotten the call ends in the store's error.
    """
    where = here(2)
    keys = (key,) if isinstance(key, str) else tuple(key)
    if not keys and not tags:
        raise TypeError('@cache_evict needs to be told what: @cache_evict("user:{user_id}") or @cache_evict(tags=("users",))')

    def decorate(function: F) -> F:
        _check(function, "cache_evict")
        names = [_later(one, function, before) for one in keys]
        groups = [_later(tag, function, before) for tag in _several(tags)]

        def evict(args: Any, kwargs: Any, result: Any) -> None:
            found = _cache(cache)
            if names:
                found.delete_many([name(args, kwargs, result) for name in names])
            if groups:
                found.evict_tags(*[group(args, kwargs, result) for group in groups])

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if before:
                evict(args, kwargs, None)
                return function(*args, **kwargs)
            result = function(*args, **kwargs)
            evict(args, kwargs, result)
            return result

        return cast("F", _marked(call, "cache_evict", keys, cache, where))

    return decorate


# -- when a function is decorated ------------------------------------------------------------------------------------


def _check(function: Any, decorator: str) -> None:
    if not isinstance(function, FunctionType):
        hint = ": put @classmethod or @staticmethod above it" if isinstance(function, classmethod | staticmethod) else ""
        raise TypeError(f"@{decorator} is for functions and methods, not for {function!r}{hint}")
    if any(kind(function) for kind in (inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction)):
        raise TypeError(f"@{decorator}: {function.__qualname__} returns before its work is done, so there is no result to keep")


def _marked(call: Any, decorator: str, key: object, cache: str, where: Where) -> Any:
    return add_mark(call, decorator, {"key": key, "cache": cache}, where)


def _default_key(function: Any) -> str:
    return f"{function.__module__}.{function.__qualname__}:{{:args}}"


def _several(tags: Sequence[str]) -> Sequence[str]:
    if isinstance(tags, str):
        raise TypeError(f'tags are several texts: tags=("{tags}",)')
    return tags


def _later(text: str, function: Any, before: bool = False) -> Later:
    """A template for when the call has returned, unless ``before``."""
    from greenimi.container.templates import KeyTemplate

    if before or "{" + _RESULT not in text or _RESULT in inspect.signature(function).parameters:
        name = KeyTemplate(text, function)
        return lambda args, kwargs, result: name(args, kwargs)
    with_result = KeyTemplate(text, _with_result(function))
    return lambda args, kwargs, result: with_result(args, {**kwargs, _RESULT: result})


def _with_result(function: Any) -> Any:
    """Something that has the function's parameters, and ``result``."""
    signature = inspect.signature(function)
    found = list(signature.parameters.values())
    last = bool(found) and found[-1].kind is inspect.Parameter.VAR_KEYWORD
    found.insert(len(found) - last, inspect.Parameter(_RESULT, inspect.Parameter.KEYWORD_ONLY))

    @wraps(function)
    def stand_in() -> None: ...

    stand_in.__signature__ = signature.replace(parameters=found)  # type: ignore[attr-defined]
    return stand_in


def _kind_of(function: Any) -> Callable[[], Any]:
    """What the function says that it returns, found out when it is first called: names may be defined below it."""

    @once
    def kind() -> Any:
        declared = SimpleNamespace(__annotations__={"return": function.__annotations__.get("return", Any)})
        try:
            return typing.get_type_hints(declared, function.__globals__, include_extras=True)["return"]
        except NameError as error:
            raise TypeError(f"{function.__qualname__} is cached, so what it says it returns must be importable: {error}") from error

    return kind


# -- for each call -----------------------------------------------------------------------------------------------------


def _cache(name: str) -> Cache:
    current, kind = _imported()
    found: Cache = current().get(kind, name)
    return found


@once
def _imported() -> tuple[Callable[[], Any], type[Cache]]:
    from greenimi.cache.front import Cache
    from greenimi.container.registry import current_container

    return current_container, Cache


def _follow(result: Any, path: Sequence[str], text: str) -> Any:
    from greenimi.container.templates import MISSING, step_into

    for step in path:
        result = step_into(result, step)
        if result is MISSING:
            raise ValueError(f"there is no {step} in what was returned, on the way to its {text}")
    return result
