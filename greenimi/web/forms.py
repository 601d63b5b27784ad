"""A multipart form as it arrives: its texts in memory, its files in memory or in temporary files, everything bounded."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterable
from tempfile import gettempdir
from typing import IO, Any

from greenimi.container.context import scope
from greenimi.errors import BadMessage, ConfigError, Overloaded, Refusal, TooLarge
from greenimi.green import in_thread
from greenimi.message import Request
from greenimi.web.multipart import MultipartParser, Part, boundary_of
from greenimi.web.settings import UploadSettings
from greenimi.web.uploads import UploadedFile, close_file, plain_name, temporary_file

log = logging.getLogger("greenimi.web")


class Uploads:
    """What the forms of a server may bring, and how many bytes of temporary files they hold at the moment."""

    def __init__(self, settings: UploadSettings) -> None:
        """Raises ConfigError when there is no folder for temporary files."""
        if settings.folder and not os.access(settings.folder, os.W_OK | os.X_OK):
            raise ConfigError(f"uploads.folder: files cannot be written to {settings.folder!r}")
        self.settings = settings
        self.on_disk = 0


_WRITTEN = 256 * 1024
"""Bytes that are written to a temporary file at a time."""

_ANYWHERE = Uploads(UploadSettings())  # for requests that no server of conf took, such as those of tests


def read_form(request: Request) -> dict[str, Any]:
    """Texts and UploadedFiles by name, in a list where a name comes several times.  Blocks until the form arrived.

    Files live until the end of the message.  Raises BadMessage (400), TooLarge (413), Refusal (415), Overloaded (503).
    """
    boundary = boundary_of(request.headers.get("content-type", ""))
    place = scope()
    form = FormReader(place.container.query(Uploads) or _ANYWHERE)
    place.defer(form.close)
    pieces: Iterable[bytes] = (request.raw,) if request.stream is None else request.stream  # type: ignore[assignment]
    return form.read(pieces, boundary)


class FormReader:
    """Reads one form."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads
        self._limits = uploads.settings
        self._values: dict[str, Any] = {}
        self._part: Part | None = None
        self._data: list[bytes] = []  # of this part: its text, or what of its file is to be written
        self._waiting = 0  # bytes of a file that are to be written
        self._file: IO[bytes] | None = None  # of this part: the temporary file; None: it is small
        self._files: list[UploadedFile] = []
        self._size = 0  # of this part so far
        self._fields = self._parts_with_files = self._text_size = 0
        self._on_disk = 0

    def read(self, pieces: Iterable[bytes], boundary: str) -> dict[str, Any]:
        """Of all the body."""
        parser = MultipartParser(boundary, self._limits.max_head)
        received = 0
        for piece in pieces:
            received += len(piece)
            if self._limits.max_body and received > self._limits.max_body:
                raise TooLarge(f"the form is over {self._limits.max_body} bytes")
            for event in parser.feed(piece):
                if isinstance(event, bytes):
                    self._take(event)
                elif isinstance(event, Part):
                    self._begin(event)
                else:
                    self._end()
        parser.close()
        return self._values

    def close(self) -> None:
        """The message is done: let go of all files."""
        try:
            for file in self._files:
                file.close()
            if self._file is not None:  # of a part that did not end
                close_file(self._file)
        finally:
            self._uploads.on_disk -= self._on_disk
            self._on_disk = 0

    def _begin(self, part: Part) -> None:
        limits = self._limits
        self._part = part
        self._size = self._waiting = 0
        self._data = []
        if part.filename is None:
            self._fields += 1
            if self._fields > limits.max_fields:
                raise TooLarge(f"the form has more than {limits.max_fields} fields")
        else:
            self._parts_with_files += 1
            if self._parts_with_files > limits.max_files:
                raise TooLarge(f"the form has more than {limits.max_files} files")

    def _take(self, data: bytes) -> None:
        part, limits = self._part, self._limits
        assert part is not None
        self._size += len(data)
        self._data.append(data)
        if part.filename is None:
            self._text_size += len(data)
            if self._size > limits.max_field:
                raise TooLarge(f"the field {part.name[:100]} is over {limits.max_field} bytes")
            if self._text_size > limits.max_text:
                raise TooLarge(f"the fields of the form are over {limits.max_text} bytes")
            return
        if limits.max_file and self._size > limits.max_file:
            raise TooLarge(f"the file {part.name[:100]} is over {limits.max_file} bytes")
        self._waiting += len(data)
        if self._size > limits.memory and self._waiting >= _WRITTEN:
            self._write()

    def _write(self) -> None:
        """To the disk, which may be slow: others go on meanwhile."""
        if self._uploads.on_disk + self._waiting > self._limits.disk:
            raise Overloaded("too many files are being uploaded at the moment", headers=[("Retry-After", "60")])
        self._uploads.on_disk += self._waiting
        self._on_disk += self._waiting
        data = b"".join(self._data)
        self._data.clear()
        self._waiting = 0
        try:
            if self._file is None:
                self._file = temporary_file(self._limits.folder)
            in_thread(_write, self._file, data)
        except OSError as error:
            log.error("an uploaded file cannot be kept in %s: %s", self._limits.folder or gettempdir(), error)
            raise Refusal("uploaded files cannot be kept at the moment", status=507) from None

    def _end(self) -> None:
        part = self._part
        assert part is not None
        if part.filename is None:
            try:
                add_value(self._values, part.name, b"".join(self._data).decode())
            except UnicodeDecodeError:
                raise BadMessage(f"the field {part.name[:100]} of the form is not in UTF-8", details={"field": part.name}) from None
        elif part.filename or self._size:  # without both it is what browsers send where no file was chosen
            add_value(self._values, part.name, self._uploaded(part, part.filename))

    def _uploaded(self, part: Part, filename: str) -> UploadedFile:
        if self._size > self._limits.memory and self._waiting:
            self._write()
        file = self._file or io.BytesIO(b"".join(self._data))
        file.seek(0)
        self._file = None
        kind = part.content_type or "application/octet-stream"
        found = UploadedFile(part.name, plain_name(filename), kind, file, self._size, part.headers, folder=self._limits.folder)
        self._files.append(found)
        return found


def _write(file: IO[bytes], data: bytes) -> None:
    """All of it, so that a disk that is full is noticed here."""
    file.write(data)
    file.flush()


def add_value(values: dict[str, Any], name: str, value: Any) -> None:
    """A value of a form: alone under its name, in a list with others of that name."""
    known = values.get(name)
    if known is None:
        values[name] = value
    elif isinstance(known, list):
        known.append(value)
    else:
        values[name] = [known, value]
