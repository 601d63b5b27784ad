"""From a request to the environ of a WSGI application (PEP 3333), in one pass over the head."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from greenimi.errors import ProtocolError
from greenimi.message import Body, Request
from greenimi.servers.sockets import Address

if TYPE_CHECKING:
    from _typeshed import SupportsRead, WriteableBuffer

_KNOWN_NAMES = 1024
_LONGEST_NAME = 64  # of those: clients choose them
_keys: dict[str, str] = {}  # from the name of a field, as it was sent, to its key; "" for a field that is left out


def _key(name: str) -> str:
    """The environ's key of a field that was not met before.

    ``X_Real_IP`` and ``X-Real-IP`` would share one, so names with underscores are left out: a proxy that sets the one would let a client's
    other through.  So is ``Proxy``: libraries take HTTP_PROXY for a setting of the machine.
    """
    upper = name.upper().replace("-", "_")
    if "_" in name or upper == "PROXY":
        key = ""
    elif upper in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = upper
    else:
        key = f"HTTP_{upper}"
    if len(_keys) < _KNOWN_NAMES and len(name) <= _LONGEST_NAME:
        _keys[name] = key
    return key


class EnvironMaker:
    """Makes the environ of requests to one application, mounted at ``prefix`` of a server that listens at ``address``."""

    __slots__ = ("_base", "_cut")

    def __init__(self, prefix: str, address: Address) -> None:
        self._cut = len(prefix)
        host = address.host.strip("[]") if address.port else "localhost"
        self._base: dict[str, Any] = {
            "SCRIPT_NAME": prefix,
            "SERVER_NAME": host,
            "SERVER_PORT": str(address.port or 80),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_SOFTWARE": "greenimi",
            "REMOTE_ADDR": "",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.input": _NoInput(BodyReader(_NOTHING)),
        }

    def make(self, request: Request) -> dict[str, Any]:
        """A new environ.  PATH_INFO is what follows the prefix, percent-decoded, each byte as one character."""
        environ = self._base.copy()
        environ["REQUEST_METHOD"] = request.method
        environ["RAW_URI"] = target = request.target
        path = request.path if "%" not in target else _path_bytes(target)
        environ["PATH_INFO"] = path[self._cut :]
        environ["QUERY_STRING"] = request.query_string
        if request.version != "1.1":
            environ["SERVER_PROTOCOL"] = f"HTTP/{request.version}"
        connection: Any = request.connection
        address = connection.address
        if type(address) is tuple:
            environ["REMOTE_ADDR"] = address[0]
            environ["REMOTE_PORT"] = str(address[1])
        if connection.secure:
            environ["wsgi.url_scheme"] = "https"
        known = _keys
        for line in request.head.split("\r\n")[1:-2]:
            name, _, value = line.partition(":")
            key = known.get(name)
            if key is None:
                key = _key(name)
            if key in environ:
                environ[key] += ("; " if key == "HTTP_COOKIE" else ", ") + value.strip(" \t")
            elif key:
                environ[key] = value.strip(" \t")
        if request.told is not None:
            _tell(environ, request)
        if request.stream is not None:
            environ["wsgi.input"] = io.BufferedReader(BodyReader(request.stream))
        elif request.raw:
            environ["wsgi.input"] = io.BytesIO(request.raw)  # type: ignore[arg-type]  # what a layer has read already
        return environ


def _tell(environ: dict[str, Any], request: Request) -> None:
    """What trusted proxies say of the client goes before what the connection and the request say."""
    if request.client != environ["REMOTE_ADDR"]:
        environ["REMOTE_ADDR"] = request.client
        environ.pop("REMOTE_PORT", None)  # that of the proxy
    environ["wsgi.url_scheme"] = request.scheme
    environ["HTTP_HOST"] = request.host
    environ["SCRIPT_NAME"] = request.prefix + environ["SCRIPT_NAME"]


def _path_bytes(target: str) -> str:
    """The decoded path of a target that was checked already, one character for each byte."""
    path = target.partition("#")[0].partition("?")[0]
    if not path.startswith("/"):
        path = "/" + path.partition("://")[2].partition("/")[2]
    return unquote(path, "latin-1")


class BrokenBody(ProtocolError, OSError):
    """The body of a request is malformed or was not sent to its end.  An OSError, because that is what frameworks expect of an input."""


class BodyReader(io.RawIOBase):
    """The body of a request as a raw file.  Reading blocks the calling greenlet until something arrived."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Raises BrokenBody, and ConnectionClosed when the client leaves."""
        if not self._left:
            try:
                self._left = memoryview(self._body.read_chunk())
            except ProtocolError as error:
                raise BrokenBody(error.text, status=error.status) from None
        target = memoryview(buffer)
        size = min(len(target), len(self._left))
        target[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


class _NoInput(io.BufferedReader):
    """The input of every request without a body: always at its end."""

    def close(self) -> None: ...


_NOTHING = Body()
_NOTHING.finish()


class FileWrapper:
    """``wsgi.file_wrapper``: an application that returns one leaves the sending of a file to the server."""

    __slots__ = ("_size", "file")

    def __init__(self, file: SupportsRead[bytes], block_size: int = 65536) -> None:
        self.file = file
        self._size = block_size

    def __iter__(self) -> Iterator[bytes]:
        while block := self.file.read(self._size):
            yield block

    def close(self) -> None:
        close = getattr(self.file, "close", None)
        if close is not None:
            close()


Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
"""A WSGI application."""
