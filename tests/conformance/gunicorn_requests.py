"""Gunicorn's corpus of good and bad HTTP requests, sent over the wire.

A bad request must be refused: by a status of 400 or above as the only answer, or by the end of the connection without any.
A good file must be answered with a 2xx for each of its requests.  Files that set Gunicorn's own settings, or speak the PROXY
protocol, are left out.

Many files lack the Host field that RFC 9112 section 3.2 demands, so that their own fault is never looked at.  ``add_host`` gives them one.
"""

from __future__ import annotations

import re
import socket
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.conformance.places import fetch_sdist, serving

QUIET = 0.6
"""Seconds without a byte after which a server has said what it had to say."""

PATIENCE = 10.0
"""Seconds for the end of a connection whose other side was ended."""

AT_ONCE = 64

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
_FILE = re.compile(r"[^/]+/tests/requests/(valid|invalid)/(\w+)\.http")
_ESCAPE = re.compile(rb"\\x([0-9A-Fa-f]{2})")
_REQUEST_LINE_END = b" HTTP/1.1\r\n"

Split = Callable[[bytes], Iterator[bytes]]

BAR = 46
"""Good files that must be accepted at least."""

STRICTER: dict[str, tuple[tuple[int, ...], str]] = {
    "031": ((501,), "the method -BLARGH is unknown (RFC 9110 section 9.1)"),
    "099": ((), "the body is shorter than its Content-Length (RFC 9112 section 8)"),
}
"""Good files that are refused all the same, how, and why."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of the corpus."""

    name: str
    good: bool
    data: bytes
    requests: int
    """How many requests a good file holds."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came back for a file."""

    file: File
    statuses: tuple[int, ...]
    closed: bool
    """The server ended the connection by itself."""

    text: bytes

    @property
    def right(self) -> bool:
        if self.file.good:
            return len(self.statuses) == self.file.requests and all(200 <= status < 300 for status in self.statuses)
        return not self.statuses or (len(self.statuses) == 1 and self.statuses[0] >= 400)

    @property
    def served_after_refusal(self) -> bool:
        """Bytes behind a refused request were answered as another request."""
        return any(status >= 400 for status in self.statuses[:-1])

    def __str__(self) -> str:
        said = ", ".join(map(str, self.statuses)) or "nothing"
        reason = self.text.rpartition(b"\r\n\r\n")[2].decode("utf-8", "replace").strip()
        wanted = f"{self.file.requests} times 2xx" if self.file.good else "one refusal"
        name = f"{'valid' if self.file.good else 'invalid'}/{self.file.name}"
        return f"{name}: wanted {wanted}, got {said} ({reason[:120]}){'' if self.closed else ', stayed open'}"


# -- the corpus ------------------------------------------------------------------------------------------------------
def unescape(text: bytes) -> bytes:
    """A file of the corpus as it goes over the wire: its own line ends mean nothing, escapes do."""
    data = text.replace(b"\n", b"").replace(b"\\r\\n", b"\r\n").replace(b"\\0", b"\0").replace(b"\\n", b"\n").replace(b"\\t", b"\t")
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), data)


def load(sdist: Path) -> list[File]:
    """Every file that can be judged, from Gunicorn's source distribution."""
    found = []
    with tarfile.open(sdist) as archive:
        members = {member.name: member for member in archive.getmembers() if member.isfile()}

        def read(name: str) -> bytes:
            opened = archive.extractfile(members[name])
            assert opened is not None
            return opened.read()

        for name in members:
            match = _FILE.fullmatch(name)
            if match is None:
                continue
            expectation = read(name.removesuffix(".http") + ".py").decode()
            data = unescape(read(name))
            if "cfg.set" in expectation or data.startswith(b"PROXY"):
                continue
            good = match[1] == "valid"
            found.append(File(match[2], good, data, _count(expectation) if good else 0))
    return sorted(found, key=lambda file: (file.good, file.name))


