"""``@transactional``: a function that runs in a transaction.  Nothing is imported for it before it is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, get_args, overload

from greenimi.marks import add_mark, here

if TYPE_CHECKING:
    from greenimi.pool.database.database import Database
    from greenimi.pool.database.transactions import Wish

F = TypeVar("F", bound=Callable[..., Any])

Propagation = Literal["required", "nested", "mandatory", "new"]
Rollback = Literal["", "all", "part"]


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
    ``retry``      so many times more it is called when it began the transaction and a deadlock, or a lock that was not free in time, ended it
    ``rollback``   what an error undoes when the function did not begin the transaction: ``all`` of it, or a ``part``, its ``levels``
                   innermost ones.  By default its own part where it is nested, else all, because none of it is the function's own.
    ``isolation``, ``read_only``  as in ``Database.atomic``

    It asks the current container for the database at each call, so it holds on any object, made by hand or not.
    """
    where = here(2)

    def decorate(target: F) -> F:
        _check(target, propagation, rollback, retry, levels)
        name = target.__qualname__

        @wraps(target)
        def call(*args: Any, **kwargs: Any) -> Any:
            found = _database(database)
            return found.call(wish(found), lambda: target(*args, **kwargs), name)

        def wish(found: Database) -> Wish:
            return _wish(type(found), propagation, retry, rollback, levels, isolation, read_only)

        return add_mark(cast("F", call), "transactional", {"database": database, "propagation": propagation}, where)

    return decorate if function is None else decorate(function)


def _check(target: Any, propagation: str, rollback: str, retry: int, levels: int) -> None:
    if isinstance(target, staticmethod | classmethod):
        raise TypeError(f"@transactional belongs below @{type(target).__name__}")
    if isinstance(target, type) or not callable(target):
        raise TypeError(f"@transactional is for functions and methods, not for {target!r}")
    if any(kind(target) for kind in (inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction)):
        raise TypeError(
            f"@transactional: {target.__qualname__} would return before its work begins, and its transaction end with that; "
            "use `with DB.atomic():` in it"
        )
    if propagation not in get_args(Propagation):
        raise TypeError(f"@transactional: there is no propagation {propagation!r}, there are {', '.join(get_args(Propagation))}")
    if rollback not in get_args(Rollback):
        raise TypeError(f"@transactional: rollback is all or part, not {rollback!r}")
    if retry < 0 or levels < 1:
        raise TypeError("@transactional: retry is 0 or more, levels 1 or more")


def _database(name: str) -> Database:
    from greenimi.container.registry import current_container

    return current_container().get(_database_class(), name)


@cache
def _database_class() -> type[Database]:
    from greenimi.pool.database.database import Database

    return Database


@cache
def _wish(
    kind: type[Database], propagation: Propagation, retry: int, rollback: Rollback, levels: int, isolation: str, read_only: bool
) -> Wish:
    """Made once for each way to use the decorator."""
    from greenimi.pool.database.transactions import Wish

    return Wish(propagation, retry, rollback, levels, kind.options(isolation, read_only=read_only))
