"""``@locked``: a function that runs while it holds a lock.  Nothing is imported for it before the decorator is used."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache, wraps
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from greenimi.marks import add_mark, here
from greenimi.route_options import check_brackets

if TYPE_CHECKING:
    from greenimi.lock.front import Lock

F = TypeVar("F", bound=Callable[..., Any])

Other = Callable[..., Any] | str | None
"""A function that takes the arguments of the call, or the name of a method of the object it is called on."""


def locked(
    name: str,
    *,
    wait: float | EllipsisType | None = ...,
    lease: float | EllipsisType = ...,
    renew: bool | EllipsisType = ...,
    reentrant: bool = False,
    on_lost: Literal["log", "raise"] = "log",
    on_fail: Other = None,
    after_lock: Other = None,
    lock: str = "default",
) -> Callable[[F], F]:
    """The function runs while it holds the lock ``name``, a template of its arguments: ``@locked("stock:{sku}", wait=2.0)``.

    ``on_fail``     called instead when others have the lock all the time; without it LockTimeout is raised
    ``after_lock``  called first, with the lock; unless it returns None, its result takes the place of the call
    ``lock``        the ``[lock.NAME]`` to use

    Both take the arguments of the call; a text names a method of its object.  The others are those of ``Lock.hold``: with
    ``on_lost="raise"`` a call that runs on after its lock was lost ends in LockLost, otherwise that is logged.
    """
    check_brackets("locked", [name], example='"stock:{sku}"')
    where = here(2)

    def decorate(function: F) -> F:
        from greenimi.container.registry import current_container
        from greenimi.container.templates import KeyTemplate

        if any(kind(function) for kind in (inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction)):
            raise TypeError(f"@locked: {function.__qualname__} would return before its work begins, and its lock end with that")
        template = KeyTemplate(name, function)
        instead, first = _other(on_fail), _other(after_lock)

        def run(args: Any, kwargs: Any) -> Any:
            result = first(*args, **kwargs) if first is not None else None
            return function(*args, **kwargs) if result is None else result

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            locks: Lock = current_container().get(_lock(), lock)
            key = template(args, kwargs)
            if instead is None:
                with locks.hold(key, wait=wait, lease=lease, renew=renew, reentrant=reentrant, on_lost=on_lost):
                    return run(args, kwargs)
            with locks.try_hold(key, wait=wait, lease=lease, renew=renew, reentrant=reentrant, on_lost=on_lost) as held:
                if held is not None:
                    return run(args, kwargs)
            return instead(*args, **kwargs)

        return add_mark(cast("F", call), "locked", {"name": name, "lock": lock}, where)

    return decorate


def _other(other: Other) -> Callable[..., Any] | None:
    if isinstance(other, str):
        method = other
        return lambda target, *args, **kwargs: getattr(target, method)(*args, **kwargs)
    return other


@cache
def _lock() -> type[Lock]:
    from greenimi.lock.front import Lock

    return Lock
