"""openapi-spec-validator on the documents that ``greenimi openapi`` writes, as JSON and as YAML."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.conformance.places import ROOT

_EVERYTHING = """
include = ["tests.components.openapi.everything", "greenimi.components.openapi"]
[servers.web]
"""


def applications(folder: Path) -> Mapping[str, Sequence[str]]:
    """What is judged: the options of the command for each application, by its name."""
    file = folder / "everything.toml"
    file.write_text(_EVERYTHING)
    shop = ROOT / "examples/shop/conf/app.toml"
    return {"everything": ["--conf", str(file)], "shop": ["--conf", str(shop), "--set", "shop.database=:memory:"]}


def write(options: Sequence[str], file: Path) -> None:
    """Have the command write a document.  Raises CalledProcessError."""
    command = [sys.executable, "-m", "greenimi", *options, "openapi", "-o", str(file)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)


def is_valid(file: Path) -> bool:
    """Whether the validator finds nothing; it says itself what it finds."""
    return subprocess.run([sys.executable, "-m", "openapi_spec_validator", str(file)], cwd=ROOT, check=False, timeout=60).returncode == 0


def run(cache: Path) -> int:
    """The whole suite; 0 when all documents are valid."""
    folder = cache / "openapi"
    folder.mkdir(parents=True, exist_ok=True)
    valid = True
    for name, options in applications(folder).items():
        for ending in ("json", "yaml"):
            file = folder / f"{name}.{ending}"
            write(options, file)
            valid &= is_valid(file)
    return 0 if valid else 1
