from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.log.formats import LONGEST, ConsoleFormatter, JsonFormatter, encoded


def record(text: Any = "hello", *args: Any, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("shop", logging.INFO, "shop.py", 1, text, args, more.pop("exc_info", None))
    made.created = 1_772_366_400.25
    made.__dict__.update(more)
    return made


class Rude:
    def __str__(self) -> str:
        raise RuntimeError("no")


def failed() -> Any:
    try:
        raise ValueError("bad\n2026-03-01T12:00:00.000Z INFO    forged\x1b[31m")
    except ValueError:
        return sys.exc_info()


def test_a_line_for_people() -> None:
    assert ConsoleFormatter().format(record("sold %d", 3)) == "2026-03-01T12:00:00.250Z INFO    shop sold 3"
    line = ConsoleFormatter().format(record("x", connection_id="c1", message_id="m2", sku="a b"))
    assert line == "2026-03-01T12:00:00.250Z INFO    shop [c1 m2] x sku=a b"


def test_an_object_for_machines() -> None:
    found = json.loads(JsonFormatter().format(record("sold %d", 3, connection_id="c1", sku="a")))
    assert found == {
        "time": "2026-03-01T12:00:00.250Z",
        "level": "info",
        "channel": "shop",
        "text": "sold 3",
        "connection": "c1",
        "extra": {"sku": "a"},
    }


@given(st.text(), st.text())
def test_nobody_forges_a_line(text: str, extra: str) -> None:
    one = record("%s", text, name=f"shop{extra}", message_id=extra, note=extra)
    for formatter in (ConsoleFormatter(), JsonFormatter()):
        line = encoded(formatter.format(one)).decode()
        assert len(line.splitlines()) == 1
        assert all(char.isprintable() or char == "\n" or ord(char) >= 0xA0 for char in line)
    found = json.loads(JsonFormatter().format(one))
    assert found["text"] == text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass")


def test_a_traceback_cannot_pass_for_a_record() -> None:
    first, *below = ConsoleFormatter().format(record("oops", exc_info=failed())).split("\n")
    assert first.endswith("shop oops")
    assert any("forged\\x1b[31m" in line for line in below)
    assert all(line.startswith("    ") for line in below)
    assert "ValueError: bad\n" in json.loads(JsonFormatter().format(record("oops", exc_info=failed())))["error"]


@pytest.mark.parametrize("filler", ["x", "\n", "é", "\x00", "\U0001f600", "\udc80"])
@pytest.mark.parametrize("more", [{}, {"note": "y" * 100_000, "connection_id": "\x00" * 100_000}])
def test_a_record_is_bounded(filler: str, more: dict[str, Any]) -> None:
    long = filler * 100_000
    for formatter in (ConsoleFormatter(), JsonFormatter()):
        line = encoded(formatter.format(record(long, name=long, **more)))
        assert len(line) <= LONGEST
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        if isinstance(formatter, JsonFormatter):
            assert json.loads(line)["cut"] is True


@pytest.mark.parametrize("formatter", [ConsoleFormatter(), JsonFormatter()])
def test_what_cannot_be_shown_is_told_all_the_same(formatter: logging.Formatter) -> None:
    assert "%d of (its arguments do not fit: TypeError)" in formatter.format(record("%d of", "x"))
    assert "(its arguments do not fit: RuntimeError)" in formatter.format(record("%s", Rude()))
    assert "Rude: RuntimeError" in formatter.format(record("x", note=Rude()))


@pytest.mark.parametrize("note", [float("nan"), {1: 2, (1, 2): 3}, {"deep": {"set": {1}}}, b"\xff", object])
def test_json_stays_json(note: Any) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    assert "note" in json.loads(JsonFormatter().format(record("x", note=note)), parse_constant=refuse)["extra"]
