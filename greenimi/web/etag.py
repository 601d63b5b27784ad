"""The layer that gives answers an ETag made of their body."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from greenimi.message import Request, Response
from greenimi.web.conditional import not_modified, status_for, tags_of, weakly_equal

_LARGEST = 1 << 20
"""Bytes of a body that are worth looking at."""

_ITS_OWN = frozenset({"etag", "last-modified", "content-range"})


def etag_layer(request: Request, proceed: Callable[[Request], Response]) -> Response:
    """An outer layer: a whole body of a 200 to GET or HEAD is answered with 304 when the client has the same already.

    The handler does its work in any case; what is saved is the way to the client.  Left alone are answers that have a validator of their
    own, those that nobody may keep (``no-store``), bodies sent in parts, and bodies over 1 MiB.
    """
    response = proceed(request)
    body = response.body
    if request.method not in ("GET", "HEAD") or response.status != 200 or not isinstance(body, bytes | str):
        return response
    data = body.encode() if isinstance(body, str) else body
    if not data or len(data) > _LARGEST:  # an empty one may be that of a HEAD
        return response
    for name, value in response.headers:
        lowered = name.lower()
        if lowered in _ITS_OWN or (lowered == "cache-control" and "no-store" in value.lower()):
            return response
    tag = f'"{blake2b(data, digest_size=16).hexdigest()}"'
    if status_for(request, tag, None) == 304:
        known = [each for each in tags_of(request.headers["if-none-match"]) or () if weakly_equal(each, tag)]
        return not_modified([("ETag", known[0] if known else tag), *response.headers])  # as the client knows it: weak, if it was compressed
    response.headers += (("ETag", tag),)
    return response
