"""Which hosts a server answers for.  A client may name any; absolute URLs and caches would follow it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from greenimi.container.onion import Proceed
from greenimi.errors import ConfigError, Refusal
from greenimi.message import Request

_is_pattern = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]").fullmatch
_PORT = re.compile(r":[0-9]+\Z")


class Hosts:
    """The layer: a request for another host is refused with 421 (RFC 9110 section 15.5.20)."""

    def __init__(self, allowed: Sequence[str]) -> None:
        """``shop.example``, ``*.shop.example`` for every name below it, ``[::1]``; without ports, which do not count.  ConfigError."""
        wrong = [pattern for pattern in allowed if not _is_pattern(pattern.lower())]
        if wrong:
            raise ConfigError(f"hosts: {wrong[0]!r} is none", hint='write "shop.example" or "*.shop.example", without scheme and port')
        lowered = [pattern.lower() for pattern in allowed]
        self._names = frozenset(pattern for pattern in lowered if not pattern.startswith("*"))
        self._below = tuple(pattern[1:] for pattern in lowered if pattern.startswith("*"))

    def __call__(self, request: Request, proceed: Proceed) -> Any:
        name = _PORT.sub("", request.host).lower().removesuffix(".")
        if name not in self._names and not name.endswith(self._below):
            raise Refusal("this server does not answer for that host", status=421)
        return proceed(request)
