"""The load clients, compiled once; a certificate; servers with one answer for all, in threads."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from benchmarks import prepare
from benchmarks.paths import HERE

Answer = Callable[[bytes], bytes]
"""What a server sends for a request; nothing ends the connection, and so does what announces it."""


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compile one of the load clients, every warning an error."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is needed to compile the load clients")
    folder = tmp_path_factory.mktemp("clients")

    def build(name: str, *libraries: str) -> Path:
        program = folder / name
        if not program.exists():
            subprocess.run([*prepare.COMPILER, "-Werror", "-o", program, HERE / f"{name}.c", *libraries], check=True)
        return program

    return build


@pytest.fixture(scope="session")
def visit(compiled: Callable[..., Path]) -> Path:
    if not prepare.OPENSSL_HEADER.exists():
        pytest.skip("libssl-dev is needed to compile this load client")
    return compiled("visit", "-lssl", "-lcrypto")


@pytest.fixture(scope="session")
def fan(compiled: Callable[..., Path]) -> Path:
    if not prepare.OPENSSL_HEADER.exists():
        pytest.skip("libssl-dev is needed to compile this load client")
    return compiled("fan", "-lssl", "-lcrypto")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Certificate and key, made as for a run."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is needed to make a certificate")
    folder = tmp_path_factory.mktemp("certificate")
    prepare.make_certificate(folder / "certificate.pem", folder / "key.pem")
    return folder / "certificate.pem", folder / "key.pem"


@pytest.fixture(scope="session")
def serving(certificate: tuple[Path, Path]) -> Callable[..., AbstractContextManager[int]]:
    """``with serving(answer, tls=False) as port``: each connection has its requests answered by ``answer``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def talk(peer: socket.socket, answer: Answer, tls: bool) -> None:
        try:
            peer.settimeout(10)
            with context.wrap_socket(peer, server_side=True) if tls else peer as stream:
                while (data := stream.recv(65536)) and (reply := answer(data)):
                    stream.sendall(reply)
                    if b"connection: close" in reply:
                        return
        except OSError:
            pass  # the client left first

    @contextmanager
    def serve(answer: Answer, *, tls: bool = False) -> Iterator[int]:
        def accept() -> None:
            while True:
                try:
                    peer = listener.accept()[0]
                except OSError:
                    return
                threading.Thread(target=talk, args=(peer, answer, tls), daemon=True).start()

        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=accept)
            thread.start()
            try:
                yield listener.getsockname()[1]
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                thread.join()

    return serve
