"""Uploaded files: small ones in memory, larger ones in files that have no name and go when the request is done."""

from __future__ import annotations

import io
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePath
from typing import IO

from greenimi.green import in_thread, sleep
from greenimi.message import Headers

_PIECE = 256 * 1024
_NO_HEADERS = Headers()


class UploadedFile:
    """One file of a multipart form.  Closed at the end of the message it came with; what is to stay must be saved until then.

    ``name``          of the form's field
    ``filename``      what the client calls it, without folders and control characters; ``""`` when it does not say.  Good to show, no path
    ``content_type``  what the client says it is; nobody looked
    ``headers``       all header fields of the part
    ``size``          bytes
    ``file``          the open file, binary, at its beginning
    """

    __slots__ = ("_folder", "content_type", "file", "filename", "headers", "name", "size")

    def __init__(
        self, name: str, filename: str, content_type: str, file: IO[bytes], size: int, headers: Headers = _NO_HEADERS, *, folder: str = ""
    ) -> None:
        self.name = name
        self.filename = filename
        self.content_type = content_type
        self.file = file
        self.size = size
        self.headers = headers
        self._folder = folder  # for temporary files

    def read(self, size: int = -1) -> bytes:
        """The next ``size`` bytes, by default all that is left."""
        return self.file.read(size)

    def chunks(self, size: int = _PIECE) -> Iterator[bytes]:
        """The whole file in pieces, from its beginning; others get their turn between two of them."""
        self.file.seek(0)
        while piece := self.file.read(size):
            yield piece
            sleep(0)

    @property
    def path(self) -> Path:
        """A path under which this process and its children can open the file until the end of the message."""
        if isinstance(self.file, io.BytesIO):
            where = self.file.tell()
            file = temporary_file(self._folder)
            file.write(self.file.getbuffer())
            file.flush()
            file.seek(where)
            self.file.close()
            self.file = file
        return Path(f"/proc/{os.getpid()}/fd/{self.file.fileno()}")

    def save(self, folder: str | os.PathLike[str], name: str = "", *, overwrite: bool = False, mode: int = 0o600) -> Path:
        """Keep it as ``name`` in ``folder``, which must exist; by default under a new random name.  Returns the path.

        Raises ValueError when ``name`` is not the plain name of a file: nothing is ever written elsewhere than in ``folder``.
        FileExistsError when there is one of that name, unless ``overwrite``.  The file appears at once, complete.
        """
        name = name or secrets.token_hex(16)
        if name in (".", "..") or "\0" in name or PurePath(name).name != name:
            raise ValueError(f"{name!r} is not the name of a file within a folder")
        target = Path(folder) / name
        beside = Path(folder) / f".{secrets.token_hex(8)}.part"
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as copy:
                os.fchmod(descriptor, mode)  # whatever the umask
                copy.writelines(self.chunks())
            if overwrite:
                beside.replace(target)
            else:
                os.link(beside, target)
        finally:
            beside.unlink(missing_ok=True)
        self.file.seek(0)
        return target

    def close(self) -> None:
        """Let go of it.  Twice does nothing."""
        close_file(self.file)

    def __repr__(self) -> str:
        return f"<UploadedFile {self.name} {self.filename!r} {self.size} bytes>"


def temporary_file(folder: str = "") -> IO[bytes]:
    """A file without a name, so that nothing is left of it when it is closed, nor when the process dies."""
    return tempfile.TemporaryFile(dir=folder or None)


def close_file(file: IO[bytes]) -> None:
    """Of a large file without a name the system frees all pages on the spot, while others go on."""
    if isinstance(file, io.BytesIO):
        file.close()
    elif not file.closed:
        with suppress(OSError):  # of what the disk had no room for: it goes all the same
            in_thread(file.close)


def plain_name(filename: str) -> str:
    """What is left of a client's file name without folders and control characters; ``""`` of one that means a folder."""
    name = filename.replace("\\", "/").rpartition("/")[2]
    name = "".join(character for character in name if character.isprintable())
    return "" if name in (".", "..") else name
