"""Folders of files at a path of a server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from greenimi.errors import ConfigError, MethodNotAllowed, NotFound
from greenimi.message import Request, Response
from greenimi.web.accept import qualities
from greenimi.web.files import FileBody, answer_with, descend, names_in, refusal, regular
from greenimi.web.media_types import UNKNOWN, content_type_of, with_charset
from greenimi.web.settings import StaticSettings

METHODS = ["GET", "HEAD", "OPTIONS"]

_SIBLINGS = (("br", ".br"), ("zstd", ".zst"), ("gzip", ".gz"))
"""Content codings and the endings of the files that hold a file in them, the best first."""


class StaticFiles:
    """Answers requests below ``prefix`` with the files of a folder.  Safe to share: it keeps nothing of a request."""

    def __init__(self, prefix: str, settings: StaticSettings) -> None:
        """``prefix`` is ``""`` or begins with a slash and does not end with one.  Raises ConfigError when there is no such folder."""
        if not Path(settings.folder).is_dir():
            raise ConfigError(f"there is no folder {settings.folder} for the files at {prefix or '/'}")
        self._cut = len(prefix) + 1
        self._folder = settings.folder
        self._index = tuple(settings.index)
        self._links = settings.symlinks
        self._dotfiles = settings.dotfiles
        self._siblings = settings.precompressed
        self._types = {ending.lower(): with_charset(kind) for ending, kind in settings.types.items()}
        fields = list(settings.headers.items())
        age = f"max-age={settings.max_age}{', immutable' if settings.immutable else ''}" if settings.max_age else "no-cache"
        fields.append(("Cache-Control", age))
        if self._siblings:
            fields.append(("Vary", "Accept-Encoding"))
        self._fields = tuple(fields)

    def __call__(self, request: Request) -> Response:
        """Raises Refusal: 404, 403, 405, 412, 416."""
        if request.method not in ("GET", "HEAD"):
            if request.method == "OPTIONS":
                return Response(b"", 204, "", [("Allow", ", ".join(METHODS))])
            raise MethodNotAllowed(f"{request.method} is not allowed for files", METHODS)
        path = request.path[self._cut :]
        try:
            return self._find(request, path)
        except OSError as error:
            raise refusal(error, request.path) from None

    def _find(self, request: Request, path: str) -> Response:
        """Raises OSError as well."""
        as_folder = path == "" or path.endswith("/")
        names = self._names(request, path)
        if as_folder:
            return self._show_folder(request, names)
        try:
            body = regular(descend(self._folder, names, links=self._links))
        except IsADirectoryError:
            if not self._index:
                raise
            return self._to_folder(request, names[-1])
        return self._show(request, names, body)

    def _names(self, request: Request, path: str) -> list[str]:
        inner = path.removesuffix("/")
        names = names_in(inner) if path else []
        if not self._dotfiles and any(name.startswith(".") for name in names):
            raise NotFound(f"nothing at {request.path[:200]}")
        return names

    def _show_folder(self, request: Request, names: Sequence[str]) -> Response:
        if not names and len(request.path) < self._cut:  # the prefix without its slash
            return self._to_folder(request, request.path.rpartition("/")[2])
        for index in self._index:
            try:
                descriptor = descend(self._folder, [*names, index], links=self._links)
            except FileNotFoundError:
                continue
            return self._show(request, [*names, index], regular(descriptor))
        raise NotFound(f"nothing at {request.path[:200]}")

    @staticmethod
    def _to_folder(request: Request, name: str) -> Response:
        """Links of a page mean what they say where its folder ends with a slash.  Relative itself, this leads to no other host."""
        query = f"?{request.query_string}" if request.query_string else ""
        return Response(b"", 308, "", [("Location", f"./{quote(name)}/{query}")])

    def _show(self, request: Request, names: Sequence[str], body: FileBody) -> Response:
        fields = self._fields
        if self._siblings:
            packed = self._packed(request, names)
            if packed is not None:
                body.close()
                body, coding = packed
                fields = (("Content-Encoding", coding), *fields)
        return answer_with(request, body, self._type_of(names[-1]), fields)

    def _packed(self, request: Request, names: Sequence[str]) -> tuple[FileBody, str] | None:
        """The sibling of a file that holds it in the best coding which the client takes."""
        wanted = qualities(request.headers.get("accept-encoding", ""))
        best = [(wanted.get(coding, wanted.get("*", 0)), coding, ending) for coding, ending in _SIBLINGS]
        for quality, coding, ending in sorted(best, key=lambda one: -one[0]):
            if not quality:
                break
            try:
                found = descend(self._folder, [*names[:-1], names[-1] + ending], links=self._links)
                return regular(found, f"-{coding}"), coding
            except OSError:
                continue
        return None

    def _type_of(self, name: str) -> str:
        if self._types:
            own = self._types.get(Path(name).suffix.lower())
            if own is not None:
                return own
        return content_type_of(name) or UNKNOWN
