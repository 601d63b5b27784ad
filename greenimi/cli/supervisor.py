"""``serve --reload``: a parent that holds the sockets and starts the serving process again when a file changes.

No connection is refused meanwhile: it waits in the parent's sockets until the new process takes it.
"""

from __future__ import annotations

import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import greenimi
from greenimi.cli.output import complain, say
from greenimi.cli.single import Sockets, handed_over, stop_on_signals
from greenimi.cli.watch import Snapshot, changed, snapshot
from greenimi.config import read_conf
from greenimi.errors import StartError
from greenimi.servers.configured import configured_servers
from greenimi.servers.sockets import open_sockets

INTERVAL = 0.2
"""Seconds between two looks at the files."""

PATIENCE = 3.0
"""Seconds that a process has to finish its messages before it is killed."""

_MAIN = Path(greenimi.__file__).with_name("__main__.py")


class Supervisor:
    """Runs ``serve --single`` in a child process.  The child has the terminal: ``breakpoint()`` reads from it."""

    def __init__(self, conf: Path, argv: Sequence[str]) -> None:
        self._conf = conf
        self._argv = list(argv)
        self._folder = application_folder(conf)
        self._sockets: Sockets = {}
        self._opened: dict[str, tuple[str, str]] = {}
        self._child: subprocess.Popen[bytes] | None = None
        self._terminal = _terminal()

    def run(self) -> int:
        """Until SIGINT or SIGTERM.  Raises StartError when conf cannot be read or an address is taken at the first start."""
        self._open()
        stop = stop_on_signals()
        seen = snapshot(self._folder)
        say(f"watching {self._folder}")
        self._start()
        try:
            while not stop.wait(INTERVAL):
                seen = self._look(seen)
        finally:
            self._end()
        return 0

    def _look(self, seen: Snapshot) -> Snapshot:
        now = snapshot(self._folder)
        if now != seen:
            say(f"changed: {changed(seen, now)}; starting again")
            self._end()
            try:
                self._open()
                self._start()
            except StartError as error:
                complain(error)
                say("waiting for a change")
        elif self._child is not None and (status := self._child.poll()) is not None:
            self._forget()
            say(f"it ended with status {status}; waiting for a change")
        return now

    def _open(self) -> None:
        """Have the sockets that conf asks for now: what it still asks for stays open all the time."""
        wanted = configured_servers(read_conf(self._conf, argv=self._argv))
        addresses = {name: (settings.kind, settings.bind) for name, settings in wanted.items()}
        for name in [name for name, address in self._opened.items() if addresses.get(name) != address]:
            del self._opened[name]
            for sock in self._sockets.pop(name, ()):
                sock.close()
        new = open_sockets({name: settings for name, settings in wanted.items() if name not in self._opened})
        self._sockets |= new
        self._opened = addresses

    def _start(self) -> None:
        # -B: bytecode knows its source by seconds and size, so a second change within a second would not be seen
        command = [
            sys.executable,
            "-B",
            str(_MAIN),
            "serve",
            str(self._conf),
            "--single",
            "--sockets",
            handed_over(self._sockets),
            *self._argv,
        ]
        descriptors = [sock.fileno() for opened in self._sockets.values() for sock in opened]
        self._child = subprocess.Popen(command, pass_fds=descriptors)  # noqa: S603 - ourselves

    def _end(self) -> None:
        if self._child is None:
            return
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        self._forget()

    def _forget(self) -> None:
        self._child = None
        if self._terminal is not None:  # a debugger that was killed at its prompt leaves the terminal without echo
            termios.tcsetattr(sys.stdin, termios.TCSANOW, self._terminal)


def application_folder(conf: Path) -> Path:
    """Where the application lies: the folder of its conf, or the one above ``conf/``."""
    folder = conf.resolve().parent
    return folder.parent if folder.name == "conf" else folder


def _terminal() -> list[Any] | None:
    """The state of the terminal; None when there is none."""
    return termios.tcgetattr(sys.stdin) if sys.stdin is not None and sys.stdin.isatty() else None
