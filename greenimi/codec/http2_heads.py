"""Heads of HTTP/2 (RFC 9113 section 8): requests' taken from their fields, as strictly checked as those of HTTP/1.1; responses' encoded.

Responses are encoded without HPACK's dynamic table: a block means the same on every connection, so that it can be kept ready.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from h2.errors import ErrorCodes
from hpack.hpack import encode_integer
from hpack.table import HeaderTable

from greenimi.codec.heads import FRAMING_FIELDS, check_name, check_value
from greenimi.codec.http2_frames import FRAME_SIZE, StreamFault
from greenimi.codec.target import split_target
from greenimi.errors import ProtocolError

Field = tuple[bytes, bytes]

_FIELDS = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9a-z]+: (?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?\r\n)*")
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}")
_TARGET = re.compile(rb"[!-~\x80-\xff]*")
_AUTHORITY = re.compile(rb"[!-.0->A-~]*")  # no slash, no question mark, no @
_FORBIDDEN = frozenset({b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"http2-settings"})
_SINGLE = frozenset({b"content-type", b"content-length"})
_PSEUDO = frozenset({b":method", b":scheme", b":path", b":authority", b":protocol"})
_NO_TRAILERS = frozenset({"trailer", "content-encoding", "content-type", "authorization"})
_NO_TRAILERS_AT_ALL = frozenset({"content-length", "host"})
_SCHEMES = frozenset({b"http", b"https"})

_OURS = FRAMING_FIELDS | {"connection", "keep-alive", "proxy-connection", "upgrade"}
"""Fields that HTTP/2 has no place for, and those that the codec decides itself."""


@dataclass(frozen=True, slots=True)
class Http2Limits:
    """What one peer may do.  Bytes, but ``fields``, ``host``, ``streams`` and ``unrest``."""

    line: int = 8192
    head: int = 32768
    fields: int = 100
    body: int = 16 * 1024 * 1024
    form: int = 0  # of a multipart form; 0: as any other body
    buffer: int = 65536  # of a body, before its handler begins
    host: bool = True
    streams: int = 128
    window: int = 262_144  # of a stream
    connection_window: int = 2 * 1024 * 1024
    frame: int = FRAME_SIZE
    table: int = 4096
    unrest: int = 1000  # frames that lead to nothing
    room: int = 262_144  # that may be queued for the socket at a time


class Head(NamedTuple):
    """A request's head, checked.

    ``text`` looks like the head of an HTTP/1 request; ``length`` is the Content-Length; ``protocol`` is what an extended CONNECT asks for.
    """

    method: str
    target: str
    path: str
    query: str
    text: str
    length: int | None
    expects: bool
    trailers: bool
    protocol: str


def malformed(text: str) -> StreamFault:
    """RFC 9113 section 8.1.1."""
    return StreamFault(ErrorCodes.PROTOCOL_ERROR, text)


def request_head(fields: Sequence[Field], limits: Http2Limits) -> Head:
    """Raises StreamFault for a malformed request, ProtocolError for one that is to be answered with an error of HTTP."""
    pseudo: dict[bytes, bytes] = {}
    lines: list[bytes] = []
    cookies: list[bytes] = []
    singles: dict[bytes, bytes] = {}
    hosts: list[bytes] = []
    expects = trailers = False
    for name, value in fields:
        if name[:1] == b":":
            if lines or cookies or hosts:
                raise malformed("a pseudo-header field behind ordinary ones")
            if name in pseudo or name not in _PSEUDO:
                raise malformed(f"the pseudo-header field {name[:40]!r} is unknown, not for requests or there twice")
            pseudo[name] = value
            continue
        if name == b"cookie":
            cookies.append(value)
            continue
        if name == b"host":
            hosts.append(value)
            continue
        if name in _FORBIDDEN:
            raise malformed(f"the field {name.decode()} has no place in HTTP/2")
        if name == b"te":
            if value.lower() != b"trailers":
                raise malformed("TE asks for more than trailers")
            trailers = True
        elif name in _SINGLE:
            if name in singles:
                raise malformed(f"there is more than one {name.decode()}")
            singles[name] = value
        elif name == b"expect":
            if value.lower() != b"100-continue":
                raise ProtocolError("only 100-continue can be expected", status=417)
            expects = True
        lines.append(b"%b: %b\r\n" % (name, value))
    if cookies:
        lines.append(b"cookie: %b\r\n" % b"; ".join(cookies))
    text = b"".join(lines)
    if _FIELDS.fullmatch(text) is None or text.count(b"\n") != len(lines):  # a line break in a value would look like a field
        raise malformed("a header field is malformed")
    method, target, host = _check_pseudo(pseudo, hosts, limits)
    length = singles.get(b"content-length")
    if length is not None and not (length.isdigit() and len(length) < 19):
        raise malformed("the content-length is not a number")
    if len(fields) - len(pseudo) - max(0, len(cookies) - 1) > limits.fields:
        raise ProtocolError(f"more than {limits.fields} header fields", status=431)
    shown = target.decode("latin-1")
    named = method.decode()
    path, query = split_target("GET" if b":protocol" in pseudo else named, shown)
    whole = b"%b %b HTTP/2\r\n%b%b\r\n" % (method, target, host, text)
    if len(whole) > limits.head:
        raise ProtocolError(f"the head is over {limits.head} bytes", status=431)
    protocol = pseudo.get(b":protocol", b"").decode("latin-1")
    number = None if length is None else int(length)
    return Head(named, shown, path, query, whole.decode("latin-1"), number, expects, trailers, protocol)


def _check_pseudo(pseudo: dict[bytes, bytes], hosts: list[bytes], limits: Http2Limits) -> tuple[bytes, bytes, bytes]:
    """Method, target and the line of the field Host (RFC 9113 section 8.3.1, RFC 8441 section 4)."""
    method = pseudo.get(b":method")
    path = pseudo.get(b":path")
    scheme = pseudo.get(b":scheme")
    authority = pseudo.get(b":authority")
    if method is None:
        raise malformed("there is no :method")
    if not _METHOD.fullmatch(method):
        raise malformed("the :method is malformed")
    if b":protocol" in pseudo and method != b"CONNECT":
        raise malformed("a :protocol without CONNECT")
    if method == b"CONNECT" and b":protocol" not in pseudo:
        if path is not None or scheme is not None or not authority:
            raise malformed("CONNECT has an :authority, but neither :path nor :scheme")
        path = authority
    elif not path or scheme is None:
        raise malformed("there is no :path or no :scheme")
    elif scheme not in _SCHEMES:
        raise malformed("the :scheme is neither http nor https")
    elif not path.startswith(b"/") and not (path == b"*" and method == b"OPTIONS"):
        raise malformed("the :path does not begin with a slash")
    if not _TARGET.fullmatch(path):
        raise malformed("the :path is malformed")
    if len(hosts) > 1 or (hosts and authority is not None and hosts[0].lower() != authority.lower()):
        raise malformed("Host is there twice, or is not the :authority")
    host = authority if authority is not None else hosts[0] if hosts else None
    if host is not None and not _AUTHORITY.fullmatch(host):
        raise malformed("the :authority or Host is malformed")
    if not host and limits.host:
        raise ProtocolError("a request needs an :authority or a Host field")
    if len(method) + len(path) + 10 > limits.line:
        raise ProtocolError(f"the request line is over {limits.line} bytes", status=414)
    return method, path, b"" if host is None else b"host: %b\r\n" % host


def trailer_fields(fields: Sequence[Field]) -> list[tuple[str, str]]:
    """Those that may be used (RFC 9110 section 6.5.1).  Raises StreamFault."""
    if any(name[:1] == b":" or name in _FORBIDDEN or name == b"te" for name, _ in fields):
        raise malformed("a trailer that is a pseudo-header field or has no place in HTTP/2")
    text = b"".join([b"%b: %b\r\n" % field for field in fields])
    if _FIELDS.fullmatch(text) is None or text.count(b"\n") != len(fields):
        raise malformed("a trailer field is malformed")
    found = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]
    if any(name in _NO_TRAILERS_AT_ALL for name, _ in found):
        raise malformed("a trailer that says how the message is framed")
    return [field for field in found if field[0] not in _NO_TRAILERS]


# -- responses -----------------------------------------------------------------------------------------------------

_CONTENT_LENGTH = b"\x0f\x0d"  # the name at index 28, literal, not indexed


def encode_status(status: int) -> bytes:
    return encode((((":status"), str(status)),), checked=True)


def encode_length(length: int) -> bytes:
    digits = b"%d" % length
    return b"%b%c%b" % (_CONTENT_LENGTH, len(digits), digits)


def encode_fields(fields: Iterable[tuple[str, str]]) -> bytes:
    """The fields of a response or its trailers, without those that HTTP/2 has no place for.  Raises ValueError like ``render_fields``."""
    return encode([(name.lower(), value) for name, value in fields if name.lower() not in _OURS])


def encode(fields: Iterable[tuple[str, str]], *, checked: bool = False) -> bytes:
    """A block in HPACK (RFC 7541) that leaves the dynamic table alone: indexed where the static table has all of it, else literal."""
    parts: list[bytes] = []
    static = HeaderTable.STATIC_TABLE_MAPPING
    for name, value in fields:
        if not checked:
            check_name(name)
            check_value(name, value)
        raw_name, raw = name.encode("latin-1"), value.strip(" \t").encode("latin-1")
        index, values = static.get(raw_name, (0, {}))
        if raw in values:
            parts.append(b"%c" % (0x80 | values[raw]))
        elif index:
            parts += (bytes(encode_integer(index, 4)), bytes(encode_integer(len(raw), 7)), raw)
        else:
            parts += (b"\0", bytes(encode_integer(len(raw_name), 7)), raw_name, bytes(encode_integer(len(raw), 7)), raw)
    return b"".join(parts)
