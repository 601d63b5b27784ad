from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from greenimi.orm.records import Record, UnreadableRecord, read_options


class Thing(Record):
    name: str
    parts: list[Part] = field(default_factory=list)


@dataclass
class Part:
    number: int


@dataclass(frozen=True)
class Options:
    color: str = "red"


def test_a_record_is_a_dataclass_whose_types_are_checked_when_it_is_read() -> None:
    row = Thing("a", [Part(1)])
    assert row._encode() == b'{"name":"a","parts":[{"number":1}]}'
    assert Thing._decode(row._encode(), "here") == row
    with pytest.raises(UnreadableRecord, match=r"here is no Thing: Expected `int`.*parts"):
        Thing._decode(b'{"name":"a","parts":[{"number":"1"}]}', "here")
    with pytest.raises(UnreadableRecord, match="here is no Thing"):
        Thing._decode(b"\xff", "here")


def test_subclasses_have_a_decoder_of_their_own() -> None:
    Thing._decode(b'{"name":"a"}', "here")

    class Bigger(Thing):
        size: int = 1

    assert Bigger._decode(b'{"name":"a","size":2}', "here") == Bigger("a", [], 2)
    assert Bigger._field_names() == ["name", "parts", "size"]


def test_options_are_those_that_are_known() -> None:
    assert read_options(Thing, type("Meta", (), {"color": "blue"}), Options) == Options("blue")
    with pytest.raises(TypeError, match="Thing: Meta has no option colour; it has color"):
        read_options(Thing, type("Meta", (), {"colour": "blue"}), Options)
