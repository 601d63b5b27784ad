"""``[lock.NAME]`` in conf."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greenimi.config import Config
from greenimi.errors import ConfigError
from greenimi.hub import run_folder
from greenimi.lock.settings import VARIABLE, LockSettings, check_settings, folder_of


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"wait": -1.0}, r"lock\.default\.wait: -1\.0 is below 0"),
        ({"patience": -1.0}, r"lock\.default\.patience: -1\.0 is below 0"),
        ({"lease": 0.05}, r"lock\.default\.lease: 0\.05 is below 0\.1 seconds"),
        ({"held": 0}, r"lock\.default\.held: 0 is below 1"),
        ({"waiting": 0}, r"lock\.default\.waiting: 0 is below 1"),
        ({"connections": 0}, r"lock\.default\.connections: 0 is below 1"),
        ({"size": 0}, r"lock\.default\.size: 0 is below 1"),
        ({"prefix": "a{b"}, r"lock\.default\.prefix: braces"),
    ],
)
def test_what_cannot_be(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        check_settings("default", LockSettings(**values), Config({"lock": {"default": values}}))


def test_a_name_that_is_no_file_name() -> None:
    with pytest.raises(ConfigError, match=r"lock\.\.\./etc: it is part of a file's name"):
        check_settings("../etc", LockSettings(), Config({}))


def test_defaults_can_be() -> None:
    check_settings("default", LockSettings(), Config({}))
    assert LockSettings().driver == "auto"


def test_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    assert VARIABLE == run_folder.VARIABLE
    monkeypatch.delenv(VARIABLE, raising=False)
    assert folder_of(LockSettings()) is None
    monkeypatch.setenv(VARIABLE, "/run/shop")
    assert folder_of(LockSettings()) == Path("/run/shop/locks")
    assert folder_of(LockSettings(folder="/var/locks")) == Path("/var/locks")
