"""Files as answers of handlers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from greenimi.message import Request, Response
from greenimi.web.conditional import entity_tag
from greenimi.web.files import FileBody, answer_with, open_below, open_file, whole
from greenimi.web.media_types import content_type_of

_KEPT = "!#$&+-.^_`|~"  # what RFC 8187 calls attr-char, besides letters and digits


class FileResponse(Response):
    """A file, or a section of one.  Conditional requests and ranges are answered as they ask.

    ``path``        the file; raises NotFound (404) when there is none, Refused (403) when it may not be read
    ``folder``      the path was made from what a client said: it is looked for below this folder and nowhere else
    ``name``        what the client saves it as; by default its own name
    ``type``        its content type; by default by its name
    ``attachment``  True: to be saved, False: to be shown, None: says neither and tells no name
    ``offset``, ``length``  only these bytes of it, as if they were all
    ``headers``     further fields, such as Cache-Control
    """

    __slots__ = ()

    def __init__(
        self,
        path: str | Path,
        *,
        folder: str | Path | None = None,
        name: str = "",
        type: str = "",
        attachment: bool | None = None,
        offset: int = 0,
        length: int | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        own = Path(path).name
        fields = list(headers)
        if attachment is not None or name:
            fields.append(("Content-Disposition", disposition(name or own, attachment=attachment is not False)))
        file = open_file(path) if folder is None else open_below(folder, str(path))
        if offset or length is not None:
            _section(file, offset, length)
        super().__init__(file, 200, type or content_type_of(name or own), fields)

    def answer(self, request: Request) -> Response:
        body = self.body
        if type(body) is not FileBody:  # a layer put something else in its place
            return self
        if self.status != 200 or request.method not in ("GET", "HEAD"):  # conditions and ranges are about what GET would give
            return whole(request, body, self.status, self.content_type, self.headers)
        return answer_with(request, body, self.content_type, self.headers)


def _section(file: FileBody, offset: int, length: int | None) -> None:
    left = file.length - offset
    if offset < 0 or left < 0 or (length is not None and not 0 <= length <= left):
        size = file.length
        file.close()
        raise ValueError(f"the section {offset}+{length} is not within the {size} bytes of the file")
    file.take(offset, left if length is None else length)
    file.etag = entity_tag(f"{file.etag[1:-1]}-{file.offset:x}-{file.length:x}")


def disposition(name: str, *, attachment: bool) -> str:
    """Content-Disposition with a name (RFC 6266), in UTF-8 for those that know (RFC 8187), in ASCII for the others.

    Folders in the name are left off, and what no file name should hold becomes ``_``.
    """
    name = name.replace("\\", "/").rpartition("/")[2]
    name = "".join(letter if letter.isprintable() else "_" for letter in name) or "file"
    simple = "".join(letter if letter.isascii() and letter not in '"%;' else "_" for letter in name)
    said = f'{"attachment" if attachment else "inline"}; filename="{simple}"'
    return said if simple == name else f"{said}; filename*=UTF-8''{quote(name, safe=_KEPT)}"
