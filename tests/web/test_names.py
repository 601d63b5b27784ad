"""What applications import from greenimi.web, and what it costs those who only read settings."""

from __future__ import annotations

import subprocess
import sys

import pytest

from greenimi import web

LIGHT = """
import sys
import greenimi.web.settings
assert not {"gevent", "greenimi.web.uploads", "greenimi.web.session"} & sys.modules.keys(), sorted(sys.modules)
from greenimi.web import UploadedFile
assert "greenimi.web.uploads" in sys.modules
"""


@pytest.mark.parametrize("name", web.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(web, name) is not None


def test_others_are_not() -> None:
    with pytest.raises(AttributeError, match=r"greenimi.web has no attribute nothing"):
        _ = web.nothing


def test_who_reads_settings_pays_for_nothing_else() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
