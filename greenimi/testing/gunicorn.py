"""A real Gunicorn with real workers, for live tests."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from greenimi.app import read_conf
from greenimi.testing.support import free_port, wait_until

_STARTS = 30.0
"""Seconds that a start or an end may take on a busy machine."""


class Gunicorn:
    """``gunicorn -c conf/gunicorn.conf.py`` as a process of its own.

    addresses  where each server of conf listens, by its name: free ports of 127.0.0.1.
    process    the master; ``process.pid`` takes signals.
    """

    def __init__(self, gunicorn_conf: Path, conf: Path, workers: int, settings: Mapping[str, str], log: Path) -> None:
        self.addresses: dict[str, tuple[str, int]] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self._kinds: dict[str, str] = {}
        self._log = log
        self._conf = gunicorn_conf
        self._workers = workers
        self._env = {**os.environ, "GREENIMI_CONF": str(conf.resolve()), "GREENIMI__WORKERS__COUNT": str(workers)}
        for name, found in read_conf(conf).section("servers").items():
            self._kinds[name] = found.get("kind", "http")
            self.addresses[name] = ("127.0.0.1", free_port(socket.SOCK_DGRAM if self._kinds[name] == "udp" else socket.SOCK_STREAM))
            self._env[_variable(f"servers.{name}.bind")] = "{}:{}".format(*self.addresses[name])
        for key, value in settings.items():
            self._env[_variable(key)] = value

    def start(self) -> None:
        """Start it and wait until all workers were started and every HTTP server answers.  AssertionError with the log."""
        command = [sys.executable, "-m", "gunicorn", "-c", str(self._conf)]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter
                command, env=self._env, cwd=self._conf.parent.parent, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(self._is_up, _STARTS)

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"gunicorn ended with {self.process.returncode}:\n{self.log}"
        return len(self.booted) >= self._workers and all(_answers(self._kinds[name], address) for name, address in self.addresses.items())

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


def _answers(kind: str, address: Any) -> bool:
    """Whether an HTTP server answers; of the other kinds nothing can be known."""
    if kind != "http":
        return True
    link = http.client.HTTPConnection(address[0], address[1], timeout=1)
    try:
        link.request("OPTIONS", "*")
        return link.getresponse().status > 0
    except (OSError, http.client.HTTPException):
        return False
    finally:
        link.close()
