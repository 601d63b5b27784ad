"""How packets are cut out of a byte stream, and put into it.

Every framing has a ``limit`` for packets that come in and a ``send_limit`` for those that go out: the bytes of one packet as the
application sees it.  A framing holds no state of a connection, so one object serves all of them; what is unfinished is kept by the
connection's ``PacketCodec``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from inspect import signature
from typing import Any, Literal

from zope.interface import implementer

from greenimi.codec.base import load_class
from greenimi.errors import ConfigError, ProtocolError
from greenimi.interfaces import IFraming

MAX_PACKET = 1 << 20


@implementer(IFraming)
class Framing(ABC):
    """A framing that stays fast when large packets arrive in small pieces.

    Subclass it for your own protocol, or write any class with IFraming's ``cut`` and ``wrap`` where packets are small.

    limit       bytes of one packet that comes in; the peer's fault when it is larger
    send_limit  bytes of one packet that goes out, by default as many; the sender's fault when it is larger
    """

    def __init__(self, limit: int = MAX_PACKET, send_limit: int | None = None) -> None:
        for name, value in (("limit", limit), ("send_limit", send_limit)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        self.limit = limit
        self.send_limit = limit if send_limit is None else send_limit

    @abstractmethod
    def split(self, data: bytes, packets: list[bytes]) -> bytes:
        """Append every complete packet to ``packets`` and return the unfinished rest.

        Raises ProtocolError, with the packets before it appended, as soon as one is malformed or sure to go over the limit.
        """

    @abstractmethod
    def ready(self, rest: bytearray, fresh: int) -> bool:
        """Whether ``split`` has something to do: complete a packet, or raise.

        ``rest`` begins with what ``split`` returned; its last ``fresh`` bytes are new since this was asked last.
        """

    @abstractmethod
    def wrap(self, packet: bytes) -> bytes:
        """The packet as it goes out.  ValueError for a packet that the framing cannot carry, or that is over ``send_limit``."""

    def cut(self, buffer: bytes) -> tuple[list[bytes], bytes]:
        """Every complete packet at the front of ``buffer`` and what is left."""
        packets: list[bytes] = []
        rest = self.split(buffer, packets)
        return packets, rest

    def _too_large(self) -> ProtocolError:
        return ProtocolError(f"a packet is over the limit of {self.limit} bytes", status=413, code=1009)

    def _cannot_send(self, packet: bytes) -> ValueError:
        return ValueError(f"a packet of {len(packet)} bytes is over the limit of {self.send_limit} bytes for what is sent")


class Delimiter(Framing):
    """Packets end with ``delimiter``.  An empty packet is a packet."""

    def __init__(self, delimiter: bytes | str, limit: int = MAX_PACKET, send_limit: int | None = None) -> None:
        super().__init__(limit, send_limit)
        self.delimiter = delimiter.encode() if isinstance(delimiter, str) else delimiter
        if not self.delimiter:
            raise ValueError("delimiter must not be empty")
        # An unfinished packet may already end with all of its delimiter but the last byte.
        self._longest_rest = limit + len(self.delimiter) - 1

    def split(self, data: bytes, packets: list[bytes]) -> bytes:
        found = data.split(self.delimiter)
        rest = found.pop()
        self._keep(found, packets, len(data))
        if len(rest) > self._longest_rest:
            raise self._too_large()
        return rest

    def _keep(self, found: list[bytes], packets: list[bytes], size: int) -> None:
        """Append what was found up to the first packet over the limit.  ``size``: no packet can be larger."""
        if size > self.limit:
            for position, packet in enumerate(found):
                if len(packet) > self.limit:
                    packets += found[:position]
                    raise self._too_large()
        packets += found

    def ready(self, rest: bytearray, fresh: int) -> bool:
        begin = max(0, len(rest) - fresh - len(self.delimiter) + 1)
        return rest.find(self.delimiter, begin) >= 0 or len(rest) > self._longest_rest

    def wrap(self, packet: bytes) -> bytes:
        if len(packet) > self.send_limit:
            raise self._cannot_send(packet)
        framed = packet + self.delimiter
        if framed.find(self.delimiter) != len(packet):
            raise ValueError(f"a packet must not contain the delimiter {self.delimiter!r}")
        return framed


class Line(Delimiter):
    """Packets are lines.  They go out with LF; a CR before an incoming LF is taken for part of the line's end."""

    def __init__(self, limit: int = MAX_PACKET, send_limit: int | None = None) -> None:
        super().__init__(b"\n", limit, send_limit)
        self._longest_rest = limit + 1  # with its CR

    def split(self, data: bytes, packets: list[bytes]) -> bytes:
        end = data.find(b"\n")
        if 0 <= end == len(data) - 1 <= self.limit:  # one whole line, as most reads bring
            packets.append(data[:-2] if data.endswith(b"\r\n") else data[:-1])
            return b""
        if b"\r" not in data:
            return super().split(data, packets)
        found = data.split(b"\n")
        rest = found.pop()
        self._keep([line[:-1] if line.endswith(b"\r") else line for line in found], packets, len(data))
        if len(rest) > self._longest_rest:
            raise self._too_large()
        return rest


