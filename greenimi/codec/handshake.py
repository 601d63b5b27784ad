"""The HTTP upgrade that opens a WebSocket (RFC 6455 section 4.2, RFC 7692 section 5), as pure functions."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Collection
from hashlib import sha1
from typing import NamedTuple

from greenimi.codec.deflate import LARGEST_WINDOW, SMALLEST_WINDOW, Agreement, DeflateRules
from greenimi.errors import BadMessage, MethodNotAllowed, Refusal
from greenimi.message import Headers, Request

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PARAMETER = re.compile(rf'({_TOKEN.pattern})(?:[ \t]*=[ \t]*(?:({_TOKEN.pattern})|"({_TOKEN.pattern})"))?')
_WINDOWS = {str(bits): bits for bits in range(8, LARGEST_WINDOW + 1)}
_UPGRADE_WANTED = (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"))


class Handshake(NamedTuple):
    """An upgrade that may go ahead: the header fields of the 101 answer, the subprotocol chosen (``""`` for none), and what was agreed on
    for compression (None: there is none).
    """

    headers: tuple[tuple[str, str], ...]
    subprotocol: str
    deflate: Agreement | None = None


def accept_key(key: str) -> str:
    """The Sec-WebSocket-Accept that proves that ``key`` was read."""
    return b64encode(sha1((key + _GUID).encode(), usedforsecurity=False).digest()).decode()


def check_upgrade(request: Request, subprotocols: Collection[str] = (), deflate: DeflateRules | None = None) -> Handshake:
    """Whether ``request`` opens a WebSocket, and how to answer it.  ``subprotocols`` are those the server speaks, ``deflate`` is how
    it compresses, if it does.

    The first subprotocol of the client's list that the server speaks is chosen; when there is none, the connection goes without.  So it is
    with the client's offers of compression.
    Raises MethodNotAllowed (405), BadMessage (400), or Refusal (426, with Sec-WebSocket-Version: 13) for a request that asks for no
    WebSocket or another version.  The Origin is not judged here.
    """
    headers = request.headers
    if request.version == "2":
        return _check_connect(request, subprotocols, deflate)
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
    return _agree(headers, fields, subprotocols, deflate)


def _check_connect(request: Request, subprotocols: Collection[str], deflate: DeflateRules | None) -> Handshake:
    """The same over HTTP/2, where an extended CONNECT asks for it, and no key proves anything (RFC 8441 section 5)."""
    if not request.upgrade:
        raise Refusal("a WebSocket opens with an extended CONNECT", status=426, headers=_UPGRADE_WANTED[2:])
    if request.headers.get_all("Sec-WebSocket-Version") != ["13"]:
        raise Refusal("only version 13 of WebSocket is spoken here", status=426, headers=_UPGRADE_WANTED[2:])
    return _agree(request.headers, [], subprotocols, deflate)


def _agree(headers: Headers, fields: list[tuple[str, str]], subprotocols: Collection[str], deflate: DeflateRules | None) -> Handshake:
    """The answer, which begins with ``fields``, to what the client says besides."""
    chosen = _choose(headers, subprotocols)
    if chosen:
        fields.append(("Sec-WebSocket-Protocol", chosen))
    agreed = None
    if deflate is not None:
        for name, parameters in _extensions(headers):
            agreed = _accept(parameters, deflate) if name == "permessage-deflate" else None
            if agreed is not None:
                fields.append(("Sec-WebSocket-Extensions", _told(agreed, parameters)))
                break
    return Handshake(tuple(fields), chosen, agreed)


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


def _extensions(headers: Headers) -> list[tuple[str, list[tuple[str, str]]]]:
    """The extensions that are offered, with their parameters; the value of one without is ``""``.  Raises BadMessage."""
    found = []
    for offer in _list(headers, "Sec-WebSocket-Extensions"):
        name, *texts = (text.strip(" \t") for text in offer.split(";"))
        matches = [_PARAMETER.fullmatch(text) for text in texts]
        if not _TOKEN.fullmatch(name) or None in matches:
            raise BadMessage("the header Sec-WebSocket-Extensions is not a list of extensions")
        found.append((name, [(match[1], match[2] or match[3] or "") for match in matches if match is not None]))
    return found


def _accept(parameters: list[tuple[str, str]], rules: DeflateRules) -> Agreement | None:
    """What an offer of compression leads to; None where it has to be declined (RFC 7692 section 7.1)."""
    asked = dict(parameters)
    if len(asked) != len(parameters):
        return None
    peer_window = LARGEST_WINDOW
    if "client_max_window_bits" in asked:  # it may be told a smaller one
        value = asked.pop("client_max_window_bits")
        if value and value not in _WINDOWS:
            return None
        peer_window = min(rules.window, _WINDOWS.get(value, LARGEST_WINDOW))
    window = rules.window
    if "server_max_window_bits" in asked:
        window = min(window, _WINDOWS.get(asked.pop("server_max_window_bits"), 0))
        if window < SMALLEST_WINDOW:
            return None
    kept = {}
    for side in ("server", "client"):
        flag = asked.pop(f"{side}_no_context_takeover", None)
        if flag:  # it takes no value
            return None
        kept[side] = rules.context and flag is None
    return None if asked else Agreement(window, peer_window, kept["server"], kept["client"])


def _told(agreed: Agreement, asked: list[tuple[str, str]]) -> str:
    """The answer to an accepted offer."""
    words = ["permessage-deflate"]
    if not agreed.context:
        words.append("server_no_context_takeover")
    if not agreed.peer_context:
        words.append("client_no_context_takeover")
    names = [name for name, _ in asked]
    if "server_max_window_bits" in names:
        words.append(f"server_max_window_bits={agreed.window}")
    if "client_max_window_bits" in names:
        words.append(f"client_max_window_bits={agreed.peer_window}")
    return "; ".join(words)


def _tokens(headers: Headers, name: str) -> list[str]:
    return [token.lower() for token in _list(headers, name)]


def _list(headers: Headers, name: str) -> list[str]:
    """The elements of a comma-separated list; empty ones do not count (RFC 9110 section 5.6.1)."""
    return [item for item in (part.strip(" \t") for part in headers.get(name, "").split(",")) if item]
