"""The target of an HTTP request."""

from __future__ import annotations

from urllib.parse import unquote

from greenimi.errors import ProtocolError


def split_target(method: str, target: str) -> tuple[str, str]:
    """Path (decoded) and query of a request target, in origin, absolute, authority or asterisk form (RFC 9112 section 3.2)."""
    target = target.partition("#")[0]  # a fragment is none of a server's business
    if not target.startswith("/"):
        if method == "CONNECT":
            return target, ""
        if target == "*" and method == "OPTIONS":
            return "*", ""
        scheme, found, rest = target.partition("://")
        if not found or scheme.lower() not in ("http", "https"):
            raise ProtocolError("the request target is neither a path nor a URL")
        rest, mark, query = rest.partition("?")  # first: a slash in the query begins no path
        authority, _, path = rest.partition("/")
        if not authority:
            raise ProtocolError("the request target has no host")
        target = f"/{path}{mark}{query}"
    if "?" in target:
        path, _, query = target.partition("?")
    else:
        path, query = target, ""
    if "%" in path:
        try:
            path = unquote(path, errors="strict")
        except UnicodeDecodeError:
            raise ProtocolError("the path is not UTF-8") from None
    return path, query
