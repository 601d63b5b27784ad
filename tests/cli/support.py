"""Applications in folders of their own, and the processes that run them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from greenimi.testing.support import free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
MAIN = str(ROOT / "greenimi/__main__.py")
PATIENCE = 30.0

CONF = """
include = ["greenimi.cli.commands", "app"]
[servers.web]
kind = "http"
bind = "127.0.0.1:8000"
"""

APP = """
from greenimi import get, http

@http
class Hello:
    @get("/hello")
    def hello(self) -> dict[str, str]:
        return {"text": "first"}
"""


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's variables without those that choose an application."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("GREENIMI")}
    return {**own, "PYTHONPATH": str(ROOT), **(more or {})}


class Project:
    """An application in a folder of its own, and the processes that serve it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._served: list[Served] = []
        self.write("conf/app.toml", CONF)
        self.write("app.py", APP)

    def write(self, path: str, text: str) -> None:
        """Put a file in place at once, so that nobody reads half of it."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(".new")
        beside.write_text(text)
        beside.rename(file)

    def run(self, *arguments: str, input: str = "", env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """One command to its end."""
        command = [sys.executable, MAIN, *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=environment(env), input=input, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def serve(self, *arguments: str, start: tuple[str, ...] = (MAIN,), bind: bool = True) -> Served:
        """``greenimi serve`` with its HTTP server on ``port``; it is ended after the test."""
        address = ["--bind", f"web=127.0.0.1:{self.port}"] if bind else []
        served = Served([sys.executable, *start, "serve", *address, *arguments], self.folder, self.port)
        self._served.append(served)
        return served

    def stop(self) -> None:
        for served in self._served:
            served.end()


class Served:
    """A serving process, with what it wrote."""

    def __init__(self, command: list[str], folder: Path, port: int) -> None:
        self.port = port
        self._log = folder / f"served-{port}.out"
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment(), stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def output(self) -> str:
        return self._log.read_text()

    def ask(self, path: str = "/hello") -> Any:
        """The JSON that a new connection is answered with.  Raises OSError when it is refused."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            link.request("GET", path)
            return json.loads(link.getresponse().read())
        finally:
            link.close()

    def until(self, answer: Any, path: str = "/hello", *, refused: bool = True) -> None:
        """Return once it answers so.  A refused connection is an error unless it may be ``refused``; one that is closed is tried again."""

        def answers() -> bool:
            assert self.process.poll() is None, self.output
            try:
                return bool(self.ask(path) == answer)
            except OSError as error:
                if isinstance(error, ConnectionRefusedError) and not refused:
                    raise
                return False

        wait_until(answers, PATIENCE)

    def until_written(self, text: str, times: int = 1) -> None:
        wait_until(lambda: self.output.count(text) >= times, PATIENCE)

    def until_refused(self) -> None:
        def refused() -> bool:
            try:
                socket.create_connection(("127.0.0.1", self.port), PATIENCE).close()
            except ConnectionRefusedError:
                return True
            except ConnectionResetError:  # it came in while the door was closing
                pass
            return False

        wait_until(refused, PATIENCE)

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def wait(self) -> int:
        """Its exit status."""
        return self.process.wait(PATIENCE)

    def end(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        if self.process.poll() is None:
            self.send(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(PATIENCE)
