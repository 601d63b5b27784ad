"""Folders of services: where their data are, and templates of data that take seconds to make."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from greenimi.testing.services.processes import ProcessId

_PREFIX = "greenimi-"


def new_folder(kind: str, attached: bool) -> Path:
    """A fresh folder for a service.

    Those that are ``attached`` to this process bear its id: what processes left behind that were killed, the next one sweeps away.
    """
    if not attached:
        return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{kind}-"))
    _sweep()
    me = ProcessId.of(os.getpid())
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{me.pid}-{me.started}-{kind}-"))


@cache
def _sweep() -> None:
    """Remove the folders of this user's processes that are gone; once in the life of a process."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*-*"):
        pid, started, *_ = folder.name.removeprefix(_PREFIX).split("-")
        if pid.isdigit() and started.isdigit() and not ProcessId(int(pid), int(started)).alive:
            shutil.rmtree(folder, ignore_errors=True)  # another user's stays


def belongs_to(folder: Path, user: str) -> None:
    """Give a folder and all in it to that user."""
    for path in (folder, *folder.rglob("*")):
        if path.owner() != user:
            shutil.chown(path, user, user)


def copy_template(name: str, version: str, make: Callable[[Path], None], to: Path) -> None:
    """Put a copy of the folder that ``make(folder)`` makes to ``to``; neither exists yet.

    It is made once for each user and each ``version``, which is all that changes what comes out, and kept in the user's cache folder.
    Several processes may do this at a time.
    """
    cached = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "greenimi/services"
    template = cached / f"{name}-{hashlib.sha256(version.encode()).hexdigest()[:12]}"
    if not template.exists():
        with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}template-") as made:  # where other users may go as well, unlike the cache
            make(Path(made) / "data")
            _keep(Path(made) / "data", template)
    shutil.copytree(template, to, symlinks=True)


def _keep(made: Path, template: Path) -> None:
    template.parent.mkdir(parents=True, exist_ok=True)
    copy = Path(tempfile.mkdtemp(dir=template.parent))
    try:
        shutil.copytree(made, copy, symlinks=True, dirs_exist_ok=True)
        copy.rename(template)
    except OSError:
        if not template.exists():  # else another process was faster
            raise
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def version_of(program: str) -> str:
    """What a program says to ``--version``."""
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout  # noqa: S603 - looked up by the caller
