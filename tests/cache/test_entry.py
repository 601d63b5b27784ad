"""What is kept for a value: there and back, and never taken for something else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.cache.codecs import CODECS, json, msgpack, raw
from greenimi.cache.entry import Entry, Packer, Unreadable

WIRE, LOCAL = Packer(msgpack, local=False), Packer(msgpack, local=True)
TAGS = {"user:1": b"\x00" * 8, "ä": b"1"}
VALUES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary() | st.lists(st.integers(0, 9))


@given(VALUES, st.floats(0, 1e12), st.floats(0, 1e6), st.sampled_from([None, {}, TAGS]), st.sampled_from([WIRE, LOCAL]))
def test_all_of_it_comes_back(value: Any, ends: float, cost: float, tags: dict[str, bytes] | None, packer: Packer) -> None:
    entry = packer.open(packer.pack(value, Any, ends, cost, tags))
    assert packer.value(entry) == value
    assert type(packer.value(entry)) is type(value)
    assert dict(entry.tags or {}) == (tags or {})
    if ends:
        assert (entry.ends, entry.cost) == (ends, cost)


@given(st.binary())
def test_what_somebody_else_wrote_is_unreadable_or_a_value(data: bytes) -> None:
    """Never an error of another kind."""
    for codec in CODECS.values():
        packer = Packer(codec, local=False)
        try:
            packer.value(packer.open(data))
        except Unreadable:
            pass
        assert data is not None


@pytest.mark.parametrize("value", [7, "text", [1], {"a": None}])
def test_no_codec_reads_what_another_wrote(value: Any) -> None:
    stored = Packer(msgpack, local=False).pack(value, Any, 1.0, 1.0)
    for codec in (json, raw):
        with pytest.raises(Unreadable):
            Packer(codec, local=False).open(stored)


@pytest.mark.parametrize("data", [b"", b"-", b"1.0", b"1" * 5000 + b"x", b"--1", b"\x02m", b"\x02m" + b"\xff" * 30, b"\x01", b"{}"])
def test_what_is_spoilt_is_unreadable(data: bytes) -> None:
    with pytest.raises(Unreadable):
        WIRE.value(WIRE.open(data))


def test_a_value_of_another_kind_is_unreadable() -> None:
    for packer in (WIRE, LOCAL):
        for value, kind in (("text", int), ({"a": 1}, list[int]), (5, str), (None, int)):
            with pytest.raises(Unreadable):
                packer.value(packer.open(packer.pack(value)), kind)
        assert packer.value(packer.open(packer.pack(5)), float) == 5.0
        assert packer.value(packer.open(packer.pack(None)), int | None) is None


def test_numbers_can_be_added_to() -> None:
    for packer in (WIRE, LOCAL):
        assert packer.pack(42) == b"42"
        assert packer.pack(-1) == b"-1"
        assert packer.pack(True) != b"True"
        assert packer.value(packer.open(b"42")) == 42
    assert WIRE.value(WIRE.open(WIRE.pack(2**64 - 1))) == 2**64 - 1


def test_a_memory_keeps_what_nobody_can_change_and_encodes_the_rest() -> None:
    text, data = "a long text", b"bytes"
    assert LOCAL.value(LOCAL.pack(text)) is text  # type: ignore[arg-type]
    assert LOCAL.value(LOCAL.pack(data, bytes)) is data  # type: ignore[arg-type]
    mine = {"a": [1]}
    stored = LOCAL.pack(mine)
    mine["a"].append(2)
    one, two = LOCAL.value(LOCAL.open(stored)), LOCAL.value(LOCAL.open(stored))
    assert one == two == {"a": [1]}
    one["a"].append(3)
    assert two == LOCAL.value(LOCAL.open(stored)) == {"a": [1]}


class Text(str):
    __slots__ = ("mark",)


def test_what_looks_unchangeable_but_is_not_is_never_kept_as_it_is() -> None:
    text = Text("a")
    text.mark = []  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="Text"):
        LOCAL.pack(text)
    assert LOCAL.value(LOCAL.open(LOCAL.pack(([1], 2)))) == [[1], 2]


def test_a_memory_gives_the_same_as_any_other_store() -> None:
    for value in ((1, 2), {"a": (1,)}, [None, 1.5], {1: 2}):
        assert LOCAL.value(LOCAL.open(LOCAL.pack(value))) == WIRE.value(WIRE.open(WIRE.pack(value)))


def test_the_size_grows_with_the_value() -> None:
    assert Entry("x" * 1000, False).size > 1000
    assert Entry(b"", True, tags={"t" * 500: b"1"}).size > 500
