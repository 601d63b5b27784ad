"""Content codings: gzip, and what the extras ``brotli`` and ``zstandard`` bring."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

from greenimi.errors import ConfigError, MissingExtra


class Compressor(Protocol):
    """One body on its way.  ``part`` gives bytes from which the other side has all that was put in so far."""

    def part(self, data: bytes, *, flush: bool = True) -> bytes: ...

    def end(self) -> bytes: ...


class _Gzip:
    def __init__(self, level: int) -> None:
        self._inner = zlib.compressobj(level, wbits=31)

    def part(self, data: bytes, *, flush: bool = True) -> bytes:
        found = self._inner.compress(data)
        return found + self._inner.flush(zlib.Z_SYNC_FLUSH) if flush else found

    def end(self) -> bytes:
        return self._inner.flush()


class _Brotli:
    def __init__(self, module: Any, level: int) -> None:
        self._inner = module.Compressor(quality=level)

    def part(self, data: bytes, *, flush: bool = True) -> bytes:
        found: bytes = self._inner.process(data)
        return found + self._inner.flush() if flush else found

    def end(self) -> bytes:
        found: bytes = self._inner.finish()
        return found


class _Zstandard:
    def __init__(self, module: Any, level: int) -> None:
        self._inner = module.ZstdCompressor(level=level).compressobj()
        self._flush = module.COMPRESSOBJ_FLUSH_BLOCK

    def part(self, data: bytes, *, flush: bool = True) -> bytes:
        found: bytes = self._inner.compress(data)
        return found + self._inner.flush(self._flush) if flush else found

    def end(self) -> bytes:
        found: bytes = self._inner.flush()
        return found


_MODULES = {"zstd": "zstandard", "br": "brotli"}
"""What a coding is made by: a module; the extra that brings it has the same name."""

KNOWN = ("zstd", "br", "gzip")


def installed() -> list[str]:
    """Codings that can be made here, the best first."""
    return [coding for coding in KNOWN if coding not in _MODULES or find_spec(_MODULES[coding]) is not None]


def compressors(codings: Sequence[str], level: int) -> dict[str, Callable[[], Compressor]]:
    """What makes a compressor of each coding.  Raises ConfigError, MissingExtra."""
    if not 1 <= level <= 9:
        raise ConfigError(f"compression.level is {level}; it goes from 1 to 9")
    return {coding: _maker(coding, level) for coding in codings or installed()}


def _maker(coding: str, level: int) -> Callable[[], Compressor]:
    if coding == "gzip":
        return lambda: _Gzip(level)
    if coding not in _MODULES:
        raise ConfigError(f"there is no coding {coding!r}", hint=f"known codings: {', '.join(KNOWN)}")
    name = _MODULES[coding]
    try:
        module = import_module(name)
    except ImportError:
        raise MissingExtra(f"the coding {coding} needs {name}", hint=f"pip install greenimi[{name}]") from None
    make = _Brotli if coding == "br" else _Zstandard
    return lambda: make(module, level)
