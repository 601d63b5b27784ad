from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAIN = ROOT / "greenimi/__main__.py"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python in a folder where ``greenimi.cli.main`` is replaced (by a sitecustomize) with one that tells what it sees."""
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "def told():\n"
        "    from gevent import monkey\n"
        f"    print(monkey.is_module_patched('socket'), {str(MAIN.parent)!r} in sys.path)\n"
        "    return 4\n"
        "class Cli:\n"
        "    main = staticmethod(told)\n"
        "sys.modules['greenimi.cli'] = Cli\n"
    )
    env = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}"}
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("start", [("-m", "greenimi"), (str(MAIN),)])
def test_it_patches_then_runs_the_command_line_and_gives_its_status(tmp_path: Path, start: tuple[str, ...]) -> None:
    """Also by the path of the file: then our folder, whose modules would hide others of the same name, is not on the path."""
    done = run(tmp_path, *start)
    assert done.stderr == ""
    assert (done.returncode, done.stdout) == (4, "True False\n")


def test_it_runs_by_its_path_where_greenimi_is_not_installed(tmp_path: Path) -> None:
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, str(MAIN), "--version"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("greenimi ")


def test_importing_it_patches_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, "-c", "import greenimi.__main__, sys; print('gevent' in sys.modules)")
    assert done.stdout == "False\n", done.stderr
