"""The socket by which ``greenimi status``, ``reload`` and ``drain`` talk to a running master.

One a master, named by its process id, in a folder that only its user may enter.  A request is one line of JSON, ``{"do": "status"}``;
the answer is lines of JSON, any number of ``{"says": text}`` and one last that has ``done``: True or False.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from greenimi.errors import ConfigError

_MOST = 16
_LONGEST = 1 << 16
_PATIENCE = 1.0
_SILENCE = 5.0
"""Seconds for a caller to ask."""


def control_folder(configured: str = "") -> Path:
    """Where the sockets of this user's masters are; made when there is none.  ConfigError when others could enter it."""
    if configured:
        folder = Path(configured)
    elif os.environ.get("XDG_RUNTIME_DIR") and Path(os.environ["XDG_RUNTIME_DIR"]).is_dir():
        folder = Path(os.environ["XDG_RUNTIME_DIR"]) / "greenimi"
    else:
        folder = Path(tempfile.gettempdir()) / f"greenimi-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat() if configured else folder.lstat()  # a link among the temporary files may be anybody's
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be made: {error.strerror}", hint="say where control sockets may be: [workers] control"
        ) from None
    if not configured and (found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode)):
        raise ConfigError(f"{folder} is not a folder of this user", hint="remove it, or say where: [workers] control")
    if not configured and stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigError(f"{folder} can be entered by others", hint=f"chmod 700 {folder}, or say where: [workers] control")
    return folder


def control_path(folder: Path, pid: int) -> Path:
    return folder / f"{pid}.sock"


class Caller:
    """Somebody who asked; kept until the last word is said."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.setblocking(False)
        self.since = time.monotonic()
        self._read = b""

    def fileno(self) -> int:
        return self.sock.fileno()

    def question(self) -> dict[str, Any] | None:
        """The request once it is complete.  ConnectionError when there will be none."""
        try:
            data = self.sock.recv(_LONGEST)
        except BlockingIOError:
            return None
        self._read += data
        if b"\n" in self._read:
            try:
                found = json.loads(self._read.partition(b"\n")[0])
            except ValueError:
                raise ConnectionError("no JSON") from None
            return found if isinstance(found, dict) else {}
        if not data or len(self._read) > _LONGEST:
            raise ConnectionError("no question")
        return None

    def say(self, text: str) -> None:
        self._send({"says": text})

    def answer(self, *, done: bool, **facts: Any) -> None:
        """The last word."""
        self._send({"done": done, **facts})
        self.sock.close()

    def _send(self, word: dict[str, Any]) -> None:
        try:
            self.sock.settimeout(_PATIENCE)  # who asks reads; a status of many workers is larger than the kernel's buffer
            self.sock.sendall(json.dumps(word).encode() + b"\n")
            self.sock.setblocking(False)
        except OSError:
            self.sock.close()


class Control:
    """The master's end.  ``ask(question, caller)`` answers, then or later."""

    def __init__(self, folder: Path, ask: Callable[[dict[str, Any], Caller], None]) -> None:
        self.path = control_path(folder, os.getpid())
        self._ask = ask
        self._callers: list[Caller] = []
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.path.unlink(missing_ok=True)  # of a process that had our id before
        mask = os.umask(0o177)
        try:
            self._listening.bind(str(self.path))
        except OSError as error:
            self._listening.close()
            raise ConfigError(f"the control socket {self.path} cannot be made: {error.strerror or error}") from None
        finally:
            os.umask(mask)
        self._listening.listen(_MOST)
        self._listening.setblocking(False)

    def descriptors(self) -> list[int]:
        """To be watched for reading."""
        callers = [caller.fileno() for caller in self._callers]
        return callers if len(callers) >= _MOST else [self._listening.fileno(), *callers]

    def serve(self) -> None:
        """Take what came in.  Does not wait."""
        while len(self._callers) < _MOST:
            try:
                self._callers.append(Caller(self._listening.accept()[0]))
            except OSError:
                break
        for caller in list(self._callers):
            try:
                question = caller.question()
                if question is None and time.monotonic() - caller.since > _SILENCE:
                    raise ConnectionError("no question in time")
            except OSError:
                self._callers.remove(caller)
                caller.sock.close()
                continue
            if question is not None:
                self._callers.remove(caller)
                self._ask(question, caller)

    def leave(self) -> None:
        """In a worker: close the copies."""
        self._listening.close()
        for caller in self._callers:
            caller.sock.close()

    def close(self) -> None:
        self.leave()
        self.path.unlink(missing_ok=True)
