"""WSGI without a framework: the server's own cost.  The path is cut by hand."""

from __future__ import annotations

import json
from typing import Any

PREFIX = "/hello/"


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    path: str = environ["PATH_INFO"]
    found = path.startswith(PREFIX)
    body = json.dumps({"hello": path[len(PREFIX) :]} if found else {"error": "not found"}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("200 OK" if found else "404 Not Found", headers)
    return [body]
