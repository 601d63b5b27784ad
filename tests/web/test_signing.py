"""Signed texts: what a client may keep and cannot forge."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.config import Config
from greenimi.errors import ConfigError
from greenimi.message import Request, Response
from greenimi.web.signing import Signer, configured_signer

OLD, NEW = "old" * 11, "new" * 11
LONG = 3600.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_900_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def signer(clock: Clock) -> Signer:
    return Signer([NEW], clock)


@given(st.text())
def test_what_was_signed_is_read(value: str) -> None:
    signer = Signer([NEW])
    signed = signer.sign(value, "test")
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", signed)
    assert signer.read(signed, "test", LONG) == value


@given(st.text(max_size=60), st.integers(0, 200), st.characters(codec="ascii"))
def test_no_character_can_be_changed(value: str, place: int, other: str) -> None:
    signer = Signer([NEW])
    signed = signer.sign(value, "test")
    place %= len(signed)
    forged = signed[:place] + other + signed[place + 1 :]
    found = signer.read(forged, "test", LONG)
    assert found is None if forged != signed else found == value


@given(st.text())
def test_rubbish_is_nothing(text: str) -> None:
    assert Signer([NEW]).read(text, "test", LONG) is None


def test_it_is_for_one_purpose(signer: Signer) -> None:
    signed = signer.sign("7", "cookie user")
    assert signer.read(signed, "cookie admin", LONG) is None


def test_another_secret_reads_nothing(signer: Signer, clock: Clock) -> None:
    assert Signer([OLD], clock).read(signer.sign("7", "test"), "test", LONG) is None


def test_secrets_are_exchanged_without_losing_what_was_signed(clock: Clock) -> None:
    before, both, after = Signer([OLD], clock), Signer([NEW, OLD], clock), Signer([NEW], clock)
    signed = before.sign("7", "test")
    assert both.read(signed, "test", LONG) == "7"
    assert after.read(signed, "test", LONG) is None
    assert after.read(both.sign("7", "test"), "test", LONG) == "7"


def test_it_ages(signer: Signer, clock: Clock) -> None:
    signed = signer.sign("7", "test")
    clock.now += 60.0
    assert signer.read(signed, "test", 60.0) == "7"
    clock.now += 1.0
    assert signer.read(signed, "test", 60.0) is None


def test_it_is_not_from_the_future(signer: Signer, clock: Clock) -> None:
    clock.now += 100.0
    signed = signer.sign("7", "test")
    clock.now -= 100.0
    assert signer.read(signed, "test", LONG) is None
    clock.now += 96.0
    assert signer.read(signed, "test", LONG) == "7"  # clocks differ a little


def test_signed_cookies(signer: Signer, clock: Clock) -> None:
    response = Response("x")
    signer.set_cookie(response, "cart", "17, 4; ä", max_age=600, path="/shop")
    [(name, line)] = response.headers
    assert name == "Set-Cookie"
    assert line.endswith("; Max-Age=600; Path=/shop; Secure; HttpOnly; SameSite=Lax")
    pair = line.partition(";")[0]

    def sent(cookie: str) -> Request:
        return Request("GET", "/", "/", "", f"GET / HTTP/1.1\r\nCookie: {cookie}\r\n\r\n")

    assert signer.cookie(sent(pair), "cart", 600.0) == "17, 4; ä"
    assert signer.cookie(sent(pair + "x"), "cart", 600.0) is None
    assert signer.cookie(sent(pair.replace("cart", "user")), "user", 600.0) is None
    assert signer.cookie(sent("other=1"), "cart", 600.0) is None
    clock.now += 601.0
    assert signer.cookie(sent(pair), "cart", 600.0) is None


def test_without_a_good_secret_nothing_is_signed() -> None:
    with pytest.raises(ConfigError, match=r"app.secrets is empty") as caught:
        Signer([])
    assert "secrets = [" in caught.value.hint
    with pytest.raises(ConfigError, match="fewer than 32") as caught:
        Signer([NEW, "too short"])
    assert "too short" not in str(caught.value)


def test_the_secrets_are_those_of_conf() -> None:
    signed = Signer([OLD]).sign("7", "test")
    assert configured_signer(Config({"app": {"secrets": [NEW, OLD]}})).read(signed, "test", LONG) == "7"
    with pytest.raises(ConfigError, match=r"app.secrets is empty"):
        configured_signer(Config({}))
