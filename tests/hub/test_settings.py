"""What ``[hub]`` may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenimi.config import read_conf
from greenimi.errors import ConfigError
from greenimi.hub.settings import GroupSettings, HubSettings, check_settings


def checked(text: str, folder: Path) -> HubSettings:
    file = folder / "app.toml"
    file.write_text(text)
    config = read_conf(file, env={})
    settings = config.settings("hub", HubSettings)
    check_settings(settings, config)
    return settings


def test_without_a_word_of_it_everything_has_a_bound(tmp_path: Path) -> None:
    settings = checked("", tmp_path)
    assert (settings.node, settings.relay, settings.store, settings.groups) == (0, "auto", "auto", {})
    assert settings.wait > 0
    assert settings.queue > 0
    assert settings.keep > 0
    assert settings.groups_each > 0
    assert settings.group_count > 0


def test_kinds_of_groups_have_rules(tmp_path: Path) -> None:
    settings = checked("[hub.groups.room]\nlimit = 5\npresence = true\nannounce = true\nhistory = 10\n", tmp_path)
    assert settings.groups == {"room": GroupSettings(limit=5, presence=True, announce=True, history=10)}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[hub]\nnode = 4096", r"app\.toml:2: hub\.node: 4096 is not a number from 0 to 4095"),
        ("[hub]\nnode = -1", r"hub\.node: -1"),
        ("[hub]\nwait = -1.0", r"app\.toml:2: hub\.wait: -1\.0 is below 0"),
        ("[hub.groups.room]\nhistory = -1", r"hub\.groups\.room\.history: -1 is below 0"),
        ("[hub.groups.room]\nannounce = true", r"hub\.groups\.room\.announce: nobody knows"),
        ('[hub.groups."room:1"]\nlimit = 1', r"before the first colon"),
    ],
)
def test_what_cannot_be_is_told_with_its_place(text: str, wrong: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=wrong):
        checked(text, tmp_path)
