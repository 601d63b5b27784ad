"""Fields behind a body (RFC 9110 section 6.5)."""

from __future__ import annotations

from collections.abc import Sequence

from greenimi.message import Request, Response
from greenimi.web.accept import qualities

FORBIDDEN = frozenset(
    {
        "age",
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "expires",
        "host",
        "keep-alive",
        "location",
        "proxy-authenticate",
        "proxy-authorization",
        "retry-after",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "vary",
        "warning",
        "www-authenticate",
    }
)
"""Fields that whoever reads a message must know before its body."""


def takes_trailers(request: Request) -> bool:
    """Whether the client said that it reads them."""
    field = request.headers.get("te")
    return field is not None and qualities(field).get("trailers", 0.0) > 0


def trailers_for(request: Request, response: Response) -> Sequence[tuple[str, str]]:
    """The trailers of a response whose body is out; none where its client does not take them.  Raises ValueError for what cannot be one."""
    trailers = response.trailers
    if trailers == () or not takes_trailers(request):
        return ()
    found = list(trailers() if callable(trailers) else trailers)
    for name, _ in found:
        if name.lower() in FORBIDDEN:
            raise ValueError(f"{name} cannot be a trailer: it has to be known before the body")
    return found
