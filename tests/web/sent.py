"""Requests as a codec would make them, without a connection that does anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from greenimi.message import Request


class Connection(NamedTuple):
    address: Any = ("192.0.2.1", 40000)
    secure: bool = False
    id: str = "c1"


def request(
    target: str = "/",
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    address: Any = ("192.0.2.1", 40000),
    secure: bool = False,
) -> Request:
    """One request without a body."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "shop.example", **(headers or {})}.items())
    path, _, query = target.partition("?")
    head = f"{method} {target} HTTP/1.1\r\n{lines}\r\n"
    return Request(method, target, path, query, head, connection=Connection(address, secure))  # type: ignore[arg-type]
