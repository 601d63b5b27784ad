"""What every IConfig does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from greenimi.errors import ConfigError
from greenimi.interfaces import IConfig

TREE: Mapping[str, Any] = {"shop": {"name": "corner", "size": 3, "doors": {"front": {"open": True}}}, "flat": 1}


@dataclass(frozen=True)
class Door:
    open: bool = False
    colour: str = "red"


class ConfigContract(ABC):
    """A tree of tables, read by dotted paths and bound strictly to frozen dataclasses."""

    @abstractmethod
    def make(self, tree: Mapping[str, Any]) -> IConfig:
        """A configuration that holds ``tree``."""

    def test_provides_its_interface(self) -> None:
        provided_by: Any = IConfig
        assert provided_by.providedBy(self.make(TREE))

    def test_values_by_dotted_path(self) -> None:
        config = self.make(TREE)
        assert config.get("flat") == 1
        assert config.get("shop.doors.front.open") is True
        assert config.get("shop.doors") == {"front": {"open": True}}

    def test_absent_values(self) -> None:
        config = self.make(TREE)
        assert config.get("shop.owner", None) is None
        assert config.get("shop.name.first", "x") == "x"
        with pytest.raises(ConfigError, match=r"shop\.owner"):
            config.get("shop.owner")

    def test_sections(self) -> None:
        config = self.make(TREE)
        assert config.section("shop.doors") == {"front": {"open": True}}
        assert config.section("nothing") == {}
        with pytest.raises(ConfigError, match="flat"):
            config.section("flat")

    def test_what_is_read_cannot_change_the_tree(self) -> None:
        config = self.make(TREE)
        config.get("shop")["name"] = "changed"
        assert config.get("shop.name") == "corner"

    def test_settings_are_bound_strictly(self) -> None:
        config = self.make(TREE)
        assert config.settings("shop.doors.front", Door) == Door(open=True, colour="red")
        assert config.settings("shop.doors.back", Door) == Door()
        with pytest.raises(ConfigError, match=r"colur.*did you mean colour"):
            self.make({"door": {"colur": "blue"}}).settings("door", Door)
        with pytest.raises(ConfigError, match="open"):
            self.make({"door": {"open": "perhaps"}}).settings("door", Door)

    def test_values_can_change_while_running(self) -> None:
        config = self.make(TREE)
        config.set("shop.size", 4)
        config.set("shop.new.key", "x")
        assert (config.get("shop.size"), config.get("shop.new.key"), config.get("shop.name")) == (4, "x", "corner")

    def test_where_values_come_from(self) -> None:
        config = self.make(TREE)
        assert config.where("shop.size") != "default"
        assert config.where("shop.nothing") == "default"
