"""``@transactional``: a function that runs in a transaction.  Nothing is imported for it before it is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args, overload

from greenimi.marks import add_mark, here
from greenimi.pool.wishes import Options, Propagation, Rollback, Wish

if TYPE_CHECKING:
    from greenimi.pool.database.database import Database

F = TypeVar("F", bound=Callable[..., Any])


@overload
def transactional(function: F, /) -> F: ...
@overload
def transactional(
    *,
    propagation: Propagation = "required",
    database: str = "default",
    retry: int = 0,
    rollback: Rollback = "",
    levels: int = 1,
    isolation: str = "",
    read_only: bool = False,
) -> Callable[[F], F]: ...
def transactional(
    function: Any = None,
    /,
    *,
    propagation: Propagation = "required",
    database: str = "default",
    retry: int = 0,
    rollback: Rollback = "",
    levels: int = 1,
    isolation: str = "",
    read_only: bool = False,
) -> Any:
    """The function, or method, runs in a transaction: committed when it returns, rolled back when it raises.

    ``propagation``
        required   joins the transaction that is open, or begins one
        nested     is a part of the one that is open, which can be rolled back alone, or begins one
        mandatory  joins the one that is open, or raises TransactionError
        new        begins another one, on a connection of its own, beside the one that is open
    ``database``   the ``[database.NAME]`` to use
    ``retry``      so many times more it is called when it began the transaction and a deadlock, or waiting for a lock too long, ended it
    ``rollback``   what an error undoes when the function did not begin the transaction: ``all`` of it, or a ``part``, its ``levels``
                   innermost ones.  By default its own part where it is nested, else all, because none of it is the function's own.
    ``isolation``, ``read_only``  as in ``Database.atomic``

    It asks the current container for the database at each call, so it holds on any object, made by hand or not.
    """
    where = here(2)
    wish = Wish(propagation, retry, rollback, levels, Options.of(isolation, read_only=read_only))
    _check(wish)

    def decorate(target: F) -> F:
        from greenimi.container.registry import current_container

        _check_target(target)
        name = target.__qualname__

        @wraps(target)
        def call(*args: Any, **kwargs: Any) -> Any:
            return current_container().get(_database_class(), database).call(wish, lambda: target(*args, **kwargs), name)

        return add_mark(cast("F", call), "transactional", {"database": database, "propagation": propagation}, where)

    return decorate if function is None else decorate(function)


def _check(wish: Wish) -> None:
    if wish.propagation not in get_args(Propagation):
        raise TypeError(f"@transactional: there is no propagation {wish.propagation!r}, there are {', '.join(get_args(Propagation))}")
    if wish.rollback not in get_args(Rollback):
        raise TypeError(f"@transactional: rollback is all or part, not {wish.rollback!r}")
    if wish.retry < 0 or wish.levels < 1:
        raise TypeError("@transactional: retry is 0 or more, levels 1 or more")


def _check_target(target: Any) -> None:
    if isinstance(target, staticmethod | classmethod):
        raise TypeError(f"@transactional belongs below @{type(target).__name__}")
    if isinstance(target, type) or not callable(target):
        raise TypeError(f"@transactional is for functions and methods, not for {target!r}")
    if any(kind(target) for kind in (inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction)):
        raise TypeError(
            f"@transactional: {target.__qualname__} would return before its work begins, and its transaction end with that; "
            "use `with DB.atomic():` in it"
        )


@cache
def _database_class() -> type[Database]:
    from greenimi.pool.database.database import Database

    return Database
