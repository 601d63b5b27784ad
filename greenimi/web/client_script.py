"""greenimi.js, the client for browsers, at a path of a server."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files

from greenimi.errors import MethodNotAllowed, NotFound
from greenimi.message import Request, Response
from greenimi.web.conditional import check_conditions, entity_tag, validators

_TYPE = "text/javascript; charset=utf-8"
_METHODS = ["GET", "HEAD", "OPTIONS"]


class ClientScript:
    """Answers requests for it.  Clients ask each time whether it changed, which it does with the version of greenimi only."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._body = files("greenimi.hub").joinpath("page", "greenimi.js").read_bytes()
        self._tag = entity_tag(sha256(self._body).hexdigest()[:32])

    def __call__(self, request: Request) -> Response:
        """200 or 304.  Raises Refusal: 404 for what is below its path, 405, 412."""
        if request.path != self._path:
            raise NotFound(f"nothing at {request.path[:200]}")
        if request.method == "OPTIONS":
            return Response(b"", 204, "", [("Allow", ", ".join(_METHODS))])
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(f"{request.method} is not allowed for files", _METHODS)
        fields = [*validators(self._tag), ("Cache-Control", "no-cache"), ("X-Content-Type-Options", "nosniff")]
        return check_conditions(request, self._tag, headers=fields[1:]) or Response(self._body, 200, _TYPE, fields)
