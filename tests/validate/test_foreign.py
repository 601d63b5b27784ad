"""pydantic models, where pydantic is installed."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from types import SimpleNamespace

import pytest
from pydantic import BaseModel, Field

from greenimi.validate import BindError
from greenimi.validate.foreign import read, told


class Address(BaseModel):
    city: str


class User(BaseModel):
    name: str = Field(max_length=3)
    born: date
    home: Address


GOOD = {"name": "ann", "born": "2000-01-02", "home": {"city": "Rome"}}


def test_reading() -> None:
    assert read(User, GOOD) == User(name="ann", born=date(2000, 1, 2), home=Address(city="Rome"))
    with pytest.raises(BindError) as caught:
        read(User, {"name": "anna", "born": "x", "home": {}})
    assert [(problem.path, problem.code) for problem in caught.value.problems] == [
        ("name", "string_too_long"),
        ("born", "date_from_datetime_parsing"),
        ("home.city", "missing"),
    ]


def test_telling() -> None:
    rich = SimpleNamespace(name="ann", born=date(2000, 1, 2), home=SimpleNamespace(city="Rome", secret=1), secret=2)
    assert told(User, rich) == told(User, User.model_validate(GOOD)) == GOOD
    with pytest.raises(ValueError, match="home"):
        told(User, SimpleNamespace(name="ann", born=date(2000, 1, 2)))


def test_it_is_never_imported_by_us() -> None:
    code = "import sys, greenimi.dispatch.arguments, greenimi.validate.foreign; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=50).returncode == 0
