"""Where am I: the current container, server, connection and message, for the code that handles a message.

A :class:`Scope` is entered in a fresh ``contextvars`` context for every message, so nothing can leak into the next one that the same
pooled greenlet handles. A child greenlet inherits it only when started with ``green.spawn`` (gevent itself starts greenlets with an empty
context).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import Context, ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any

from greenimi.errors import NoScope

if TYPE_CHECKING:
    from greenimi.container.registry import Container
    from greenimi.interfaces import IConnection
    from greenimi.message import Message


log = logging.getLogger("greenimi.container")


class Scope:
    """The lifetime of one message (or of one background job, which has no message).

    ``beans`` holds the message-lifetime beans, made on demand; ``defer`` registers clean-up that runs last in, first out when the scope
    closes, also after an exception.
    """

    __slots__ = ("_deferred", "_token", "beans", "connection", "container", "message")

    _token: Token[Scope]

    def __init__(self, container: Container, connection: IConnection | None = None, message: Message | None = None) -> None:
        self.container = container
        self.connection = connection
        self.message = message
        self.beans: dict[Any, Any] | None = None
        self._deferred: list[tuple[Callable[..., object], tuple[Any, ...]]] | None = None

    def defer(self, function: Callable[..., object], *args: Any) -> None:
        """Call ``function(*args)`` when the message is done, in reverse order of registration."""
        if self._deferred is None:
            self._deferred = []
        self._deferred.append((function, args))

    def close(self) -> None:
        """Run the deferred calls.  Every one runs; the first exception is raised at the end, the others are chained to it."""
        deferred = self._deferred
        if deferred is None:
            return
        failure: BaseException | None = None
        while deferred:
            function, args = deferred.pop()
            try:
                function(*args)
            except BaseException as error:
                if failure is None:
                    failure = error
                else:
                    error.__context__ = failure.__context__
                    failure.__context__ = error
        self.beans = None
        self._deferred = None
        if failure is not None:
            raise failure

    # -- as a context manager: for background jobs, scripts and tests ------------------------------------------
    def __enter__(self) -> Scope:
        self._token = current.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.close()
        finally:
            current.reset(self._token)


current: ContextVar[Scope] = ContextVar("greenimi.scope")
"""The scope of the running code.  Hot paths read it with ``current.get()``; everyone else calls :func:`scope`."""


def scope() -> Scope:
    """The current scope.  Raises NoScope with what to do when there is none."""
    found = current.get(None)
    if found is None:
        raise NoScope(
            "there is no current message here",
            hint="use this while a message is handled, inside `with Scope(container):`, or start the greenlet with green.spawn",
        )
    return found


def enter(scope: Scope, function: Callable[[Any], Any], value: Any) -> Any:
    """``function(value)`` with ``scope`` current, which is closed afterwards.

    Called as ``Context().run(enter, scope, function, value)``: the fresh context makes sure that nothing of a message outlives it.
    """
    current.set(scope)
    try:
        result = function(value)
    except BaseException:
        if scope._deferred is not None:
            try:
                scope.close()
            except Exception:  # it must not hide the handler's own
                log.exception("what was deferred to the end of a message failed")
        raise
    if scope._deferred is not None:
        try:
            scope.close()
        except Exception:  # nor may it take back the result
            log.exception("what was deferred to the end of a message failed")
    return result


def run(scope: Scope, function: Callable[[Any], Any], value: Any) -> Any:
    """``function(value)`` in ``scope`` and in a context of its own."""
    return Context().run(enter, scope, function, value)