def _count(expectation: str) -> int:
    """How many requests the corpus itself finds in a good file."""
    names: dict[str, Any] = {"uri": lambda text: text}
    exec(expectation, names)
    return len(names["request"]) if isinstance(names["request"], list) else 1


def add_host(file: File) -> File:
    """The same file with a Host field in each request, where it has none at all."""
    if b"\nhost:" in file.data.lower():
        return file
    return File(file.name, file.good, file.data.replace(_REQUEST_LINE_END, _REQUEST_LINE_END + b"Host: example.com\r\n"), file.requests)


# -- ways to cut the bytes -------------------------------------------------------------------------------------------
def whole(data: bytes) -> Iterator[bytes]:
    yield data


def lines(data: bytes) -> Iterator[bytes]:
    yield from data.splitlines(keepends=True)


def single_bytes(data: bytes) -> Iterator[bytes]:
    for at in range(len(data)):
        yield data[at : at + 1]


SPLITS: dict[str, Split] = {"whole": whole, "lines": lines, "bytes": single_bytes}


# -- over the wire ---------------------------------------------------------------------------------------------------
def send(address: tuple[str, int], file: File, split: Split = whole) -> Verdict:
    """Send one file over a connection of its own and read what comes back."""
    with socket.create_connection(address, timeout=PATIENCE) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in split(file.data):
                link.sendall(piece)
        except OSError:  # it refused before it heard all
            pass
        link.settimeout(QUIET)
        text, closed = _read(link)
        if not closed:  # whatever it still waits for will not come
            link.shutdown(socket.SHUT_WR)
            link.settimeout(PATIENCE)
            more, ended = _read(link)
            text += more
            if not ended:
                raise AssertionError(f"{file.name}: the connection stays open after its client ended it")
    return Verdict(file, tuple(int(status) for status in _STATUS.findall(text) if status != b"100"), closed, text)


def _read(link: socket.socket) -> tuple[bytes, bool]:
    """What arrives until the end (True) or until it is quiet (False)."""
    text = b""
    try:
        while data := link.recv(65536):
            text += data
    except TimeoutError:
        return text, False
    except OSError:
        pass
    return text, True


def judge(address: tuple[str, int], files: list[File], split: Split = whole) -> list[Verdict]:
    """Send all files, many at once."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda file: send(address, file, split), files))


# -- the report ------------------------------------------------------------------------------------------------------
def corpus(cache: Path) -> list[File]:
    """The corpus of the Gunicorn that is installed.  NotRun when its source distribution cannot be had."""
    return load(fetch_sdist("gunicorn", version("gunicorn"), cache))


def report(verdicts: list[Verdict], title: str) -> tuple[int, int]:
    """Print counts and every wrongly judged file.  Returns how many bad ones were served, and how many good ones accepted."""
    bad = [verdict for verdict in verdicts if not verdict.file.good]
    good = [verdict for verdict in verdicts if verdict.file.good]
    refused, accepted = sum(verdict.right for verdict in bad), sum(verdict.right for verdict in good)
    print(f"{title}: {refused}/{len(bad)} invalid refused, {accepted}/{len(good)} valid accepted")
    for verdict in verdicts:
        if not verdict.right:
            print(f"   {verdict}")
    return len(bad) - refused, accepted


def run(cache: Path) -> int:
    """The whole suite; 0 when it passed: all bad files refused, enough good ones accepted.

    As they are, the files go to the server that does without Host; those with a Host to the one that demands it.
    """
    files = corpus(cache)
    complete = [add_host(file) for file in files]
    served, least = 0, len(files)
    with serving(cache / "gunicorn-requests") as server:
        for name, split in SPLITS.items():
            for title, door, sent in (("as they are", "lenient", files), ("with a Host", "web", complete)):
                wrong, accepted = report(judge(server.addresses[door], sent, split), f"{title}, sent as {name}")
                served += wrong
                least = min(least, accepted)
    print(f"the bar: no invalid one served ({served} were), at least {BAR} valid ones accepted ({least} were)")
    return 0 if not served and least >= BAR else 1
