"""Which files of an application changed: its Python and TOML files and ``.env``, by size and time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from greenimi.errors import StartError

SUFFIXES = (".py", ".toml")
MOST_FILES = 20_000
"""More than a look five times a second should go through."""

Snapshot = dict[str, tuple[int, int, int]]
"""Time of change in nanoseconds, size and inode of each file, by its path."""


def snapshot(folder: Path) -> Snapshot:
    """The files below ``folder``, without hidden folders, ``__pycache__``, virtual environments and what links point to."""
    found: Snapshot = {}
    for entry in _files(str(folder)):
        try:
            state = entry.stat()
        except OSError:  # it went away meanwhile
            continue
        found[entry.path] = (state.st_mtime_ns, state.st_size, state.st_ino)
        if len(found) > MOST_FILES:
            raise StartError(f"{folder} holds more than {MOST_FILES} files to watch", hint="give the application a folder of its own")
    return found


def _files(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    if any(entry.name == "pyvenv.cfg" for entry in entries):
        return
    for entry in entries:
        name = entry.name
        if entry.is_dir(follow_symlinks=False):
            if not name.startswith(".") and name not in ("__pycache__", "node_modules"):
                yield from _files(entry.path)
        elif name == ".env" or (name.endswith(SUFFIXES) and not name.startswith(".")):
            yield entry


def changed(before: Snapshot, after: Snapshot) -> str:
    """The names of files that came, went or changed; at most three."""
    names = sorted({Path(path).name for path, _ in before.items() ^ after.items()})
    return ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")
