"""Commands as a page shows them: run, typed into, and compared with what they print."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.metadata import entry_points
from pathlib import Path
from typing import IO, Self

from greenimi.testing.support import free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 20.0
_PORTS = {"8000": socket.SOCK_STREAM, "9000": socket.SOCK_STREAM, "9001": socket.SOCK_DGRAM}
_CONTROL = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[78])|\r")
_SERVES = re.compile(r"(\w+=\S+ )*(greenimi serve|gunicorn )")
_SHIMS = {
    "greenimi": f'exec "{sys.executable}" "{ROOT}/greenimi/__main__.py" "$@"',
    "pytest": f'exec "{sys.executable}" -m pytest -p no:cacheprovider "$@"',
}
"""What an installed greenimi has on the path; a checkout that is not installed has it as well."""


class Terminal:
    """One page's terminal.  Its ports 8000, 9000 and 9001 stand for free ones; commands that serve are ended with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = self._root = folder
        self._ports = {port: str(free_port(kind)) for port, kind in _PORTS.items()}
        self._bin = tempfile.TemporaryDirectory()
        self._serving: list[tuple[subprocess.Popen[bytes], IO[bytes]]] = []
        self._outputs = ExitStack()
        for name, line in _SHIMS.items():
            shim = Path(self._bin.name, name)
            shim.write_text(f"#!/bin/sh\n{line}\n")
            shim.chmod(0o755)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stop_serving()
        self._outputs.close()
        self._bin.cleanup()

    def with_ports(self, text: str) -> str:
        """``text`` with the free ports in it."""
        return re.sub(rf"\b({'|'.join(self._ports)})\b", lambda port: self._ports[port[0]], text)

    def run(self, text: str, line: int) -> None:
        """The commands of a block that begins at ``line``, one after the other.  AssertionError for other output than it says."""
        for number, command, answers in _sessions(text, line):
            if command.startswith("cd "):
                self.folder /= command.removeprefix("cd ")
                continue
            output = self._outputs.enter_context(tempfile.TemporaryFile())
            try:
                self._session(command, answers, output)
            except (AssertionError, subprocess.TimeoutExpired) as error:
                served = "".join(f"\nwhat is served says:\n{_read(log)}" for _, log in self._serving)
                raise AssertionError(f"line {number}: $ {command}\n{error}{served}") from error

    def _session(self, command: str, answers: list[str], output: IO[bytes]) -> None:
        serves = _SERVES.match(command) is not None and "--help" not in command
        if serves:
            self._stop_serving()
        process = self._start(command, output)
        assert process.stdin is not None
        if serves:
            self._serving.append((process, output))
        expected: list[str] = []
        typed = False
        for answer in answers:
            if answer.startswith("> "):
                process.stdin.write(f"{answer[2:]}\n".encode())
                process.stdin.flush()
            else:
                expected.append(answer)
            if typed and not answer.startswith("> ") or serves:
                self._wait(expected, output, process)
            typed = answer.startswith("> ")
        if not serves:
            process.stdin.close()
            process.wait(PATIENCE)
            found = _read(output)
            assert _matches(expected, found), _difference(expected, found)

    def _wait(self, expected: list[str], output: IO[bytes], process: subprocess.Popen[bytes]) -> None:
        """Until what is printed begins as expected."""

        def begins() -> bool:
            assert _matches(expected, _read(output), begins=True) or process.poll() is None, _read(output)
            return _matches(expected, _read(output), begins=True)

        try:
            wait_until(begins, PATIENCE)
        except AssertionError as error:
            raise AssertionError(_difference(expected, _read(output))) from error

    def _start(self, command: str, output: IO[bytes]) -> subprocess.Popen[bytes]:
        for conf in self._root.rglob("*.toml"):
            text = conf.read_text()
            if text != self.with_ports(text):  # what is right already may be being read
                conf.write_text(self.with_ports(text))
        env = {key: value for key, value in os.environ.items() if not key.startswith(("GREENIMI", "PYTEST"))}
        env |= {"PYTHONPATH": str(ROOT), "PATH": f"{self._bin.name}:{Path(sys.executable).parent}:{env.get('PATH', '')}"}
        if not any(found.name == "greenimi" for found in entry_points(group="pytest11")):
            env["PYTEST_ADDOPTS"] = "-p greenimi.testing.plugin"
        pipes = {"stdin": subprocess.PIPE, "stdout": output, "stderr": output}
        return subprocess.Popen(["bash", "-c", command], cwd=self.folder, env=env, start_new_session=True, **pipes)

    def _stop_serving(self) -> None:
        for process, _ in self._serving:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(PATIENCE)
        self._serving.clear()


def _sessions(text: str, line: int) -> Iterator[tuple[int, str, list[str]]]:
    """Each command of a block with its line and what follows it: answers, and what is typed."""
    found: list[tuple[int, str, list[str]]] = []
    for number, one in enumerate(text.splitlines(), line):
        if one.startswith("$ "):
            found.append((number, one[2:], []))
        else:
            assert found, f"line {number}: a console block begins with a command after `$ `"
            before = found[-1]
            if before[1].endswith("\\"):
                found[-1] = (before[0], f"{before[1][:-1]}{one}", [])
            else:
                before[2].append(one)
    yield from found


def _read(output: IO[bytes]) -> str:
    return _plain(os.pread(output.fileno(), 1 << 20, 0).decode())


def _plain(text: str) -> str:
    """Without what terminals and column widths add."""
    lines = (re.sub(r"^(> ?)+", "", " ".join(line.split())) for line in _CONTROL.sub("", text).splitlines())
    return "\n".join(line for line in lines if line)


def _difference(expected: list[str], found: str) -> str:
    return "expected:\n{}\nfound:\n{}".format(_plain("\n".join(expected)), found)


def _matches(expected: list[str], found: str, *, begins: bool = False) -> bool:
    wanted = _plain("\n".join(expected))
    pattern = ".*".join(map(re.escape, wanted.split("...")))
    return re.fullmatch(pattern + (".*" if begins else ""), found, re.DOTALL) is not None
