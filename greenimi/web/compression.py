"""The layers that compress bodies of answers and decompress those of requests."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from fnmatch import translate
from re import compile as compile_pattern

from greenimi import green
from greenimi.errors import BadMessage, Refusal, TooLarge
from greenimi.message import Body, Request, Response
from greenimi.web.accept import best_coding
from greenimi.web.codings import Compressor, compressors
from greenimi.web.conditional import weakened
from greenimi.web.files import FileBody
from greenimi.web.settings import CompressionSettings
from greenimi.web.sse import LiveBody

_NEVER = frozenset({101, 204, 205, 206, 304})
_AS_IT_IS = frozenset({"content-encoding", "content-range", "content-digest", "repr-digest", "digest"})
"""Fields that say something of the very bytes of a body."""

_GONE = frozenset({"content-length", "accept-ranges", "vary", "etag"})
"""Fields that are not those of the body as it is."""

_SLICE = 1 << 16
"""Bytes compressed before others have their turn: some milliseconds."""


class CompressionLayer:
    """An outer layer: bodies of answers in the best content coding that the client takes (RFC 9110 section 12.5.3).

    Left alone are bodies of other types than those of conf, small ones, those that are compressed already, parts of bodies, and those
    whose Cache-Control forbids it (``no-transform``).  What is sent in parts stays so: each part can be read as soon as it arrives.
    An entity tag becomes weak.
    """

    def __init__(self, settings: CompressionSettings) -> None:
        """Raises ConfigError, MissingExtra."""
        self._makers = compressors(settings.codings, settings.level)
        self._codings = tuple(self._makers)
        self._minimum = settings.minimum
        self._is_compressible = compile_pattern("|".join(translate(kind.lower()) for kind in settings.types) or "(?!)").match
        self._kinds: dict[str, bool] = {}

    def __call__(self, request: Request, proceed: Callable[[Request], Response]) -> Response:
        response = proceed(request)
        if response.status in _NEVER:
            return _varying(response) if self._could_vary(response) else response
        body = response.body
        if (isinstance(body, bytes | str) and len(body) < self._minimum) or not self._takes(response.content_type):
            return response
        for name, value in response.headers:
            lowered = name.lower()
            if lowered in _AS_IT_IS or (lowered == "cache-control" and "no-transform" in value.lower()):
                return response
        coding = best_coding(request.headers.get("accept-encoding", ""), self._codings)
        if coding is None:
            return _varying(response)
        fields = [field for field in response.headers if field[0].lower() not in _GONE]
        fields += [("ETag", weakened(value)) for name, value in response.headers if name.lower() == "etag"]
        fields += [("Content-Encoding", coding), _vary(response)]
        packed = _packed(body, self._makers[coding]())
        return Response(packed, response.status, response.content_type, fields, response.trailers)

    def _could_vary(self, response: Response) -> bool:
        """Whether the 200 that it stands for, or is a part of, could have been compressed."""
        if response.status == 206:
            return self._takes(response.content_type) or response.content_type.startswith("multipart/byteranges")
        return response.status == 304

    def _takes(self, content_type: str) -> bool:
        known = self._kinds.get(content_type)
        if known is None:
            known = self._is_compressible(content_type.partition(";")[0].strip().lower()) is not None
            if len(self._kinds) < 256:
                self._kinds[content_type] = known
        return known


def _vary(response: Response) -> tuple[str, str]:
    values = [value for name, value in response.headers if name.lower() == "vary"]
    names = {name.strip().lower() for value in values for name in value.split(",")}
    return "Vary", ", ".join(values if "accept-encoding" in names or "*" in names else [*values, "Accept-Encoding"])


def _varying(response: Response) -> Response:
    """The same, saying that it depends on Accept-Encoding."""
    fields = [field for field in response.headers if field[0].lower() != "vary"]
    return Response(response.body, response.status, response.content_type, [*fields, _vary(response)], response.trailers)


def _packed(body: bytes | str | Iterable[bytes | str], compressor: Compressor) -> bytes | Iterator[bytes]:
    if isinstance(body, str):
        body = body.encode()
    if isinstance(body, bytes):
        found = []
        for at in range(0, len(body), _SLICE):
            if at:
                green.sleep(0)
            found.append(compressor.part(body[at : at + _SLICE], flush=False))
        return b"".join((*found, compressor.end()))
    if isinstance(body, LiveBody):
        return _PackedLive(body, compressor)
    return _PackedParts(body, compressor, flush=not isinstance(body, FileBody))


class _PackedParts(Iterator[bytes]):
    """A body in parts, compressed.  ``flush``: each part is complete at once."""

    def __init__(self, body: Iterable[bytes | str], compressor: Compressor, *, flush: bool) -> None:
        self._body = iter(body)
        self._compressor: Compressor | None = compressor
        self._flush = flush

    def __next__(self) -> bytes:
        if self._compressor is None:
            raise StopIteration
        for part in self._body:
            packed = self._pack(part.encode() if isinstance(part, str) else part)
            if packed:
                return packed
        compressor, self._compressor = self._compressor, None
        return compressor.end()

    def _pack(self, data: bytes) -> bytes:
        if not data or self._compressor is None:
            return b""
        return self._compressor.part(data, flush=self._flush)

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            close()


class _PackedLive(_PackedParts, LiveBody):
    """A live body, compressed."""

    def __init__(self, body: LiveBody, compressor: Compressor) -> None:
        super().__init__(body, compressor, flush=True)
        self.heartbeat = body.heartbeat
        self._live = body

    def beat(self) -> bytes:
        return self._pack(self._live.beat())

    def goodbye(self) -> bytes:
        last = self._pack(self._live.goodbye())
        compressor, self._compressor = self._compressor, None
        return last + (compressor.end() if compressor is not None else b"")


# -- requests ------------------------------------------------------------------------------------------------------
class DecompressionLayer:
    """An inner layer: those inside find the bodies of requests without their gzip.  Raises Refusal (415) for other codings.

    A body becomes ``limit`` bytes at most, and at no time more than ``ratio`` times what has arrived of it: over that, reading it raises
    TooLarge (413).
    """

    def __init__(self, limit: int, ratio: int) -> None:
        self._limit = limit
        self._ratio = ratio

    def __call__(self, request: Request, proceed: Callable[[Request], object]) -> object:
        if request.stream is None:
            return proceed(request)
        coding = request.headers.get("content-encoding", "identity").strip().lower()
        if coding in ("gzip", "x-gzip"):
            request.stream = GzipBody(request.stream, self._limit, self._ratio)
            request.head = "\r\n".join(line for line in request.head.split("\r\n") if not line.lower().startswith(_OF_THE_PACKED))
            request._headers = None  # taken from the head again
        elif coding not in ("identity", ""):
            raise Refusal(f"the content coding {coding[:40]} is not supported", status=415, headers=[("Accept-Encoding", "gzip")])
        return proceed(request)


_OF_THE_PACKED = ("content-encoding:", "content-length:")
_ALLOWANCE = 1 << 16
"""Bytes that a body may become whatever its ratio."""


class GzipBody(Body):
    """A request body out of gzip."""

    __slots__ = ("_inflate", "_limit", "_packed", "_ratio", "_rest")

    def __init__(self, packed: Body, limit: int, ratio: int) -> None:
        super().__init__()
        self._packed = packed
        self._inflate = zlib.decompressobj(wbits=31)
        self._rest = b""
        self._limit = limit
        self._ratio = ratio

    def read_chunk(self) -> bytes:
        """The next bytes, 64 KiB at most; ``b""`` at the end.  Raises BadMessage for what is no gzip, and what a body raises."""
        if self.finished:
            return b""
        while not (data := self._unpack()):
            packed = self._packed.read_chunk()
            if not packed:
                return self._end()
            if self._inflate.eof:
                raise _more_behind()
            self._rest = packed
        self.received += len(data)
        self.check_size(self.received)
        if self.received > min(self._limit, _ALLOWANCE + self._ratio * self._packed.received):
            raise TooLarge(f"the body is over {self._limit} bytes, or grows over {self._ratio} times, when it is decompressed")
        return data

    def _unpack(self) -> bytes:
        """Some of what was read already."""
        try:
            data = self._inflate.decompress(self._rest, _ALLOWANCE)
        except zlib.error as error:
            raise BadMessage(f"the body is not valid gzip: {error}") from None
        self._rest = self._inflate.unconsumed_tail
        if self._inflate.unused_data:
            raise _more_behind()
        return data

    def _end(self) -> bytes:
        if not self._inflate.eof:
            raise BadMessage("the gzip data of the body is incomplete")
        self.trailers = self._packed.trailers
        self.finished = True
        return b""


def _more_behind() -> BadMessage:
    return BadMessage("there is something behind the gzip data of the body")
