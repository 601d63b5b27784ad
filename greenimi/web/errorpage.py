"""Answers to errors: pages for browsers, problem+json for everybody else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from greenimi.errors import ConfigError, ProtocolError, Refusal
from greenimi.message import Request, Response
from greenimi.web.accept import best_type
from greenimi.web.debugpage import as_details, as_page
from greenimi.web.settings import ErrorPageSettings

if TYPE_CHECKING:
    from greenimi.dispatch.failure import Problem

HTML = "text/html; charset=utf-8"

_KINDS = ("application/problem+json", "text/html")
_FOR_DEBUGGING = (
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
)


class ErrorPages:
    """Makes the answer to an error of what may be told about it.

    With ``debug`` an unexpected error is shown with its stack, its variables and the request.  Otherwise a browser gets the page of
    conf's folder for its status, where there is one: ``404.html``, or ``4xx.html``, with ``$status``, ``$title``, ``$detail`` and ``$id``.
    """

    def __init__(self, settings: ErrorPageSettings, *, debug: bool) -> None:
        """Raises ConfigError when there is no such folder, or no page in it."""
        self._debug = debug
        self._pages = _pages_in(settings.folder)

    def __call__(self, error: BaseException, request: Request, problem: Problem) -> Response:
        for_browser = best_type(request.headers.get("accept", ""), _KINDS) == "text/html"
        if self._debug and not isinstance(error, Refusal | ProtocolError):
            if for_browser:
                headers = (*problem.headers, *_FOR_DEBUGGING)
                return Response(as_page(error, request, problem.status, problem.title), problem.status, HTML, headers)
            return replace(problem, details={**problem.details, "debug": as_details(error, request)}).response()
        page = self._pages.get(str(problem.status)) or self._pages.get(f"{problem.status // 100}xx")
        if page is None:
            return problem.response()
        problem = replace(problem, headers=(*problem.headers, ("Vary", "Accept")))
        if not for_browser:
            return problem.response()
        told = {"status": problem.status, "title": problem.title, "detail": problem.text, "id": request.id}
        body = page.safe_substitute({name: escape(str(value)) for name, value in told.items()})
        return Response(body, problem.status, HTML, problem.headers)


def _pages_in(folder: str) -> Mapping[str, Template]:
    if not folder:
        return {}
    if not Path(folder).is_dir():
        raise ConfigError(f"there is no folder {folder}")
    found = {file.stem: Template(file.read_text(encoding="utf-8")) for file in Path(folder).glob("[45][0-9x][0-9x].html")}
    if not found:
        raise ConfigError(f"there is no page in the folder {folder}", hint="call them by the status: 404.html, 4xx.html, 5xx.html")
    return found
