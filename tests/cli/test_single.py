from __future__ import annotations

import signal
import socket

import pytest

from greenimi.cli.single import handed_over, inherited
from tests.cli.support import PATIENCE, Project, Served


@pytest.mark.live
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_in_its_own_process_until_told_to_stop(project: Project, number: int) -> None:
    project.write(
        "app.py",
        """
import os
from greenimi import get, http, listener
from greenimi.event.lifecycle import WorkerStopped
@http
class Hello:
    @get("/hello")
    def hello(self) -> int:
        return os.getpid()
@listener
def down(event: WorkerStopped) -> None:
    print("down", flush=True)
""",
    )
    served = project.serve("--single")
    served.until(served.process.pid)
    assert f"web: http on 127.0.0.1:{project.port}\n" in served.output
    served.send(number)
    assert served.wait() == 0
    assert served.output.endswith("down\n")
    assert "Traceback" not in served.output


SLOW = """
import time
from pathlib import Path
from greenimi import get, http
begun = []
@http
class Slow:
    @get("/hello")
    def hello(self) -> list[int]:
        return begun
    @get("/slow")
    def slow(self) -> list[str]:
        begun.append(1)
        while not Path("go").exists():
            time.sleep(0.01)
        return ["finished"]
"""


def ask_slowly(served: Served) -> socket.socket:
    """A connection whose request is being handled."""
    waiting = socket.create_connection(("127.0.0.1", served.port), PATIENCE)
    waiting.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    served.until([1])
    return waiting


@pytest.mark.live
def test_messages_at_hand_are_finished(project: Project) -> None:
    project.write("app.py", SLOW)
    served = project.serve("--single")
    served.until([])
    with ask_slowly(served) as waiting:
        served.send(signal.SIGTERM)
        served.until_refused()
        project.write("go", "")
        assert waiting.recv(65536).endswith(b'["finished"]')
    assert served.wait() == 0


@pytest.mark.live
def test_a_second_interrupt_ends_it_at_once(project: Project) -> None:
    project.write("app.py", SLOW)
    served = project.serve("--single")
    served.until([])
    with ask_slowly(served):
        served.send(signal.SIGINT)
        served.until_refused()
        served.send(signal.SIGINT)
        assert served.wait() == -signal.SIGINT


@pytest.mark.live
def test_breakpoint_has_the_terminal(project: Project) -> None:
    project.write(
        "app.py",
        """
from greenimi import get, http
@http
class Hello:
    @get("/hello")
    def hello(self) -> int:
        found = 1
        breakpoint()
        return found
""",
    )
    served = project.serve("--single")
    assert served.process.stdin is not None
    served.process.stdin.write(b"found = 41 + 1\ncontinue\n")
    served.process.stdin.flush()
    served.until(42)
    assert "(Pdb)" in served.output


@pytest.mark.live
def test_a_taken_address_is_one_message(project: Project) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = project.run("serve", "--single", "--bind", f"127.0.0.1:{other.getsockname()[1]}")
    assert done.returncode == 1
    assert done.stderr.startswith("greenimi: 127.0.0.1:")
    assert "is in use by another process\n  hint: " in done.stderr


def test_sockets_go_by_name_and_descriptor() -> None:
    with socket.socket() as one, socket.socket() as two:
        text = handed_over({"web": [one], "udp": [two]})
        assert text == f"web={one.fileno()},udp={two.fileno()}"
    assert inherited(None) is None
    assert inherited("") == {}


def test_inherited_sockets_are_the_same_and_go_no_further() -> None:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.set_inheritable(True)
    name = listening.getsockname()
    found = inherited(f"web={listening.detach()}")
    assert found is not None
    (sock,) = found["web"]
    with sock:
        assert sock.getsockname() == name
        assert not sock.get_inheritable()
        assert not sock.getblocking()