class LengthPrefix(Framing):
    """A number of ``bits`` (8, 16 or 32) tells how long a packet is.

    offset       bytes before the number; they belong to the packet, in both directions: packet[:offset] number packet[offset:]
    body_offset  where the bytes that the number counts begin, from the start of the packet on the wire.
                 None: right behind the number, so that it counts what follows.  0: it counts everything, itself included.
    """

    def __init__(
        self,
        bits: int = 32,
        byteorder: Literal["big", "little"] = "big",
        offset: int = 0,
        body_offset: int | None = None,
        limit: int = MAX_PACKET,
        send_limit: int | None = None,
    ) -> None:
        super().__init__(limit, send_limit)
        if bits not in (8, 16, 32):
            raise ValueError(f"bits must be 8, 16 or 32, not {bits}")
        if byteorder not in ("big", "little"):
            raise ValueError(f'byteorder must be "big" or "little", not {byteorder!r}')
        if offset < 0 or (body_offset is not None and body_offset < 0):
            raise ValueError("offset and body_offset must not be negative")
        self.offset = offset
        self._byteorder = byteorder
        self._width = bits // 8
        self._head = offset + self._width
        self._counted_from = self._head if body_offset is None else body_offset

    def _total(self, data: bytes | bytearray, at: int) -> int:
        """Bytes on the wire of the packet at ``at``, whose head is there."""
        total = int.from_bytes(data[at + self.offset : at + self._head], self._byteorder) + self._counted_from
        if total < self._head:
            raise ProtocolError(f"a packet tells a length of {total} bytes, its head alone has {self._head}")
        if total - self._width > self.limit:
            raise self._too_large()
        return total

    def split(self, data: bytes, packets: list[bytes]) -> bytes:
        at = 0
        end = len(data)
        head = self._head
        offset = self.offset
        while end - at >= head:
            stop = at + self._total(data, at)
            if stop > end:
                break
            body = data[at + head : stop]
            packets.append(data[at : at + offset] + body if offset else body)
            at = stop
        return data[at:]

    def ready(self, rest: bytearray, fresh: int) -> bool:
        if len(rest) < self._head:
            return False
        try:
            return len(rest) >= self._total(rest, 0)
        except ProtocolError:
            return True

    def wrap(self, packet: bytes) -> bytes:
        if len(packet) > self.send_limit:
            raise self._cannot_send(packet)
        number = len(packet) + self._width - self._counted_from
        if len(packet) < self.offset or number < 0:
            raise ValueError(f"a packet of {len(packet)} bytes is shorter than its head")
        try:
            prefix = number.to_bytes(self._width, self._byteorder)
        except OverflowError:
            raise ValueError(f"a packet of {len(packet)} bytes is too long for a length of {self._width * 8} bits") from None
        offset = self.offset
        return packet[:offset] + prefix + packet[offset:] if offset else prefix + packet


class Fixed(Framing):
    """Every packet has ``size`` bytes."""

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1, not {size}")
        super().__init__(size)
        self.size = size

    def split(self, data: bytes, packets: list[bytes]) -> bytes:
        size = self.size
        whole = len(data) - len(data) % size
        packets += [data[at : at + size] for at in range(0, whole, size)]
        return data[whole:]

    def ready(self, rest: bytearray, fresh: int) -> bool:
        return len(rest) >= self.size

    def wrap(self, packet: bytes) -> bytes:
        if len(packet) != self.size:
            raise ValueError(f"a packet must have {self.size} bytes, not {len(packet)}")
        return packet


