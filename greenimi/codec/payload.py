"""What the bytes of a message mean: JSON, MessagePack, text, or nothing at all.

JSON and MessagePack tell what msgspec tells: mappings, lists, dataclasses, ``msgspec.Struct``, Enum, datetime, UUID, Decimal.  NaN and the
infinities have no JSON and become ``null``; received as literals they are refused.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, NoReturn

import msgspec
from zope.interface import implementer

from greenimi.codec.base import load_class
from greenimi.errors import BadMessage, ConfigError
from greenimi.interfaces import IPayload


def _unknown_type(value: Any) -> NoReturn:
    raise TypeError(f"cannot encode a {type(value).__module__}.{type(value).__qualname__}")


class _Structured:
    """What JSON and MessagePack have in common: kept coders of msgspec, and their errors in our words."""

    name: str
    title: str

    def __init__(self, decoder: Any, encoder: Any) -> None:
        self._decode = decoder.decode
        self._encode = encoder.encode

    def decode(self, raw: bytes | str) -> Any:
        """The value.  Raises BadMessage."""
        try:
            return self._decode(raw)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise BadMessage(f"the payload is not valid {self.title}: {error}") from None
        except RecursionError:
            raise BadMessage(f"the payload is not valid {self.title}: nested too deeply") from None

    def encode(self, value: Any) -> bytes:
        """The bytes.  Raises TypeError, naming the type, for a value that cannot be told."""
        try:
            return self._encode(value)  # type: ignore[no-any-return]
        except (OverflowError, UnicodeError) as error:
            raise TypeError(f"cannot encode this {type(value).__qualname__} as {self.title}: {error}") from error
        except RecursionError:
            raise TypeError(f"cannot encode this {type(value).__qualname__} as {self.title}: nested too deeply, or within itself") from None


@implementer(IPayload)
class Json(_Structured):
    """JSON in UTF-8."""

    name = "json"
    title = "JSON"
    text = True

    def __init__(self) -> None:
        super().__init__(msgspec.json.Decoder(), msgspec.json.Encoder(enc_hook=_unknown_type))


@implementer(IPayload)
class MsgPack(_Structured):
    """MessagePack."""

    name = "msgpack"
    title = "MessagePack"
    text = False

    def __init__(self) -> None:
        super().__init__(msgspec.msgpack.Decoder(), msgspec.msgpack.Encoder(enc_hook=_unknown_type))

    def decode(self, raw: bytes | str) -> Any:
        """The value.  Raises BadMessage, also for a text message."""
        if isinstance(raw, str):
            raise BadMessage("the payload is not valid MessagePack: it came as text")
        return super().decode(raw)


@implementer(IPayload)
class Text:
    """Text in UTF-8, as it is."""

    name = "text"
    text = True

    def decode(self, raw: bytes | str) -> str:
        """The text.  Raises BadMessage."""
        if isinstance(raw, str):
            return raw
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise BadMessage(f"the payload is not UTF-8: {error.reason} at byte {error.start}") from None

    def encode(self, value: Any) -> bytes:
        """The bytes.  Raises TypeError for anything but str."""
        if not isinstance(value, str):
            raise TypeError(f"a text payload takes str, not {type(value).__qualname__}")
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            raise TypeError(f"a text payload takes text that UTF-8 can tell: {error.reason}") from error


@implementer(IPayload)
class Raw:
    """Bytes, as they are.  A text message is handed out in UTF-8."""

    name = "raw"
    text = False

    def decode(self, raw: bytes | str) -> bytes:
        """The bytes."""
        return raw.encode() if isinstance(raw, str) else raw

    def encode(self, value: Any) -> bytes:
        """The bytes.  Raises TypeError for anything but bytes, bytearray and memoryview."""
        if type(value) is bytes:
            return value
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise TypeError(f"a raw payload takes bytes, not {type(value).__qualname__}")
        return bytes(value)


PAYLOADS: dict[str, Any] = {kind.name: kind for kind in (Json, MsgPack, Text, Raw)}


def payload_from(name: str) -> Any:
    """A new payload codec: json, msgpack, text, raw, or your own class as ``"package.module:Class"`` (IPayload, no arguments).

    Raises ConfigError naming what is wrong.
    """
    if ":" not in name:
        if name not in PAYLOADS:
            close = get_close_matches(name, PAYLOADS, 1)
            hint = f"did you mean {close[0]}?" if close else f"one of {', '.join(PAYLOADS)} or package.module:Class"
            raise ConfigError(f"unknown payload {name!r}", hint=hint)
        return PAYLOADS[name]()
    try:
        payload = load_class(name, "payload")()
    except TypeError as error:
        raise ConfigError(f"payload {name}: {error}") from error
    for member in ("name", "text", "decode", "encode"):
        if not hasattr(payload, member):
            raise ConfigError(f"payload {name} has no {member}")
    return payload
