"""Fields behind a body."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from greenimi import Response, get, http
from greenimi.app import App
from greenimi.testing.links import connect
from greenimi.testing.plugin import AppFactory
from greenimi.web.trailers import trailers_for
from tests.web.asking import asking


@pytest.mark.parametrize(
    ("te", "taken"), [("trailers", True), ("Trailers, deflate;q=0.5", True), ("trailers;q=0", False), ("deflate", False), ("", False)]
)
def test_only_clients_that_take_trailers_get_them(te: str, taken: bool) -> None:
    asked = []

    def trailers() -> list[tuple[str, str]]:
        asked.append(1)
        return [("X-Sum", "7")]

    response = Response(iter(["x"]), trailers=trailers)
    assert trailers_for(asking(te=te), response) == ([("X-Sum", "7")] if taken else ())
    assert bool(asked) == taken


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Set-Cookie", "Trailer", "Host"])
def test_what_cannot_be_a_trailer(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a trailer"):
        trailers_for(asking(te="trailers"), Response(iter(["x"]), trailers=[(name, "1")]))


@http
class Sums:
    @get("/sum")
    def sum(self) -> Response:
        total = 0

        def parts() -> Iterator[str]:
            nonlocal total
            for number in range(4):
                total += number
                yield f"{number}\n"

        return Response(parts(), trailers=lambda: [("X-Sum", str(total))])

    @get("/bad")
    def bad(self) -> Response:
        return Response(iter(["x"]), trailers=[("X-Bad", "a\r\nX-Other: b")])


@pytest.fixture
def ask(app_factory: AppFactory) -> Callable[..., bytes]:
    app: App = app_factory([Sums])

    def send(path: str, *fields: str, version: str = "1.1") -> bytes:
        head = "\r\n".join((f"GET {path} HTTP/{version}", "Host: x", "Connection: close", *fields, "", ""))
        with connect(app, "web", timeout=5) as link:
            link.sendall(head.encode())
            found = b""
            while data := link.recv(65536):
                found += data
        return found

    return send


def test_trailers_are_made_when_the_body_is_out(ask: Callable[..., bytes]) -> None:
    assert ask("/sum", "TE: trailers").endswith(b"2\r\n3\n\r\n0\r\nX-Sum: 6\r\n\r\n")
    assert ask("/sum").endswith(b"2\r\n3\n\r\n0\r\n\r\n")
    assert ask("/sum", "TE: trailers", version="1.0").endswith(b"\r\n\r\n0\n1\n2\n3\n")


def test_a_trailer_cannot_break_out_of_its_line(ask: Callable[..., bytes]) -> None:
    found = ask("/bad", "TE: trailers")
    assert found.endswith(b"1\r\nx\r\n")  # the body is left unfinished
    assert b"X-Other" not in found