class _Custom(Framing):
    """Somebody's own ``cut`` and ``wrap``, asked again at every read.

    Packets, and what is unfinished, are bounded by its ``limit``, what it sends by its ``send_limit``, where it has them.
    """

    def __init__(self, framing: Any) -> None:
        super().__init__(getattr(framing, "limit", MAX_PACKET), getattr(framing, "send_limit", None))
        self._framing = framing
        self._name = type(framing).__name__

    def split(self, data: bytes, packets: list[bytes]) -> bytes:
        try:
            found, rest = self._framing.cut(data)
            cut = [_as_bytes(packet) for packet in found]
            left = _as_bytes(rest)
        except ProtocolError:
            raise
        except Exception as error:
            raise ProtocolError(f"{self._name} cannot cut packets: {error!r}") from error
        for packet in cut:
            if len(packet) > self.limit:
                raise self._too_large()
            packets.append(packet)
        if len(left) > self.limit:
            raise self._too_large()
        return left

    def ready(self, rest: bytearray, fresh: int) -> bool:
        return True

    def wrap(self, packet: bytes) -> bytes:
        if len(packet) > self.send_limit:
            raise self._cannot_send(packet)
        try:
            return _as_bytes(self._framing.wrap(packet))
        except Exception as error:
            raise ValueError(f"{self._name} cannot wrap a packet of {len(packet)} bytes: {error!r}") from error


def _as_bytes(found: Any) -> bytes:
    """Raises TypeError for what is no bytes: ``bytes(5)`` would be five zeros."""
    return found if type(found) is bytes else bytes(memoryview(found))


def framing_of(framing: Any) -> Framing:
    """``framing`` itself, or what makes a Framing of somebody's own ``cut`` and ``wrap``."""
    return framing if isinstance(framing, Framing) else _Custom(framing)


# -- from configuration --------------------------------------------------------------------------------------------

_KINDS: dict[str, tuple[type[Framing], dict[str, Any]]] = {
    "line": (Line, {}),
    "delimiter": (Delimiter, {}),
    "length": (LengthPrefix, {}),
    "length8": (LengthPrefix, {"bits": 8}),
    "length16": (LengthPrefix, {"bits": 16}),
    "length32": (LengthPrefix, {"bits": 32}),
    "fixed": (Fixed, {}),
}
_TEXT_KEYS = ("delimiter", "byteorder")


def framing_from(settings: str | Mapping[str, Any]) -> Any:
    """The framing that ``settings`` describe: a kind, or a table with ``kind`` and the arguments of its class.

    Kinds: line, delimiter, length (``bits``), length8, length16, length32, fixed, or ``"package.module:name"``: a class or a function that
    makes something with ``cut`` and ``wrap`` of the other keys.  Raises ConfigError naming the kind and the key.
    """
    table: Mapping[str, Any] = {"kind": settings} if isinstance(settings, str) else settings
    options = {name: value for name, value in table.items() if name != "kind"}
    kind = table.get("kind")
    if not isinstance(kind, str):
        raise ConfigError(f"a framing needs a kind: {', '.join(_KINDS)} or package.module:Class")
    if ":" in kind:
        return _custom(kind, options)
    if kind not in _KINDS:
        raise ConfigError(f"unknown framing {kind!r}", hint=_suggest(kind, _KINDS) or f"one of {', '.join(_KINDS)} or package.module:Class")
    factory, fixed = _KINDS[kind]
    known = [name for name in signature(factory).parameters if name not in fixed]
    for name, value in options.items():
        if name not in known:
            raise ConfigError(f"unknown key {name} for framing {kind}", hint=_suggest(name, known))
        wanted = str if name in _TEXT_KEYS else int
        if type(value) is not wanted:
            raise ConfigError(f"framing {kind}: {name} must be of type {wanted.__name__}, not {type(value).__name__}")
    return _make(kind, factory, {**fixed, **options})


def _suggest(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(word, list(known), 1)
    return f"did you mean {close[0]}?" if close else ""


def _make(kind: str, factory: Any, options: Mapping[str, Any]) -> Any:
    try:
        return factory(**options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"framing {kind}: {error}") from error


def _custom(kind: str, options: Mapping[str, Any]) -> Any:
    framing = _make(kind, load_class(kind, "framing"), options)
    for method in ("cut", "wrap"):
        if not callable(getattr(framing, method, None)):
            raise ConfigError(f"framing {kind} has no method {method}()")
    return framing
