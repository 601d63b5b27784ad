"""Header fields that an answer gets whatever it is, an error's as well."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

from greenimi.message import Request, Response

if TYPE_CHECKING:
    from greenimi.container.onion import Proceed

_KEY = "late fields"


def add_late_field(request: Request, name: str, value: str) -> None:
    """Have the answer to this request carry a header field, for example a cookie of a layer that does not see the Response."""
    request.extra.setdefault(_KEY, []).append((name, value))


def late_fields(request: Request, proceed: Proceed) -> Response:
    """A layer around everything that adds what was asked for.  Responses are copied: a handler may give the same one to all."""
    response: Response = proceed(request)
    fields = request.extra.get(_KEY)
    if fields:
        response = copy(response)
        response.headers += tuple(fields)
    return response
