from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from greenimi.container import context
from greenimi.log import HandlerSettings, LogSettings, configure, stop

shop = logging.getLogger("shop")


def file(path: Path, **keys: Any) -> HandlerSettings:
    return HandlerSettings(kind="file", path=str(path), **keys)


class _Connection:
    id = "n1-w2-17"


class _Message:
    data: Any = None


@pytest.mark.parametrize(
    ("data", "message"), [({"id": "m3"}, "m3"), ({"id": 7}, "7"), ({"id": []}, None), ("text", None), ({"id": "x" * 99}, "x" * 64)]
)
def test_records_name_connection_and_message(tmp_path: Path, data: Any, message: str | None) -> None:
    configure(LogSettings(format="json", handlers=(file(tmp_path / "a.log"),)))
    current = _Message()
    current.data = data
    shop.info("outside")
    with context.Scope(None, _Connection(), current):  # type: ignore[arg-type]
        shop.info("inside")
    stop()
    outside, inside = (json.loads(line) for line in (tmp_path / "a.log").read_text().splitlines())
    assert "connection" not in outside
    assert "message" not in outside
    assert inside["connection"] == "n1-w2-17"
    assert inside.get("message") == message


class _Address(str):
    __slots__ = ()
    masked = "mysql://u:***@h"


def test_secrets_are_masked_in_extra_and_arguments(tmp_path: Path) -> None:
    configure(LogSettings(handlers=(file(tmp_path / "a.log"), file(tmp_path / "b.log", format="json"))))
    nested = {"user": "ann", "Password": "hunter2", "list": [{"refresh_token": "hunter2"}, ("hunter2-not",)]}
    shop.info("login %(user)s %(password)s", {"user": "ann", "password": "hunter2"})
    shop.info("whole %s", nested)
    shop.info("two %s %s", 1, {"secret": "hunter2"})
    shop.info(nested)
    shop.info("extra", extra={"authorization": "Bearer hunter2", "more": nested, "plain": "seen"})
    shop.info("secret text %s", _Address("mysql://u:hunter2@h"))
    stop()
    console, as_json = (tmp_path / "a.log").read_text(), (tmp_path / "b.log").read_text()
    for text in (console, as_json):
        assert "hunter2" not in text.replace("hunter2-not", "")
        assert "hunter2-not" in text
        assert "login ann ***" in text
        assert "u:***@h" in text
        assert "seen" in text
    assert nested["Password"] == "hunter2"


def test_a_table_within_itself_is_cut_off(tmp_path: Path) -> None:
    configure(LogSettings(handlers=(file(tmp_path / "a.log"),)))
    loop: dict[str, Any] = {"password": "hunter2"}
    loop["again"] = loop
    shop.info("loop %s", loop)
    stop()
    assert "hunter2" not in (tmp_path / "a.log").read_text()
    assert "loop" in (tmp_path / "a.log").read_text()
