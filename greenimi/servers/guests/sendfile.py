"""Which of the files that WSGI applications return the kernel can send."""

from __future__ import annotations

import io
import os
import stat
from typing import Any


def sendable(file: Any) -> tuple[int, int, int] | None:
    """Descriptor, position and number of bytes left of an open regular file; None for everything else.

    Only for what reads the file's very bytes: others, such as gzip's, have a descriptor, too.
    """
    if not isinstance(getattr(file, "raw", file), io.FileIO):
        return None
    try:
        descriptor = file.fileno()
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or not found.st_size:  # files of the kernel have no size, but something in them
            return None
        offset = file.tell()
    except (OSError, ValueError):  # closed
        return None
    return descriptor, offset, max(0, found.st_size - offset)
