"""Guards by themselves; tests/servers/test_identity.py has them at every door."""

from __future__ import annotations

import time
from typing import Any

import pytest

from greenimi import Identity, public, requires
from greenimi.errors import Refused, Unauthorized
from greenimi.message import Request
from greenimi.web.guards import PUBLIC, Guard, guards_of_handshake, with_guards
from tests.web.sent import request


def sent_by(*roles: str, expires: float | None = None) -> Request:
    found = request()
    found.identity = Identity("ann", frozenset(roles), expires)
    return found


def test_roles() -> None:
    both = Guard(frozenset({"a", "b"}))
    both.admit(sent_by("a", "b", "c"))
    either = Guard(frozenset({"a"}), frozenset({"x", "y"}))
    either.admit(sent_by("a", "y"))
    for guard, roles in ((both, ["a"]), (either, ["a"]), (either, ["x"])):
        with pytest.raises(Refused):
            guard.admit(sent_by(*roles))
    Guard().admit(sent_by())


def test_nobody_and_somebody_of_yesterday() -> None:
    with pytest.raises(Unauthorized, match="say who you are"):
        Guard().admit(request())
    with pytest.raises(Unauthorized, match="expired"):
        Guard().admit(sent_by(expires=time.time() - 1))
    Guard().admit(sent_by(expires=time.time() + 100))


def test_a_check_sees_identity_and_message_once_the_roles_are_there() -> None:
    seen: list[Any] = []
    guard = Guard(frozenset({"a"}), check=lambda identity, message: seen.append((identity.id, message.path)))
    with pytest.raises(Refused):
        guard.admit(sent_by())
    assert seen == []
    with pytest.raises(Refused):
        guard.admit(sent_by("a"))
    assert seen == [("ann", "/")]
    assert Guard(check=lambda identity, message: True)(sent_by(), lambda message: "in") == "in"


def layer(message: Any, proceed: Any) -> Any:
    return proceed(message)


def test_guards_stand_outermost() -> None:
    first, second = Guard(), Guard(frozenset({"a"}))
    assert with_guards([layer, first, layer, second], required=True) == (first, second, layer, layer)
    assert with_guards([layer, PUBLIC], required=True) == (layer,)
    assert with_guards([layer], required=True) == (Guard(), layer)
    assert with_guards([layer], required=False) == (layer,)


def test_a_handshake_passes_the_guards_of_all_controllers() -> None:
    @requires("a")
    @requires("b")
    class Both: ...

    class Silent: ...

    @public
    class Open: ...

    both = [Guard(frozenset({"a"})), Guard(frozenset({"b"}))]
    assert guards_of_handshake([Both, Silent, Open], required=False) == both
    assert guards_of_handshake([Both, Silent, Open], required=True) == [*both, Guard()]
    assert PUBLIC(request(), lambda message: "in") == "in"
