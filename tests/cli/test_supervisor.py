from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from greenimi.cli.supervisor import application_folder
from greenimi.testing.support import free_port, wait_until
from tests.cli.support import APP, CONF, PATIENCE, Project

FIRST, SECOND, THIRD = {"text": "first"}, {"text": "again"}, {"text": "third"}

pytestmark = pytest.mark.live


def test_a_change_is_served_and_no_connection_is_refused(project: Project) -> None:
    served = project.serve("--reload")
    served.until(FIRST)
    project.write("app.py", APP.replace("first", "again"))  # the same size: not even within a second is old bytecode used
    served.until(SECOND, refused=False)
    project.write("app.py", APP.replace("first", "third"))
    served.until(THIRD, refused=False)
    assert served.output.count("changed: app.py; starting again\n") == 2
    served.send(signal.SIGTERM)
    assert served.wait() == 0
    with pytest.raises(ConnectionRefusedError):
        served.ask()


def test_what_does_not_start_says_why_and_waits_for_the_next_change(project: Project) -> None:
    project.write("app.py", "nonsense(")
    served = project.serve("--reload")
    served.until_written("waiting for a change")
    assert "SyntaxError" in served.output
    project.write("app.py", "from greenimi import command\n@command()\ndef serve() -> None: ...\n")
    served.until_written("waiting for a change", times=2)
    assert "greenimi: command serve: app.py:2 and greenimi itself" in served.output
    project.write("app.py", APP)
    served.until(FIRST, refused=False)


def test_a_connection_waits_while_nothing_serves(project: Project) -> None:
    project.write("app.py", "nonsense(")
    served = project.serve("--reload")
    served.until_written("waiting for a change")
    with socket.create_connection(("127.0.0.1", project.port), PATIENCE) as early:
        early.sendall(b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        project.write("app.py", APP)
        assert early.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_conf_is_watched_and_its_servers_come_and_go(project: Project) -> None:
    served = project.serve("--reload")
    served.until(FIRST)
    port = free_port()
    more = f'{CONF}\n[servers.more]\nbind = "127.0.0.1:{port}"\n'
    project.write("conf/app.toml", more)
    served.until_written(f"more: http on 127.0.0.1:{port}")
    socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    project.write("conf/app.toml", "broken [")
    served.until_written("waiting for a change")
    assert "greenimi: " in served.output
    project.write("conf/app.toml", CONF)
    served.until(FIRST, refused=False)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), PATIENCE)


PID = """
import os
from greenimi import get, http
@http
class Pid:
    @get("/hello")
    def hello(self) -> int:
        return os.getpid()
"""


def test_the_child_ends_when_the_parent_is_killed(project: Project) -> None:
    project.write("app.py", PID)
    served = project.serve("--reload")
    served.until_written("web: http on")
    child = served.ask()
    assert child != served.process.pid
    served.send(signal.SIGKILL)
    served.wait()
    wait_until(lambda: not Path(f"/proc/{child}").exists(), PATIENCE)


def test_a_child_that_ends_by_itself_is_started_after_the_next_change(project: Project) -> None:
    project.write("app.py", PID)
    served = project.serve("--reload")
    served.until_written("web: http on")
    first = served.ask()
    os.kill(first, signal.SIGKILL)
    served.until_written("it ended with status -9; waiting for a change")
    project.write("app.py", f"{PID}\n")
    served.until_written("web: http on", times=2)
    assert served.ask() != first


def test_breakpoint_reads_from_the_terminal_of_the_parent(project: Project) -> None:
    project.write("app.py", APP.replace("return", "breakpoint(); return"))
    served = project.serve("--reload")
    assert served.process.stdin is not None
    served.process.stdin.write(b"continue\n")
    served.process.stdin.flush()
    served.until(FIRST)
    assert "(Pdb)" in served.output


def test_the_folder_that_is_watched() -> None:
    assert application_folder(Path("/a/shop/conf/app.toml")) == Path("/a/shop")
    assert application_folder(Path("/a/shop/app.toml")) == Path("/a/shop")
