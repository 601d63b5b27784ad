"""Told over a real socket, taken in a real process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenimi.errors import StartError
from greenimi.servers.master.systemd import listen_fds, notify, reloading, status_line


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """Where systemd listens, and what it puts into the environment."""
    path = str(tmp_path / "notify") if request.param == "path" else f"@greenimi-test-{os.getpid()}-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path.replace("@", "\0", 1) if path.startswith("@") else path)
        sock.settimeout(5)
        yield sock, path


def test_a_state_is_told(manager: tuple[socket.socket, str]) -> None:
    sock, path = manager
    assert notify("READY=1\nSTATUS=2 workers ü all well", {"NOTIFY_SOCKET": path})
    assert sock.recv(1000).decode() == "READY=1\nSTATUS=2 workers ü all well"


def test_a_reload_is_told_with_the_moment(manager: tuple[socket.socket, str]) -> None:
    sock, path = manager
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert notify(reloading("generation\n3"), {"NOTIFY_SOCKET": path})
    lines = sock.recv(1000).decode().splitlines()
    assert [lines[0], lines[2]] == ["RELOADING=1", "STATUS=generation 3"]
    assert before <= int(lines[1].removeprefix("MONOTONIC_USEC=")) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert len(reloading().splitlines()) == 2


@pytest.mark.parametrize("path", ["", "vsock:2:1234", "/nowhere/notify", "@nobody-listens-here"])
def test_nobody_to_tell_is_no_error(path: str) -> None:
    assert not notify("READY=1", {"NOTIFY_SOCKET": path})
    assert not notify("READY=1", {})


def test_a_manager_that_does_not_read_blocks_nobody(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        told = 0
        while notify("x" * 1000, {"NOTIFY_SOCKET": path}):
            told += 1
            assert told < 100_000
    assert told > 0


def test_a_status_is_one_line() -> None:
    assert status_line("two\nREADY=0") == "STATUS=two READY=0"


# -- sockets -------------------------------------------------------------------------------------------------------

TAKE = """
import json, os, socket, sys
from greenimi.servers.master.systemd import listen_fds

os.environ["LISTEN_PID"] = str(os.getpid())
found = listen_fds()
told = [(socket.socket(fileno=os.dup(fd)).getsockname()[1], name, os.get_inheritable(fd)) for fd, name in found]
print(json.dumps([told, [name for name in os.environ if name.startswith("LISTEN")], listen_fds()]))
"""


@pytest.mark.parametrize(("names", "told"), [("web:till", ["web", "till"]), ("", ["unknown", "unknown"]), (":till", ["", "till"])])
def test_a_process_takes_the_sockets_it_was_given(names: str, told: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as web, socket.create_server(("127.0.0.1", 0)) as till:
        ports = [sock.getsockname()[1] for sock in (web, till)]
        script = f"exec 3<&{web.fileno()} 4<&{till.fileno()}; exec {sys.executable} -c '{TAKE}'"
        environ = {**os.environ, "LISTEN_FDS": "2", "LISTEN_FDNAMES": names, "LISTEN_PIDFDID": "1"}
        fds = (web.fileno(), till.fileno())
        done = subprocess.run(["bash", "-c", script], env=environ, check=False, pass_fds=fds, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    found, left, again = json.loads(done.stdout)
    assert found == [[ports[0], told[0], False], [ports[1], told[1], False]]
    assert left == []
    assert again == []


def test_sockets_for_another_process_are_not_taken() -> None:
    environ = {"LISTEN_PID": "1", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b", "OTHER": "x"}
    assert listen_fds(environ, 7) == []
    assert environ == {"OTHER": "x"}
    assert listen_fds({}, 7) == []


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"LISTEN_FDS": "two"}, "LISTEN_FDS is 'two', not a number of sockets"),
        ({"LISTEN_FDS": ""}, "LISTEN_FDS is '', not a number of sockets"),
        ({"LISTEN_FDS": "100000000000"}, "LISTEN_FDS says 100000000000, but there is no file descriptor"),
        ({"LISTEN_FDS": "0", "LISTEN_FDNAMES": "web"}, "LISTEN_FDNAMES has 1 names, LISTEN_FDS says 0"),
    ],
)
def test_what_cannot_be_is_named(environ: dict[str, str], problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "set_inheritable", lambda fd, inheritable: os.fstat(100_000 + fd))  # leave the test's own alone
    with pytest.raises(StartError, match=problem):
        listen_fds({"LISTEN_PID": "7", **environ}, 7)
