"""Commands as a page shows them: run, typed into, and compared with what they print."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path

from greenimi.testing.support import free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 20.0
_PORTS = {"8000": socket.SOCK_STREAM, "9000": socket.SOCK_STREAM, "9001": socket.SOCK_DGRAM}
_CONTROL = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[78])|\r")
_SERVES = re.compile(r"(\w+=\S+ )*(greenimi serve|gunicorn )")
_SHIM = '#!/bin/sh\nexec "{python}" {what} "$@"\n'


class Terminal:
    """One page's terminal.  Its ports 8000, 9000 and 9001 stand for free ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = self._root = folder
        self._ports = {port: str(free_port(kind)) for port, kind in _PORTS.items()}
        self._aside = folder.with_name("aside")  # what commands print, and what an installed greenimi would have on the path
        self._aside.mkdir()
        self._serving: subprocess.Popen[bytes] | None = None
        self._printed = 0
        for name, what in {"greenimi": ROOT / "greenimi/__main__.py", "pytest": "-m pytest -p no:cacheprovider"}.items():
            (self._aside / name).write_text(_SHIM.format(python=sys.executable, what=what))
            (self._aside / name).chmod(0o755)

    def stop_serving(self) -> None:
        process, self._serving = self._serving, None
        if process is not None:
            with suppress(ProcessLookupError):  # a command of the page may have ended it
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(PATIENCE)

    def with_ports(self, text: str) -> str:
        """``text`` with the free ports in it."""
        return re.sub(rf"\b({'|'.join(self._ports)})\b", lambda port: self._ports[port[0]], text)

    def run(self, text: str, line: int) -> None:
        """The commands of a block that begins at ``line``.  AssertionError for other output than it says."""
        for number, command, answers in _sessions(text, line):
            if command.startswith("cd "):
                self.folder /= command.removeprefix("cd ")
                continue
            try:
                self._session(command, answers)
            except (AssertionError, subprocess.TimeoutExpired) as error:
                raise AssertionError(f"line {number}: $ {command}\n{error}") from error

    def _session(self, command: str, answers: list[str]) -> None:
        serves = _SERVES.match(command) is not None
        if serves:
            self.stop_serving()
        self._printed += 1
        output = self._aside / f"printed-{self._printed}"
        process = self._start(command, output)
        assert process.stdin is not None
        expected: list[str] = []
        typed = False  # something, and nothing was printed since
        for answer in answers:
            if answer.startswith("> "):
                process.stdin.write(f"{answer[2:]}\n".encode())
                process.stdin.flush()
                typed = True
                continue
            expected.append(answer)
            if typed or serves:
                typed = False
                self._wait(process, expected, output)
        if serves:
            self._serving = process
            return
        process.stdin.close()
        process.wait(PATIENCE)
        _compare(expected, output)

    def _wait(self, process: subprocess.Popen[bytes], expected: list[str], output: Path) -> None:
        """Until what is printed begins as expected, or no more will come."""
        try:
            wait_until(lambda: _matches(expected, output, more=".*") or process.poll() is not None, PATIENCE)
        except AssertionError:
            process.kill()
        _compare(expected, output, more=".*")

    def _start(self, command: str, output: Path) -> subprocess.Popen[bytes]:
        for conf in self._root.rglob("*.toml"):
            if (text := conf.read_text()) != self.with_ports(text):  # what is right already may be being read
                conf.write_text(self.with_ports(text))
        env = {key: value for key, value in os.environ.items() if not key.startswith(("GREENIMI", "PYTEST"))}
        env |= {"PYTHONPATH": str(ROOT), "PATH": f"{self._aside}:{Path(sys.executable).parent}:{env.get('PATH', '')}"}
        if not any(found.name == "greenimi" for found in entry_points(group="pytest11")):
            env["PYTEST_ADDOPTS"] = "-p greenimi.testing.plugin"
        with output.open("wb") as out:
            return subprocess.Popen(
                ["bash", "-c", command], cwd=self.folder, env=env, stdin=subprocess.PIPE, stdout=out, stderr=out, start_new_session=True
            )


def _sessions(text: str, line: int) -> Iterator[tuple[int, str, list[str]]]:
    """Each command of a block with its line, and what follows it: answers, and what is typed."""
    assert text.startswith("$ "), "a console block begins with a command after `$ `"
    for found in re.finditer(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
        yield line + text.count("\n", 0, found.start()), found[1].replace("\\\n", ""), found[2].splitlines()


def _plain(text: str) -> str:
    """Without what terminals and the widths of columns add."""
    lines = (re.sub(r"^(> ?)+", "", " ".join(line.split())) for line in _CONTROL.sub("", text).splitlines())
    return "\n".join(line for line in lines if line)


def _matches(expected: list[str], output: Path, more: str = "") -> bool:
    pattern = ".*".join(map(re.escape, _plain("\n".join(expected)).split("...")))
    return re.fullmatch(pattern + more, _plain(output.read_text()), re.DOTALL) is not None


def _compare(expected: list[str], output: Path, more: str = "") -> None:
    assert _matches(expected, output, more), "expected:\n{}\nfound:\n{}".format("\n".join(expected), output.read_text())
