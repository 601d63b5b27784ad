"""Files as the bodies of responses: opened safely, conditional, whole or in ranges."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from greenimi import green
from greenimi.errors import NotFound, Refusal, Refused
from greenimi.message import Request, Response
from greenimi.web.conditional import check_conditions, entity_tag, range_is_current, validators
from greenimi.web.ranges import Span, parse_range

_PIECE = 1 << 17
"""Bytes that are read at once."""

_SMALL = 1 << 15
"""Files up to this size are read whole: one send with their head costs less than asking the kernel to send them."""

_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe must not keep us waiting until we know what it is

_close = green.native_close()

_NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM})
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO})


class FileBody(Iterator[bytes]):
    """``length`` bytes from ``offset`` of an open regular file, as the body of a response.  Owns its ``descriptor``.

    A server may send these bytes from the descriptor itself; taken as an iterator it reads them off in pieces and lets others run in
    between.  Raises EOFError where the file has become shorter.
    """

    def __init__(self, descriptor: int, tag: str = "", facts: os.stat_result | None = None) -> None:
        """Takes over the ``descriptor`` of a regular file.  ``tag`` goes into its entity tag, to tell two forms of a thing apart.

        ``facts`` are what ``os.fstat`` says of it, where that was asked already.
        """
        self.descriptor = descriptor
        found = facts or os.fstat(descriptor)
        self.offset = 0
        self.length = found.st_size
        self.modified = found.st_mtime
        self.etag = entity_tag(f"{found.st_mtime_ns:x}-{found.st_size:x}{tag}")
        self._begun = False

    def take(self, start: int, length: int) -> None:
        """Leave only these bytes of it."""
        self.offset += start
        self.length = length

    def read(self) -> bytes:
        """All of it at once; for what is small."""
        data = os.pread(self.descriptor, self.length, self.offset)
        if len(data) < self.length:
            raise EOFError(f"the file ends {self.length - len(data)} bytes before what was promised")
        return data

    def __next__(self) -> bytes:
        if not self.length:
            raise StopIteration
        if self._begun:
            green.sleep(0)  # a client that reads as fast as we do would keep the others waiting
        self._begun = True
        data = os.pread(self.descriptor, min(self.length, _PIECE), self.offset)
        if not data:
            raise EOFError(f"the file ends {self.length} bytes before what was promised")
        self.offset += len(data)
        self.length -= len(data)
        return data

    def close(self) -> None:
        """Give the descriptor back.  Idempotent."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            _close(descriptor)

    def __del__(self) -> None:  # of a response that was never sent
        with suppress(AttributeError, OSError):
            self.close()


class _Parts(Iterator[bytes]):
    """Several ranges of a file as multipart/byteranges (RFC 9110 section 14.6)."""

    def __init__(self, body: FileBody, spans: Sequence[Span], content_type: str) -> None:
        size, begin = body.length, body.offset
        self.boundary = secrets.token_hex(16)
        kind = f"Content-Type: {content_type}\r\n" if content_type else ""
        self._heads = [
            f"\r\n--{self.boundary}\r\n{kind}Content-Range: {span.content_range(size)}\r\n\r\n".encode("latin-1") for span in spans
        ]
        self._end = f"\r\n--{self.boundary}--\r\n".encode()
        self.length = sum(map(len, self._heads)) + sum(span.length for span in spans) + len(self._end)
        self._body = body
        self._pieces = self._make(begin, spans)

    def _make(self, begin: int, spans: Sequence[Span]) -> Iterator[bytes]:
        for head, span in zip(self._heads, spans, strict=True):
            yield head
            self._body.offset = begin
            self._body.take(span.start, span.length)
            yield from self._body
        yield self._end

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        self._body.close()


def answer_with(request: Request, body: FileBody, content_type: str, headers: Iterable[tuple[str, str]] = ()) -> Response:
    """200, 206 or 304 with a file, as a request asks.  Raises Refusal: 412 when a precondition fails, 416 for ranges that are not there.

    Takes over ``body``.  ``headers`` go with all of them.
    """
    try:
        return _answer(request, body, content_type, headers)
    except BaseException:
        body.close()
        raise


