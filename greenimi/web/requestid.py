"""An id for each request: in the answer, in the log, and in what an application sends on."""

from __future__ import annotations

import re
from collections.abc import Container
from secrets import token_hex
from typing import Any

from greenimi.container.onion import Proceed
from greenimi.message import Request, Response

_is_id = re.compile(r"[A-Za-z0-9._~+/=:-]{1,128}").fullmatch


class RequestIds:
    """The outer layer: ``request.id``.  One that a trusted proxy sends is taken over, one that a client sends is not."""

    def __init__(self, header: str, trusted: Container[Any]) -> None:
        self._header = header
        self._trusted = trusted

    def __call__(self, request: Request, proceed: Proceed) -> Any:
        sent = request.headers.get(self._header, "")
        found = sent if sent and _is_id(sent) and request.connection.address in self._trusted else token_hex(16)
        request.extra["request_id"] = found
        response: Response = proceed(request)
        response.headers += ((self._header, found),)
        return response
