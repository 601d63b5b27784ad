from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from greenimi.pool.redis.routing import Way, plan_for, refuse, seconds_of

CALLBACKS: dict[str, Callable[..., Any]] = {"GET": len, "CLIENT LIST": list, "CLIENT": tuple}


@pytest.mark.parametrize(
    ("args", "way"),
    [
        (("GET", "a"), Way.SHARED),
        ((b"get", "a"), Way.SHARED),
        (("BLPOP", "a", 1), Way.BLOCKING),
        (("bzmpop", 1, 1, "a", "MIN"), Way.BLOCKING),
        (("XREAD", "STREAMS", "a", 0), Way.BLOCKING),
        (("WAIT", 1, 100), Way.PIPELINE),
        (("HIMPORT SET", "a"), Way.OWN),
        (("SELECT", 1), Way.REFUSED),
        (("select", 1), Way.REFUSED),
        (("CLIENT TRACKING", "ON"), Way.REFUSED),
        (("CLIENT", "tracking", "ON"), Way.REFUSED),
        ((b"CLIENT", b"SETNAME", "a"), Way.REFUSED),
        (("CLIENT LIST",), Way.SHARED),
        (("CLIENT", "LIST"), Way.SHARED),
        (("MULTI",), Way.REFUSED),
        (("SUBSCRIBE", "a"), Way.REFUSED),
    ],
)
def test_ways(args: tuple[Any, ...], way: Way) -> None:
    assert plan_for(args, CALLBACKS)[0].way is way


def test_names_and_callbacks() -> None:
    plan, common = plan_for(("GET", "a"), CALLBACKS)
    assert (plan.words, plan.callback, plan.reads, common) == (None, len, True, True)
    plan, common = plan_for(("CLIENT LIST",), CALLBACKS)
    assert (plan.words, plan.callback, plan.reads, common) == ((b"CLIENT", b"LIST"), list, False, True)
    plan, common = plan_for(("CLIENT", "LIST"), CALLBACKS)
    assert (plan.words, plan.callback, common) == (None, tuple, False)


@pytest.mark.parametrize(
    ("args", "seconds"),
    [
        (("BLPOP", "a", "b", 2.5), 2.5),
        (("blmove", "a", "b", "LEFT", "LEFT", 0), 0.0),
        (("BLMPOP", 3, 1, "a", "LEFT"), 3.0),
        (("XREAD", b"BLOCK", 1500, b"STREAMS", "a", "$"), 1.5),
        (("XREADGROUP", "GROUP", "g", "block", "block", 0, "STREAMS", "a", ">"), 0.0),
        (("XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "a", ">"), 0.0),
        (("XREAD", "STREAMS", "BLOCK", 0), None),
        (("BLPOP", "a", "soon"), None),
    ],
)
def test_how_long_commands_wait(args: tuple[Any, ...], seconds: float | None) -> None:
    assert seconds_of(args) == seconds


def test_what_is_refused_says_what_to_do() -> None:
    plan, _ = plan_for(("SELECT", 1), {})
    assert "[redis.NAME]" in str(refuse(("SELECT", 1), plan))