def _answer(request: Request, body: FileBody, content_type: str, headers: Iterable[tuple[str, str]]) -> Response:
    fields = [*validators(body.etag, body.modified), ("Accept-Ranges", "bytes"), ("X-Content-Type-Options", "nosniff"), *headers]
    unchanged = check_conditions(request, body.etag, body.modified, headers=fields[2:])
    if unchanged is not None:
        body.close()
        return unchanged
    spans = None
    asked = request.headers.get("range") if request.method == "GET" else None
    if asked is not None and range_is_current(request.headers, body.etag, body.modified):
        spans = parse_range(asked, body.length)
    if spans is None:
        return whole(request, body, 200, content_type, fields)
    if not spans:
        size = ("Content-Range", f"bytes */{body.length}")
        raise Refusal(f"there are {body.length} bytes, and none of the range", status=416, headers=[size])
    if len(spans) == 1:
        fields.append(("Content-Range", spans[0].content_range(body.length)))
        body.take(spans[0].start, spans[0].length)
        return whole(request, body, 206, content_type, fields)
    parts = _Parts(body, spans, content_type)
    kind = f"multipart/byteranges; boundary={parts.boundary}"
    return Response(parts, 206, kind, [*fields, ("Content-Length", str(parts.length))])


def whole(request: Request, body: FileBody, status: int, content_type: str, fields: Iterable[tuple[str, str]]) -> Response:
    """All bytes of ``body``, whatever the request says of conditions and ranges."""
    length = body.length
    if length > _SMALL or request.method == "HEAD":
        return Response(body, status, content_type, [*fields, ("Content-Length", str(length))])
    data = body.read()
    body.close()
    return Response(data, status, content_type, fields)


# -- opening -------------------------------------------------------------------------------------------------------
def open_file(path: str | Path) -> FileBody:
    """A file that the application itself names, by whatever links.  Raises NotFound, Refused (403) when it may not be read."""
    try:
        return regular(os.open(path, _FILE & ~os.O_NOFOLLOW))
    except OSError as error:
        raise refusal(error, Path(path).name) from None


def open_below(folder: str | Path, path: str, *, links: bool = False) -> FileBody:
    """The file at ``path`` below ``folder``, whatever a client made of that path.  Raises NotFound, Refused (403) when it may not be read.

    No symbolic link is followed below the folder; with ``links`` those are that stay in it.
    """
    try:
        return regular(descend(folder, names_in(path), links=links))
    except OSError as error:
        raise refusal(error, path) from None


def names_in(path: str) -> list[str]:
    """The names in a path.  NotFound for empty names, ``.``, ``..``, and where there is a NUL or a backslash."""
    names = path.split("/")
    if "\0" in path or "\\" in path or any(name in ("", ".", "..") for name in names):
        raise NotFound(f"nothing at {path[:200]}")
    return names


def descend(folder: str | Path, names: Sequence[str], *, links: bool = False) -> int:
    """A descriptor of what the names lead to: a file, or a folder.  Raises OSError.

    Each name is opened in the folder before it and never followed, so nothing that happens on the disk meanwhile leads out of ``folder``.
    With ``links`` the names are those that the links come to.
    """
    if links:
        root = os.path.realpath(folder)
        real = os.path.realpath(os.path.join(root, *names))  # noqa: PTH118 - pathlib would make ten objects of it
        if not real.startswith(root.rstrip("/") + "/"):
            raise FileNotFoundError(errno.ENOENT, "a link leads out of the folder")
        folder, names = root, real[len(root.rstrip("/")) + 1 :].split("/")
    here = os.open(folder, _FOLDER & ~os.O_NOFOLLOW)
    try:
        for name in names[:-1]:
            inner = os.open(name, _FOLDER, dir_fd=here)
            _close(here)
            here = inner
        return os.open(names[-1], _FILE, dir_fd=here)
    finally:
        _close(here)


def regular(descriptor: int, tag: str = "") -> FileBody:
    """The file of a descriptor.  IsADirectoryError, FileNotFoundError when it is none; the descriptor is closed then."""
    facts = os.fstat(descriptor)
    if stat.S_ISREG(facts.st_mode):
        return FileBody(descriptor, tag, facts)
    _close(descriptor)
    if stat.S_ISDIR(facts.st_mode):
        raise IsADirectoryError(errno.EISDIR, "a folder")
    raise FileNotFoundError(errno.ENOENT, "neither a file nor a folder")


def refusal(error: OSError, path: str) -> Refusal:
    """What a client is told of a file that cannot be opened.  Raises the error when it is not the client's matter."""
    if error.errno in _NOT_ALLOWED:
        return Refused(f"{path[:200]} may not be read")
    if error.errno in _NOT_THERE:
        return NotFound(f"nothing at {path[:200]}")
    raise error
