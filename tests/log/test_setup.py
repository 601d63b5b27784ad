from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from greenimi.errors import ConfigError
from greenimi.log import HandlerSettings, LogSettings, configure, set_level, stop

shop = logging.getLogger("shop")
orders = logging.getLogger("shop.orders")
other = logging.getLogger("other")


class Kept(logging.Handler):
    """A handler of an application's own."""

    records: list[logging.LogRecord] = []  # noqa: RUF012 - read by the test

    def __init__(self, mark: str) -> None:
        super().__init__()
        self.mark = mark

    def emit(self, record: logging.LogRecord) -> None:
        record.mark = self.mark
        self.records.append(record)


def file(path: Path, **keys: Any) -> HandlerSettings:
    return HandlerSettings(kind="file", path=str(path), **keys)


def texts(path: Path) -> list[str]:
    """What the lines of a JSON file say, after everything was written."""
    stop()
    return [json.loads(line)["text"] for line in path.read_text().splitlines()] if path.exists() else []


# -- channels, levels, handlers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("background", [True, False])
def test_channels_levels_and_handlers_filter(tmp_path: Path, background: bool) -> None:
    everything, few, urgent = tmp_path / "all.log", tmp_path / "few.log", tmp_path / "urgent.log"
    handlers = (file(everything), file(few, channels=("shop",)), file(urgent, level="error"))
    configure(LogSettings(level="info", levels={"shop.orders": "debug"}, format="json", handlers=handlers, background=background))
    for logger in (shop, orders, other, logging.getLogger("shopping")):
        logger.debug("debug %s", logger.name)
        logger.info("info %s", logger.name)
        logger.error("error %s", logger.name)
    names = ["shop", "shop.orders", "other", "shopping"]
    assert sorted(texts(everything)) == sorted(["debug shop.orders", *(f"{level} {name}" for level in ("info", "error") for name in names)])
    assert texts(few) == ["info shop", "error shop", "debug shop.orders", "info shop.orders", "error shop.orders"]
    assert texts(urgent) == [f"error {name}" for name in names]


def test_set_level_while_running(tmp_path: Path) -> None:
    configure(LogSettings(format="json", handlers=(file(tmp_path / "a.log"),)))
    orders.debug("not yet")
    set_level("shop", "debug")
    orders.debug("now")
    other.debug("not here")
    set_level("", "error")
    other.warning("no more")
    assert texts(tmp_path / "a.log") == ["now"]
    with pytest.raises(ValueError, match="unknown level 'loud': one of debug, info"):
        set_level("shop", "loud")


def test_configure_again_replaces_what_was_there(tmp_path: Path) -> None:
    stranger = logging.NullHandler()
    logging.getLogger().addHandler(stranger)
    configure(LogSettings(levels={"shop": "error"}, format="json", handlers=(file(tmp_path / "old.log"),)))
    shop.error("first")
    configure(LogSettings(format="json", handlers=(file(tmp_path / "new.log"),)))
    assert (tmp_path / "old.log").exists()
    shop.info("second")
    assert texts(tmp_path / "new.log") == ["second"]
    assert texts(tmp_path / "old.log") == ["first"]
    assert stranger in logging.getLogger().handlers
    logging.getLogger().removeHandler(stranger)


def test_a_handler_by_its_dotted_name() -> None:
    Kept.records.clear()
    configure(LogSettings(handlers=(HandlerSettings(kind=f"{__name__}:Kept", options={"mark": "mine"}),)))
    shop.info("hello", extra={"token": "t"})
    (record,) = Kept.records
    assert (record.getMessage(), record.mark, record.token) == ("hello", "mine", "***")  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["no.such:Handler", f"{__name__}:Missing", f"{__name__}:Kept", "logging:Formatter"])
def test_a_handler_that_cannot_be_made_is_named_and_changes_nothing(tmp_path: Path, kind: str) -> None:
    configure(LogSettings(format="json", handlers=(file(tmp_path / "a.log"),)))
    with pytest.raises(ConfigError, match=f"log handler {kind}"):
        configure(LogSettings(handlers=(HandlerSettings(kind=kind),)))
    shop.info("still here")
    assert texts(tmp_path / "a.log") == ["still here"]
