"""Names of keys that stay together on a cluster."""

from __future__ import annotations

from typing import overload

__all__ = ["tagged"]


@overload
def tagged(name: str) -> str: ...
@overload
def tagged(name: bytes) -> bytes: ...
def tagged(name: str | bytes) -> str | bytes:
    """``name`` in braces, ``{stock:42}``: all keys that begin with it are on one node, ``{stock:42}:lock`` and ``{stock:42}:queue``.

    A name with a hash tag of its own stays as it is.  Raises ValueError for one that cannot have one: empty, or beginning with ``}``.
    """
    encoded = name.encode(errors="surrogateescape") if isinstance(name, str) else name
    _, brace, rest = encoded.partition(b"{")
    inside, end, _ = rest.partition(b"}")
    if brace and end and inside:
        return name
    if not encoded or encoded.startswith(b"}"):
        raise ValueError(f"{name!r} cannot be the beginning of keys that stay together on a cluster")
    return f"{{{name}}}" if isinstance(name, str) else b"{" + name + b"}"
