"""The access log: a line for each request, written when its answer is out."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from time import localtime, perf_counter, strftime, time
from typing import Any
from urllib.parse import unquote

import msgspec

from greenimi.config.secret import MASK, is_secret
from greenimi.container.context import scope
from greenimi.container.onion import Proceed
from greenimi.errors import ConfigError
from greenimi.log.queue import WriteQueue
from greenimi.log.sinks import FileSink, Sink
from greenimi.message import Request, Response, Upgrade
from greenimi.web.files import FileBody
from greenimi.web.settings import AccessLogSettings
from greenimi.web.through import Through, in_place_of

log = logging.getLogger("greenimi.access")

_PARAMETER = re.compile(r"([?&;]([^?=&;#]*)=)[^&;#]+")  # no ? in a name: each of many would be looked at to the end of the text
_PASSWORD = re.compile(r"(?<=://)[^/@\s]*@")
_UNSAFE = re.compile(r"[^ !#-\[\]-~]")
_encode = msgspec.json.Encoder().encode


class Entry:
    """One request on its way to its line."""

    __slots__ = ("began", "request", "response", "size")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.began = perf_counter()
        self.response: Response | None = None
        self.size = 0

    @property
    def status(self) -> int:
        """503 for a handler that was stopped: then the server answered."""
        return 503 if self.response is None else self.response.status

    def took(self) -> float:
        """Seconds until now."""
        return perf_counter() - self.began


class AccessLog:
    """The outer layer.  A line is made when the scope of a request closes: behind the last byte of the body, or where it was cut off.

    close  writes what waits; to be called at the end
    """

    def __init__(self, settings: AccessLogSettings) -> None:
        """Raises ConfigError for a file that cannot be written."""
        self._line = _FORMATS[settings.format]
        self._write: Callable[[str], None] = log.info
        self.close: Callable[[], None] = _nothing
        if settings.path:
            lines = _FileLines(settings)
            self._write, self.close = lines.write, lines.stop

    def __call__(self, request: Request, proceed: Proceed) -> Any:
        entry = Entry(request)
        scope().defer(self._finish, entry)
        response: Response = proceed(request)
        entry.response = response
        body = response.body
        if request.method == "HEAD":
            pass
        elif isinstance(response, Upgrade):  # a change of protocol, or a guest's file that the kernel sends
            entry.size = sum(int(value) for name, value in response.headers if name.lower() == "content-length")
        elif isinstance(body, bytes):
            entry.size = len(body)
        elif isinstance(body, str):
            entry.size = len(body.encode())
        elif isinstance(body, FileBody):
            entry.size = body.length
        else:
            response.body = in_place_of(body, _Counted(body, entry))
        return response

    def _finish(self, entry: Entry) -> None:
        self._write(self._line(entry))


class _Counted(Through):
    """Counts the bytes of a body on their way."""

    def __init__(self, body: Any, entry: Entry) -> None:
        super().__init__(body)
        self._entry = entry

    def __next__(self) -> bytes:
        part = super().__next__()
        data: bytes = part.encode() if isinstance(part, str) else part
        self._entry.size += len(data)
        return data


class _FileLines:
    """Lines for a file, written by a thread of its own."""

    def __init__(self, settings: AccessLogSettings) -> None:
        self._sink = FileSink(settings.path)
        try:
            self._sink.write(b"")
        except OSError as error:
            raise ConfigError(f"access_log: {error}") from None
        self._queue = WriteQueue(settings.capacity, self._tell)
        self.stop = self._queue.stop

    def write(self, line: str) -> None:
        self._queue.push(self._sink, line.encode() + b"\n", urgent=False)

    def _tell(self, lost: int) -> list[tuple[Sink, bytes]]:
        return [(self._sink, b"# %d lines were lost: too many at once, or they could not be written\n" % lost)]


def _nothing() -> None:
    """Nothing waits."""


# -- lines ---------------------------------------------------------------------------------------------------------


def masked(target: str) -> str:
    """A target, or an address, without passwords and without the values of parameters whose name tells of a secret."""
    if "@" in target:
        target = _PASSWORD.sub(f"{MASK}@", target)
    if "=" not in target:
        return target
    return _PARAMETER.sub(lambda match: f"{match[1]}{MASK}" if is_secret(unquote(match[2])) else match[0], target)


def _escaped(text: str) -> str:
    """What may stand between quotation marks: nothing that ends them, or the line."""
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class _Moments:
    """The time as the common format tells it, made once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def __call__(self) -> str:
        second = int(time())
        if second != self._second:
            self._second = second
            self._text = strftime("%d/%b/%Y:%H:%M:%S %z", localtime(second))
        return self._text


_moment = _Moments()


def _identity(request: Request) -> str:
    identity = request.known_identity
    return "" if identity is None else identity.id


def _common(entry: Entry) -> str:
    request = entry.request
    who = _escaped(_identity(request)).replace(" ", "\\x20") or "-"
    line = f"{request.method} {masked(request.target)} HTTP/{request.version}"
    return f'{request.client or "-"} - {who} [{_moment()}] "{_escaped(line)}" {entry.status} {entry.size} {entry.took():.6f}'


def _combined(entry: Entry) -> str:
    headers = entry.request.headers
    line, _, took = _common(entry).rpartition(" ")
    return f'{line} "{_escaped(masked(headers.get("referer", "-")))}" "{_escaped(headers.get("user-agent", "-"))}" {took}'


def _json(entry: Entry) -> str:
    request = entry.request
    fields: dict[str, Any] = {
        "time": round(time(), 3),
        "client": request.client,
        "identity": _identity(request),
        "method": request.method,
        "target": masked(request.target),
        "version": request.version,
        "status": entry.status,
        "bytes": entry.size,
        "seconds": round(entry.took(), 6),
        "referer": masked(request.headers.get("referer", "")),
        "agent": request.headers.get("user-agent", ""),
        "id": request.id,
    }
    return _encode({name: value for name, value in fields.items() if value != ""}).decode()


_FORMATS: dict[str, Callable[[Entry], str]] = {"common": _common, "combined": _combined, "json": _json}
