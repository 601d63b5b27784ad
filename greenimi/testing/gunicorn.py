"""A real Gunicorn with real workers, for live tests."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from greenimi.config import read_conf
from greenimi.servers.master.calling import ask
from greenimi.servers.master.control import control_path
from greenimi.testing.support import free_port, wait_until

_STARTS = 30.0
"""Seconds that a start or an end may take on a busy machine."""


class Gunicorn:
    """``gunicorn -c conf/gunicorn.conf.py`` as a process of its own.

    addresses  where each server of conf listens, by its name: free ports of 127.0.0.1.
    process    the master; ``process.pid`` takes signals.
    control    the folder of its control socket.
    """

    def __init__(
        self, gunicorn_conf: Path, conf: Path, workers: int, settings: Mapping[str, str], log: Path, command: Sequence[str] = ()
    ) -> None:
        """``command``: what the interpreter runs, ``-m gunicorn -c gunicorn_conf`` unless it is given."""
        self.addresses: dict[str, tuple[str, int]] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self._log = log
        self._conf = gunicorn_conf
        self._command = command or ("-m", "gunicorn", "-c", str(gunicorn_conf))
        self.control = log.parent / "run"
        self._env = {**os.environ, "GREENIMI_CONF": str(conf.resolve()), "GREENIMI__WORKERS__COUNT": str(workers)}
        for name, found in read_conf(conf).section("servers").items():
            kind = socket.SOCK_DGRAM if found.get("kind") == "udp" else socket.SOCK_STREAM
            self.addresses[name] = ("127.0.0.1", free_port(kind))
            self._env[_variable(f"servers.{name}.bind")] = "{}:{}".format(*self.addresses[name])
        for key, value in {"workers.control": str(self.control), **settings}.items():
            self._env[_variable(key)] = value

    def start(self) -> None:
        """Start it and wait until all workers are ready.  AssertionError with the log."""
        command = [sys.executable, *self._command]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter
                command, env=self._env, cwd=self._conf.parent.parent, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(self._is_up, _STARTS)

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"gunicorn ended with {self.process.returncode}:\n{self.log}"
        status = self.status()
        return bool(status and status["master"]["complete"])

    def status(self, pid: int | None = None) -> Mapping[str, Any]:
        """What the master tells of itself, or another one that it started (an upgrade); empty when it does not answer."""
        try:
            found: Mapping[str, Any] = ask(control_path(self.control, pid or self.pid), {"do": "status"})["status"]
        except OSError:
            return {}
        return found

    @property
    def ready(self) -> list[int]:
        """The process ids of the workers that are ready now, by their places."""
        return [worker["pid"] for worker in self.status().get("workers", ()) if worker["state"] == "ready"]

    @property
    def pid(self) -> int:
        """Of the master."""
        assert self.process is not None, "it was not started"
        return self.process.pid

    @property
    def log(self) -> str:
        """What it wrote so far."""
        return self._log.read_text(errors="replace")

    @property
    def booted(self) -> list[int]:
        """The process ids of all workers so far, those that ended as well."""
        return [int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", self.log)]

    def signal(self, number: int) -> None:
        """Send a signal to the master."""
        os.kill(self.pid, number)

    def stop(self) -> int | None:
        """End it in order, by force when that takes too long.  Its exit status; calling it twice does nothing."""
        process = self.process
        if process is None:
            return None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STARTS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(_STARTS)
        return process.returncode


def _variable(key: str) -> str:
    return "GREENIMI__" + key.upper().replace(".", "__")
