"""The run folder by which the workers of a service meet: made by its master, kept through upgrades, removed by the last master.

Every master of the service holds the folder locked for as long as it lives, so another master can tell folders that nobody needs any more.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import MutableMapping
from pathlib import Path

from greenimi.errors import ConfigError
from greenimi.green import native_close
from greenimi.hub.run_folder import VARIABLE, is_held

_LAST_WORKERS = 1.0
"""Seconds for workers that were killed to be gone."""

_close = native_close()  # gevent's own waits for a turn of the hub, and none turns in the master


class MasterFolder:
    """Used by the master; workers find the folder in their environment."""

    def __init__(self, beside: Path, uid: int, gid: int, environ: MutableMapping[str, str]) -> None:
        """Take over the folder of the master before this one, or make one.  Raises ConfigError.

        ``beside``: the folder of control sockets, where it is made; workers of another user could not enter that one, so theirs is among
        the temporary files.
        """
        inherited = environ.get(VARIABLE, "") if environ.get("GUNICORN_PID") == str(os.getppid()) else ""
        pattern = "hub-"
        if uid != os.geteuid():
            beside, pattern = Path(tempfile.gettempdir()), "greenimi-hub-"
        try:
            _remove_stale(beside, pattern, uid)
            if inherited and Path(inherited).is_dir():  # else it was meant for a process above us
                self.path = Path(inherited)
                self._lock = _share(self.path)
            else:
                made = Path(tempfile.mkdtemp(prefix=f"new-{pattern}", dir=beside))
                self._lock = _share(made)
                self.path = made.rename(made.with_name(made.name.removeprefix("new-")))  # locked before anybody takes it for left behind
                os.chown(self.path, uid, gid, follow_symlinks=False)
        except OSError as error:
            raise ConfigError(
                f"the workers' folder in {beside} cannot be made: {error.strerror}", hint="say where it can be: [workers] control"
            ) from None
        environ[VARIABLE] = str(self.path)

    def hand_over(self, environ: MutableMapping[str, str]) -> None:
        """Have the master of an upgrade find it."""
        environ[VARIABLE] = str(self.path)

    def leave(self) -> None:
        """In a worker: close the copy."""
        _close(self._lock)

    def close(self, *, last: bool) -> None:
        """Of the ``last`` master: remove it, unless another one, or a worker, lives after all."""
        if last and _lock_alone(self._lock):
            until = time.monotonic() + _LAST_WORKERS
            while (inhabited := _is_inhabited(self.path)) and time.monotonic() < until:
                time.sleep(0.01)
            if not inhabited:
                shutil.rmtree(self.path, ignore_errors=True)
        _close(self._lock)


def _remove_stale(parent: Path, pattern: str, uid: int) -> None:
    """Those whose masters and workers were killed."""
    for path in parent.glob(f"{pattern}*"):
        try:
            found = path.lstat()
            if found.st_uid != uid or not stat.S_ISDIR(found.st_mode):
                continue
            lock = _open(path)
        except OSError:  # another one removes it
            continue
        try:
            if _lock_alone(lock) and not _is_inhabited(path):
                shutil.rmtree(path, ignore_errors=True)
        finally:
            _close(lock)


def _is_inhabited(folder: Path) -> bool:
    return any(is_held(lock) for lock in folder.glob("*.lock"))


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _share(folder: Path) -> int:
    lock = _open(folder)
    fcntl.flock(lock, fcntl.LOCK_SH)
    return lock


def _lock_alone(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
