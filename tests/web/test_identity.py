"""The authenticators of a server and the layers that use what they find; tests/servers/test_identity.py has them at every door."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenimi import Identity, Request, Response
from greenimi.errors import Refused, Unauthorized
from greenimi.web.files import FileBody
from greenimi.web.identity import Authenticators, RequestIdentity, caller
from tests.web.sent import request


class Says:
    """An authenticator that finds, or raises, always the same."""

    def __init__(self, found: Any, challenge: str = "") -> None:
        self.found = found
        self.challenge = challenge
        self.asked = 0

    def authenticate(self, message: object) -> Identity | None:
        self.asked += 1
        if isinstance(self.found, Exception):
            raise self.found
        return self.found  # type: ignore[no-any-return]


ANN = Identity("ann")


def test_the_first_that_knows_ends_it() -> None:
    silent, ann, never = Says(None), Says(ANN), Says(Identity("bob"))
    assert Authenticators([silent, ann, never]).identify(request()) is ANN
    assert (silent.asked, ann.asked, never.asked) == (1, 1, 0)
    assert Authenticators([silent]).identify(request()) is None
    with pytest.raises(Refused):
        Authenticators([Says(Refused("no")), ann]).identify(request())


def test_what_has_expired_is_refused() -> None:
    with pytest.raises(Unauthorized):
        Authenticators([Says(Identity("ann", expires=time.time() - 1))]).identify(request())


def test_each_challenge_is_told_once() -> None:
    found = Authenticators([Says(None, "A"), Says(None, "B"), Says(None, "A"), Says(None)])
    assert found.challenges == (("WWW-Authenticate", "A"), ("WWW-Authenticate", "B"))


def test_a_request_asks_once_unless_that_failed() -> None:
    says = Says(Unauthorized("no"))
    asked = request()
    layer = RequestIdentity(Authenticators([says]), lambda body, moment: body)

    def proceed(asked: Request) -> None:
        assert asked.known_identity is None
        for _ in range(2):
            with pytest.raises(Unauthorized):
                _ = asked.identity
        says.found = ANN
        for _ in range(2):
            assert asked.identity is ANN
        assert asked.known_identity is ANN

    layer(asked, proceed)
    assert says.asked == 3


def test_a_layer_may_know_better() -> None:
    says = Says(ANN)
    asked = request()
    asked.identify = Authenticators([says]).identify
    asked.identity = None
    assert asked.identity is None
    assert says.asked == 0
    with pytest.raises(Unauthorized):
        caller(asked)


def test_only_an_unauthorized_without_a_challenge_gets_ours() -> None:
    layer = RequestIdentity(Authenticators([Says(None, "Ours")]), lambda body, moment: body)

    def raises(error: Exception) -> Callable[[Request], None]:
        def proceed(request: Request) -> None:
            raise error

        return proceed

    bare, own = Unauthorized("x"), Unauthorized("x", headers=[("www-authenticate", "Own")])
    for error, headers in ((bare, (("WWW-Authenticate", "Ours"),)), (own, (("www-authenticate", "Own"),))):
        with pytest.raises(Unauthorized):
            layer(request(), raises(error))
        assert error.headers == headers


def test_which_bodies_are_cut_off(tmp_path: Path) -> None:
    layer = RequestIdentity(Authenticators([Says(Identity("ann", expires=time.time() + 100))]), lambda body, moment: iter(["cut"]))

    def answer(value: Any, *, ask: bool = True) -> Any:
        def proceed(request: Request) -> Any:
            assert not ask or request.identity
            return value

        return layer(request(), proceed)

    def parts() -> Iterator[str]:
        yield "whole"

    (tmp_path / "file").write_text("x")
    file = FileBody(os.open(tmp_path / "file", os.O_RDONLY))
    assert answer(Response(file)).body is file
    assert answer(Response("text")).body == "text"
    assert answer("text") == "text"
    assert list(answer(Response(parts())).body) == ["cut"]
    assert list(answer(parts())) == ["cut"]
    assert list(answer(parts(), ask=False)) == ["whole"]
