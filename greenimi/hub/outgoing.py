"""One message on its way to many: encoded once for each payload, framed once for each dialect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from greenimi.errors import BadMessage
from greenimi.interfaces import IDialect, IPayload
from greenimi.message import Reply

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_NOTHING: Any = object()
_NONE: Mapping[str, IPayload] = {}


def envelope(data: Any, event: str | None, group: str = "", offset: int = 0) -> Any:
    """What is encoded for ``data``: itself, unless there is more to tell."""
    if event is None and not offset:
        return data
    told: dict[str, Any] = {} if event is None else {"event": event}
    told["data"] = data
    if group:
        told["group"] = group
    if offset:
        told["offset"] = offset
    return told


class Outgoing:
    """Made of a value, of a Reply, or of what another process made of one.

    key    see ``IConnection.push``
    error  why it could not be encoded for some connection
    """

    __slots__ = ("_bodies", "_data", "_frames", "_known", "_value", "error", "key", "raw")

    def __init__(
        self,
        data: Any = _NOTHING,
        key: str | None = None,
        *,
        raw: bytes | str | None = None,
        bodies: dict[str, bytes] | None = None,
        value: bytes | None = None,
        known: Mapping[str, IPayload] = _NONE,
    ) -> None:
        """``value`` is the data in MessagePack, ``bodies`` what payloads made of it, by their names; ``known`` can read some of them."""
        if type(data) is Reply:
            if not isinstance(data.raw, bytes | str):
                raise TypeError("parts that are made as they go can be sent to one client only, by its own handler")
            raw = data.raw
        self.raw = raw
        self.key = key
        self.error: Exception | None = None
        self._data = data
        self._value = value
        self._known = known
        self._bodies: dict[str, bytes] = {} if bodies is None else bodies
        self._frames: dict[IDialect, bytes | None] = {}

    def framed(self, dialect: IDialect) -> bytes | None:
        """What goes over the wire; None when connections of this dialect cannot be told, see ``error``."""
        found = self._frames.get(dialect, _NOTHING)
        if found is _NOTHING:
            found = self._frames[dialect] = self._frame(dialect)
        return found  # type: ignore[no-any-return]

    def _frame(self, dialect: IDialect) -> bytes | None:
        try:
            if self.raw is not None:
                return dialect.frame_raw(self.raw)
            return dialect.frame(self.body(dialect.payload))
        except (TypeError, ValueError) as error:
            self.error = error
            return None

    def body(self, payload: IPayload) -> bytes:
        """What the payload makes of the data.  Raises TypeError when it cannot tell it."""
        found = self._bodies.get(payload.name)
        if found is None:
            if self._data is _NOTHING:
                self._data = self._decoded()
            found = self._bodies[payload.name] = payload.encode(self._data)
        return found

    def _decoded(self) -> Any:
        if self._value is not None:
            return _decode(self._value)
        for name, body in self._bodies.items():
            if name in self._known:
                try:
                    return self._known[name].decode(body)
                except BadMessage:
                    pass  # it writes what it does not read
        raise TypeError("the sender knows none of the payloads of this process")

    def bodies(self, payloads: Iterable[IPayload]) -> dict[str, bytes]:
        """For other processes: what those payloads make of it that can tell it.  Raises TypeError when none can."""
        for payload in payloads:
            try:
                self.body(payload)
            except TypeError as error:
                self.error = error
        if not self._bodies and self.error is not None:
            raise self.error
        return self._bodies

    def value(self) -> bytes:
        """The data in MessagePack, for processes that have other payloads than this one.  Raises TypeError."""
        if self._value is None:
            self._value = _encode(self._data)
        return self._value
