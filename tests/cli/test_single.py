from __future__ import annotations

import os
import signal
import socket
import threading

import pytest

from greenimi.cli.single import handed_over, inherited
from tests.cli.support import PATIENCE, Project

FIRST = {"text": "first"}


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
from threading import Event
from greenimi import get, http
begun, go = Event(), Event()
@http
class Slow:
    @get("/hello")
    def hello(self) -> bool:
        return begun.is_set()
    @get("/slow")
    def slow(self) -> str:
        begun.set()
        go.wait()
        return "finished"
    @get("/never")
    def never(self) -> None:
        begun.set()
        Event().wait()
"""


@pytest.mark.live
def test_messages_at_hand_are_finished(project: Project) -> None:
    project.write("app.py", SLOW.replace("go.wait()", "go.wait(1)"))
    served = project.serve("--single")
    served.until(False)
    answers: list[object] = []
    asking = threading.Thread(target=lambda: answers.append(served.ask("/slow")))
    asking.start()
    served.until(True)
    served.send(signal.SIGTERM)
    asking.join(PATIENCE)
    assert answers == ["finished"]
    assert served.wait() == 0


@pytest.mark.live
def test_a_second_interrupt_ends_it_at_once(project: Project) -> None:
    project.write("app.py", SLOW)
    served = project.serve("--single")
    served.until(False)
    with socket.create_connection(("127.0.0.1", project.port)) as waiting:
        waiting.sendall(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n")
        served.until(True)
        served.send(signal.SIGINT)
        while waiting.fileno() >= 0 and served.process.poll() is None:
            try:  # the door is closed: the first signal was heard
                socket.create_connection(("127.0.0.1", project.port), PATIENCE).close()
            except ConnectionRefusedError:
                served.send(signal.SIGINT)
                break
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
        done = project.run("serve", "--single", "--bind", "127.0.0.1:{}".format(other.getsockname()[1]))
    assert done.returncode == 1
    assert done.stderr.startswith("greenimi: 127.0.0.1:")
    assert "is in use by another process\n  hint: " in done.stderr


def test_sockets_go_from_one_process_to_the_next() -> None:
    with socket.socket() as one, socket.socket(type=socket.SOCK_DGRAM) as two:
        for sock in (one, two):
            sock.bind(("127.0.0.1", 0))
        text = handed_over({"web": [socket.socket(fileno=os.dup(one.fileno()))], "udp": [socket.socket(fileno=os.dup(two.fileno()))]})
        assert inherited(None) is None
        assert inherited("") == {}
        assert [part.partition("=")[0] for part in text.split(",")] == ["web", "udp"]


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
