"""The list of every key of the configuration is what the settings say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.floors.tree import ROOT

COPIES = ("conf/reference.toml", "greenimi/reference.toml")
"""To read beside an application's conf, and as it ships in the package."""

AGAIN = "; ".join(f'(cd "$(mktemp -d)" && greenimi conf --defaults) > {copy}' for copy in COPIES)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What ``greenimi conf --defaults`` prints where there is no application."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("GREENIMI")}
    command = [sys.executable, str(ROOT / "greenimi/__main__.py"), "conf", "--defaults"]
    folder = tmp_path_factory.mktemp("empty")
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=30, check=True).stdout


@pytest.mark.parametrize("copy", COPIES)
def test_the_reference_is_in_step(copy: str, generated: str) -> None:
    assert Path(ROOT, copy).read_text() == generated, f"settings changed; write it again: {AGAIN}"


def test_the_reference_is_toml_with_a_sentence_for_every_key(generated: str) -> None:
    assert {"app", "log", "servers", "workers"} <= tomllib.loads(generated).keys()
    lines = generated.splitlines()
    keys = [number for number, line in enumerate(lines) if re.match(r"(# )?\w+ = ", line)]
    silent = [lines[number] for number in keys if not lines[number - 1].startswith("# ")]
    assert not silent, f"no sentence: {silent}"
