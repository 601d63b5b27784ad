"""From what a handler returned to a response."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import GeneratorType
from typing import Any

import msgspec

from greenimi.message import Request, Response

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"

_encode = msgspec.json.Encoder().encode


def render(value: Any, request: Request | None = None) -> Response:
    """A Response as it is; None: 204; text and bytes as such; an iterator of either: sent as it comes; everything else: JSON.

    ``request``  what it is the final answer to: a Response that depends on that, such as a file, becomes what it is for this request

    Raises TypeError for a value that JSON cannot tell.
    """
    renderer = _BY_TYPE.get(type(value))
    if renderer is not None:
        return renderer(value)
    if isinstance(value, Response):
        return value if request is None else value.answer(request)
    if isinstance(value, str | bytes):  # a class of its own, such as marked-up text
        return _BY_TYPE[str if isinstance(value, str) else bytes](value)
    if isinstance(value, Iterator):
        return Response(value, 200, TEXT)
    return _json(value)


def respond(value: Any, status: int = 200, headers: Iterable[tuple[str, str]] = ()) -> Response:
    """What ``value`` would become if a handler returned it, with this status and these fields: ``respond({"id": 7}, 201)``."""
    found = render(value)
    return Response(found.body, status, found.content_type, (*found.headers, *headers))


class _Begun(Iterator[bytes | str]):
    """The parts of a generator whose first is made already."""

    __slots__ = ("_first", "_rest")

    def __init__(self, first: bytes | str, rest: GeneratorType[bytes | str, None, None]) -> None:
        self._first: bytes | str | None = first
        self._rest = rest

    def __next__(self) -> bytes | str:
        first, self._first = self._first, None
        return next(self._rest) if first is None else first

    def close(self) -> None:
        self._rest.close()


def begin(response: Response, request: Request) -> None:
    """Have the first part of a body made that is a generator, while an error in it can still be answered by whoever answers errors."""
    body = response.body
    if type(body) is GeneratorType and request.method != "HEAD":
        response.body = _Begun(next(body, b""), body)


def _json(value: Any) -> Response:
    return Response(_encode(value), 200, JSON)


def _none(value: None) -> Response:
    return Response(b"", 204, "")


_BY_TYPE: dict[type, Callable[[Any], Response]] = {
    dict: _json,
    list: _json,
    Response: lambda value: value,
    str: lambda value: Response(value, 200, TEXT),
    bytes: lambda value: Response(value, 200, BYTES),
    type(None): _none,
}
