"""Stand-ins: objects that ask the current container, or the current message, every time they are touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from typing import Any, TypeVar, cast, overload

from greenimi import message
from greenimi.container.context import scope
from greenimi.container.match import interface_of, name_of
from greenimi.container.registry import current_container
from greenimi.errors import GreenimiError, NoScope
from greenimi.interfaces import IConnection

T = TypeVar("T")


class StandIn:
    """Whatever is done to it is done to what ``find`` returns at that moment.

    ``repr``, ``dir`` and ``__class__`` (so ``isinstance``) never raise; everything else raises what ``find`` raises, NoScope for example.
    """

    __slots__ = ("_StandIn__find", "_StandIn__label")

    def __init__(self, find: Callable[[], Any], label: str) -> None:
        object.__setattr__(self, "_StandIn__find", find)
        object.__setattr__(self, "_StandIn__label", label)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__find(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__find(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self.__find(), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__find()(*args, **kwargs)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        try:
            return cast(type, self.__find().__class__)
        except GreenimiError:
            return StandIn

    def __repr__(self) -> str:
        try:
            return repr(self.__find())
        except GreenimiError as error:
            text = error.text
        return f"<stand-in for {self.__label}: {text}>"

    def __str__(self) -> str:
        return str(self.__find())

    def __dir__(self) -> list[str]:
        try:
            return dir(self.__find())
        except GreenimiError:
            return dir(StandIn)

    def __eq__(self, other: object) -> bool:
        return bool(self.__find() == _behind(other))

    def __hash__(self) -> int:
        return hash(self.__find())

    def __bool__(self) -> bool:
        return bool(self.__find())

    def __len__(self) -> int:
        return len(self.__find())

    def __iter__(self) -> Iterator[Any]:
        return iter(self.__find())

    def __contains__(self, item: object) -> bool:
        return item in self.__find()

    def __getitem__(self, key: Any) -> Any:
        return self.__find()[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self.__find()[key] = value

    def __delitem__(self, key: Any) -> None:
        del self.__find()[key]

    def __enter__(self) -> Any:
        return self.__find().__enter__()

    def __exit__(self, *details: object) -> Any:
        return self.__find().__exit__(*details)


def _behind(value: Any) -> Any:
    return object.__getattribute__(value, "_StandIn__find")() if type(value) is StandIn else value


@overload
def facade(key: type[T], name: str = "") -> T: ...
@overload
def facade(key: Any, name: str = "") -> Any: ...
def facade(key: Any, name: str = "") -> Any:
    """A stand-in for the bean that ``key`` (and ``name``) finds in the current container, typed as that bean.

    ``shop = facade(Shop)`` at module level may be used by any code: inside the handling of a message it reaches the beans of that
    message and its server, elsewhere those of the running application.  It is resolved at every use, so overrides and hot updates show.
    ``key`` may be a dotted name (``"package.module:Class"``), imported when it is first used.
    """
    if isinstance(key, str) and ":" in key:
        return StandIn(lambda: current_container().get(_imported(key), name), key)
    interface_of(key)  # TypeError now for what no container can be asked for
    return StandIn(lambda: current_container().get(key, name), f"{name_of(key)} {name!r}" if name else name_of(key))


@cache
def _imported(dotted: str) -> Any:
    module, _, attribute = dotted.partition(":")
    return getattr(import_module(module), attribute)


# -- the current message -------------------------------------------------------------------------------------------


def _message() -> Any:
    found = scope().message
    if found is None:
        raise NoScope("this work was started without a message", hint="a background job has no message: pass what it needs as an argument")
    return found


def _request() -> Any:
    found = _message()
    if not isinstance(found, message.Request):
        raise NoScope(f"the current message is a {type(found).__name__}, not an HTTP request", hint="use Message, or Message.data")
    return found


def _connection() -> Any:
    found = scope().connection
    if found is None:
        raise NoScope("this work was started without a connection", hint="reach clients through the Hub: by id, user or group")
    return found


Message = cast("message.Message", StandIn(_message, "the current message"))
"""The message being handled, of any kind."""

Request = cast("message.Request", StandIn(_request, "the current request"))
"""The HTTP request being handled."""

Connection = cast("IConnection", StandIn(_connection, "the current connection"))
"""The client's link that the message came by."""
