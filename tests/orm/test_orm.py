"""The names of the room, and that they cost nothing before they are asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from greenimi import orm


@pytest.mark.parametrize("name", orm.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(orm, name).__module__.startswith(("greenimi.orm", "playhouse."))


def test_names_that_are_not_there() -> None:
    with pytest.raises(AttributeError, match=r"module greenimi\.orm has no attribute Modle"):
        _ = orm.Modle


def test_naming_the_room_imports_no_driver() -> None:
    told = subprocess.run(
        [sys.executable, "-c", "import sys, greenimi.orm; print('peewee' in sys.modules)"], capture_output=True, text=True, check=True
    )
    assert told.stdout == "False\n"
