"""The HTTP upgrade that opens a WebSocket (RFC 6455 section 4.2), as pure functions."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Collection
from hashlib import sha1
from typing import NamedTuple

from greenimi.errors import BadMessage, MethodNotAllowed, Refusal
from greenimi.message import Headers, Request

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_UPGRADE_WANTED = (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"))


class Handshake(NamedTuple):
    """An upgrade that may go ahead: the header fields of the 101 answer and the subprotocol chosen, ``""`` for none."""

    headers: tuple[tuple[str, str], ...]
    subprotocol: str


def accept_key(key: str) -> str:
    """The Sec-WebSocket-Accept that proves that ``key`` was read."""
    return b64encode(sha1((key + _GUID).encode(), usedforsecurity=False).digest()).decode()


def check_upgrade(request: Request, subprotocols: Collection[str] = ()) -> Handshake:
    """Whether ``request`` opens a WebSocket, and how to answer it.  ``subprotocols`` are those the server speaks.

    The first subprotocol of the client's list that the server speaks is chosen; when there is none, the connection goes without.
    Raises MethodNotAllowed (405), BadMessage (400), or Refusal (426, with Sec-WebSocket-Version: 13) for a request that asks for no
    WebSocket or another version.  The Origin is not judged here.
    """
    headers = request.headers
    if request.version == "2":
        return _check_connect(request, subprotocols)
    if request.method != "GET":
        raise MethodNotAllowed(f"a WebSocket opens with GET, not {request.method}", ["GET"])
    if request.version == "1.0":
        raise BadMessage("a WebSocket needs HTTP/1.1")
    if not _one(headers, "Host"):
        raise BadMessage("the header Host is empty")
    if "websocket" not in _tokens(headers, "Upgrade") or "upgrade" not in _tokens(headers, "Connection"):
        raise Refusal("this address speaks WebSocket only", status=426, headers=_UPGRADE_WANTED)
    if headers.get_all("Sec-WebSocket-Version") != ["13"]:
        raise Refusal("only version 13 of WebSocket is spoken here", status=426, headers=_UPGRADE_WANTED)
    fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept_key(_key(headers)))]
    chosen = _choose(headers, subprotocols)
    if chosen:
        fields.append(("Sec-WebSocket-Protocol", chosen))
    return Handshake(tuple(fields), chosen)


def _check_connect(request: Request, subprotocols: Collection[str]) -> Handshake:
    """The same over HTTP/2, where an extended CONNECT asks for it, and no key proves anything (RFC 8441 section 5)."""
    if not request.upgrade:
        raise Refusal("a WebSocket opens with an extended CONNECT", status=426, headers=_UPGRADE_WANTED[2:])
    if request.headers.get_all("Sec-WebSocket-Version") != ["13"]:
        raise Refusal("only version 13 of WebSocket is spoken here", status=426, headers=_UPGRADE_WANTED[2:])
    chosen = _choose(request.headers, subprotocols)
    return Handshake((("Sec-WebSocket-Protocol", chosen),) if chosen else (), chosen)


def _one(headers: Headers, name: str) -> str:
    values = headers.get_all(name)
    if len(values) != 1:
        raise BadMessage(f"the header {name} must be there exactly once, not {len(values)} times")
    return values[0]


def _key(headers: Headers) -> str:
    key = _one(headers, "Sec-WebSocket-Key")
    try:
        size = len(b64decode(key, validate=True))
    except ValueError:
        size = -1
    if size != 16:
        raise BadMessage("the header Sec-WebSocket-Key is not 16 bytes in base64")
    return key


def _choose(headers: Headers, subprotocols: Collection[str]) -> str:
    offered = _list(headers, "Sec-WebSocket-Protocol")
    for name in offered:
        if not _TOKEN.fullmatch(name):
            raise BadMessage("the header Sec-WebSocket-Protocol is not a list of tokens")
    if len(set(offered)) != len(offered):
        raise BadMessage("the header Sec-WebSocket-Protocol names a protocol twice")
    return next((name for name in offered if name in subprotocols), "")


def _tokens(headers: Headers, name: str) -> list[str]:
    return [token.lower() for token in _list(headers, name)]


def _list(headers: Headers, name: str) -> list[str]:
    """The elements of a comma-separated list; empty ones do not count (RFC 9110 section 5.6.1)."""
    return [item for item in (part.strip(" \t") for part in headers.get(name, "").split(",")) if item]
