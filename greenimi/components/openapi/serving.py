"""What is served: the document, and the page to read and try it."""

from __future__ import annotations

import gzip
import html
import posixpath
from collections.abc import Callable, Mapping
from hashlib import sha256
from importlib.resources import files

from greenimi.components.openapi.documents import Documents
from greenimi.components.openapi.output import has_yaml
from greenimi.components.openapi.settings import OpenApiSettings
from greenimi.errors import NotFound
from greenimi.marks import get, http, public
from greenimi.message import Request, Response
from greenimi.web.accept import best_coding
from greenimi.web.conditional import check_conditions, entity_tag, validators

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = (("Content-Security-Policy", _POLICY), ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"))

_ASSETS: Mapping[str, tuple[str, str]] = {
    "swagger-ui-bundle.js": ("swagger-ui-bundle.js.gz", "text/javascript; charset=utf-8"),
    "swagger-ui.css": ("swagger-ui.css.gz", "text/css; charset=utf-8"),
    "start.js": ("start.js", "text/javascript; charset=utf-8"),
}
"""Files of the page by their names there, each with its name in the package and its type."""

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{folder}/swagger-ui.css">
</head>
<body>
<div id="page" data-document="{document}"></div>
<noscript>This page needs JavaScript; <a href="{document}">the document</a> does not.</noscript>
<script src="{folder}/swagger-ui-bundle.js"></script>
<script src="{folder}/start.js"></script>
</body>
</html>
"""


def controller(server: str, settings: OpenApiSettings, title: str) -> type:
    """The controller of document and page on one server, at the paths of conf."""

    @http(server=server)
    @public
    class OpenApiPages:
        """The API of this server, described."""

        def __init__(self, documents: Documents) -> None:
            self._documents = documents
            self._kept: dict[str, tuple[bytes, str]] = {}

        def document(self, request: Request) -> Response:
            return self._answer(request, "json", "application/json", lambda: self._documents.json(server))

        def yaml(self, request: Request) -> Response:
            return self._answer(request, "yaml", "application/yaml", lambda: self._documents.yaml(server))

        def page(self, request: Request) -> Response:
            return self._answer(request, "page", "text/html; charset=utf-8", lambda: _page(title, settings))

        def asset(self, file: str, request: Request) -> Response:
            if file not in _ASSETS:
                raise NotFound(f"the page has no file {file[:100]}")
            name, kind = _ASSETS[file]
            return self._answer(request, name, kind, lambda: files(__package__).joinpath("page", name).read_bytes())

        def _answer(self, request: Request, name: str, kind: str, make: Callable[[], bytes]) -> Response:
            """What was made the first time it was asked for; of a compressed file what is in it, to those who do not take gzip."""
            if name not in self._kept:
                body = make()
                self._kept[name] = body, sha256(body).hexdigest()[:32]
            body, digest = self._kept[name]
            fields = [("Cache-Control", "no-cache"), *_HEADERS]
            if name.endswith(".gz"):
                fields.append(("Vary", "Accept-Encoding"))
                if best_coding(request.headers.get("accept-encoding", ""), ["gzip"]):
                    fields.append(("Content-Encoding", "gzip"))
                    digest += "-gzip"
                else:
                    body = gzip.decompress(body)
            tag = entity_tag(digest)
            return check_conditions(request, tag, headers=fields) or Response(body, 200, kind, [*validators(tag), *fields])

    for path, function in (
        (settings.document, OpenApiPages.document),
        (settings.yaml if has_yaml() else "", OpenApiPages.yaml),
        (settings.page if settings.document else "", OpenApiPages.page),
        (f"{settings.page.rstrip('/')}/{{file}}" if settings.page and settings.document else "", OpenApiPages.asset),
    ):
        if path:
            get(path)(function)
    OpenApiPages.__qualname__ = OpenApiPages.__name__  # as listings tell it
    return OpenApiPages


def _page(title: str, settings: OpenApiSettings) -> bytes:
    """The page; its links are relative, so that it also works below a prefix that a proxy adds."""
    here = posixpath.dirname(settings.page)
    names = {
        "title": title,
        "folder": posixpath.relpath(settings.page, here) if settings.page != "/" else ".",
        "document": posixpath.relpath(settings.document, here),
    }
    return _PAGE.format(**{name: html.escape(text) for name, text in names.items()}).encode()
