"""What is read from wrk, and that our own load client lets no wrong answer pass."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.load import read_h2load, read_wrk
from benchmarks.paths import BenchError

WRK = """Running 2s test @ http://127.0.0.1:21000/hello/world
  1 threads and 64 connections
  Latency Distribution
     50%    1.26ms
     75%    1.50ms
     90%    2.00ms
     99%  850.00us
  111558 requests in 2.00s, 15.21MB read
Requests/sec:  55779.00
"""


def test_figures_of_wrk() -> None:
    found = read_wrk(WRK)
    assert (found.count, found.seconds, found.p50_us, found.p99_us, found.errors) == (111558, 2.0, 1260.0, 850.0, 0)


def test_wrk_counts_broken_connections() -> None:
    assert read_wrk(WRK + "  Socket errors: connect 1, read 2, write 0, timeout 4\n").errors == 7


@pytest.mark.parametrize("text", [WRK + "  Non-2xx or 3xx responses: 3\n", WRK.replace("111558", "0"), "unable to connect"])
def test_wrk_with_wrong_answers_or_none(text: str) -> None:
    with pytest.raises(BenchError):
        read_wrk(text)


H2LOAD = """finished in 5.00s, 12908.80 req/s, 1.13MB/s
requests: 64544 total, 64544 started, 64544 done, 64544 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 64544 2xx, 0 3xx, 0 4xx, 0 5xx
"""
LOG = [f"1700000000000000\t200\t{took}\n" for took in range(1000, 2000)]


def test_figures_of_h2load() -> None:
    found = read_h2load(H2LOAD, LOG)
    assert (found.count, found.seconds, found.p50_us, found.p99_us, found.errors) == (64544, 5.0, 1500, 1990, 0)
    broken = H2LOAD.replace("0 failed, 0 errored, 0 timeout", "3 failed, 2 errored, 1 timeout")
    assert read_h2load(broken, LOG).errors == 3


@pytest.mark.parametrize("text", [H2LOAD.replace("0 failed", "1 failed"), H2LOAD.replace("64544", "0"), "unable to connect"])
def test_h2load_with_wrong_answers_or_none(text: str) -> None:
    with pytest.raises(BenchError):
        read_h2load(text, LOG)


@pytest.fixture(scope="module")
def client(compiled: Callable[..., Path]) -> Path:
    return compiled("load")


@contextmanager
def answering(answer: Callable[[bytes], bytes]) -> Iterator[int]:
    """A server for one connection that sends `answer(received)`; no answer closes it."""

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(10)
            try:
                while (data := peer.recv(65536)) and (reply := answer(data)):
                    peer.sendall(reply)
            except OSError:
                pass  # the client left first

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def drive(client: Path, protocol: str, port: int, *options: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [client, protocol, str(port), "-c1", "-t10", "-n20", *options]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=40)


def hello(data: bytes) -> bytes:
    names = [line.split()[1].rpartition(b"/")[2] for line in data.split(b"\r\n") if line.startswith(b"GET")]
    return b"".join(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(name), name) for name in names)


HELLO = ("-p/hello/########", "-e########")


@pytest.mark.parametrize("depth", [1, 4])
def test_right_answers_are_counted(client: Path, depth: int) -> None:
    with answering(hello) as port:
        done = drive(client, "http", port, *HELLO, f"-d{depth}")
    assert done.returncode == 0, done.stderr
    assert '"count": 2' in done.stdout


def test_lines_come_back(client: Path) -> None:
    with answering(lambda data: data) as port:
        done = drive(client, "tcp", port, "-d8")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("protocol", "answer", "complaint"),
    [
        ("http", lambda data: hello(data).replace(b"200", b"500"), "500"),
        ("http", lambda data: hello(data).replace(b"00000", b"00001"), "expected"),
        ("http", lambda data: hello(data).replace(b"content-length", b"x"), "no Content-Length"),
        ("http", lambda data: b"", "closed"),
        ("tcp", lambda data: data.upper(), "not what was sent"),
        ("tcp", lambda data: data * 2, "not what was sent"),
        ("ws", lambda data: b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "handshake"),
    ],
)
def test_wrong_answers_end_the_run(client: Path, protocol: str, answer: Callable[[bytes], bytes], complaint: str) -> None:
    with answering(answer) as port:
        done = drive(client, protocol, port, *(HELLO if protocol == "http" else ()))
    assert done.returncode == 1
    assert complaint in done.stderr


@pytest.mark.parametrize("options", [[], ["ftp", "1"], ["tcp", "0"], ["udp", "9", "-d2"], ["tcp", "9", "-s5"], ["tcp", "9", "-c999999"]])
def test_wrong_use_is_told(client: Path, options: list[str]) -> None:
    done = subprocess.run([client, *options], check=False, capture_output=True, text=True, timeout=10)
    assert done.returncode == 2
    assert "see --help" in done.stderr
