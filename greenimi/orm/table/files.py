"""What the files of shared tables and channels have in common."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

_MEND = 10.0  # seconds


def path_of(folder: Path, name: str, kind: str) -> Path:
    """Another one after each start of the machine, as files that are never forced to the disk may be damaged then.

    Those of earlier runs are removed.
    """
    path = folder / f"{name}{_boot()}.{kind}"
    for other in folder.glob(f"{name}-*.{kind}*"):
        if not other.name.startswith(path.name):
            other.unlink(missing_ok=True)
    return path


@cache
def _boot() -> str:
    """What tells this run of the machine from others, where it says so."""
    try:
        return "-" + Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


class Mending:
    """Looks now and then whether somebody has removed the file, as who cleans up folders may."""

    def __init__(self, mend: Callable[[], None]) -> None:
        self._mend = mend
        self._next = time.monotonic() + _MEND

    def now_and_then(self) -> None:
        if time.monotonic() > self._next:
            self._next = time.monotonic() + _MEND
            self._mend()
