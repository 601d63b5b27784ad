"""``greenimi reload`` and ``drain``, as an operator uses them, against a running service."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenimi.testing.clients import HttpClient
from greenimi.testing.gunicorn import Gunicorn
from greenimi.testing.support import wait_until

PATIENCE = 40.0
ROOT = Path(__file__).resolve().parents[2]
APP = "import os\nfrom greenimi import get, http\n@http\nclass Web:\n    @get('/')\n    def version(self): return 1\n"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Gunicorn]:
    (tmp_path / "service.py").write_text(APP)
    conf = tmp_path / "app.toml"
    conf.write_text(f'include = ["service"]\n[servers.web]\nkind = "http"\n[workers]\ncontrol = "{tmp_path}/run"\n')
    gunicorn = Gunicorn(ROOT / "conf/gunicorn.conf.py", conf, 1, {}, tmp_path / "log", ("-m", "greenimi", "serve", str(conf)))
    gunicorn.start()
    yield gunicorn
    gunicorn.stop()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command of greenimi beside the service."""

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        own = {key: value for key, value in os.environ.items() if not key.startswith("GREENIMI")}
        return subprocess.run(
            [sys.executable, "-m", "greenimi", *words, str(tmp_path / "app.toml")],
            cwd=tmp_path,
            env={**own, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return command


def version(service: Gunicorn) -> int:
    with HttpClient(service.addresses["web"], timeout=PATIENCE) as web:
        return int(web.get("/").json())


@pytest.mark.live
def test_an_operator_reloads_fails_reloads_again_and_drains(service: Gunicorn, run: Run, tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(APP.replace("return 1", "return 2"))
    told = run("reload")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.splitlines() == [
        "checking the configuration and the application in a fresh process",
        "starting 1 new workers, generation 2",
        "all new workers are ready",
        "the old workers finish their work",
        "done: generation 2, 1 workers",
    ]
    assert version(service) == 2

    (tmp_path / "service.py").write_text("return")
    told = run("reload")
    assert told.returncode == 1
    assert "refused, nothing was changed" in told.stderr
    assert "SyntaxError" in told.stderr
    assert version(service) == 2

    (tmp_path / "service.py").write_text(APP)
    before = service.ready
    told = run("drain", "--worker", "0")
    assert (told.returncode, told.stdout) == (0, "worker 0 leaves as soon as its successor is ready\n")
    wait_until(lambda: service.ready and service.ready != before, PATIENCE)
    told = run("drain", "--worker", "7")
    assert (told.returncode, told.stderr) == (1, "greenimi: there is no worker 7; places are 0 to 0\n")

    told = run("drain")
    assert told.returncode == 0
    assert told.stdout == f"master {service.pid} takes no new work and finishes what it has\ndone\n"
    assert service.process is not None
    assert service.process.wait(PATIENCE) == 0
    told = run("reload")
    assert told.returncode == 1
    assert "no running master serves" in told.stderr


@pytest.mark.live
def test_an_upgrade_replaces_the_master_too(service: Gunicorn, run: Run, tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text("no python")
    told = run("reload", "--upgrade")
    assert told.returncode == 1
    assert f"{service.pid} serves on" in told.stderr
    assert version(service) == 1

    (tmp_path / "service.py").write_text(APP.replace("return 1", "return 2"))
    told = run("reload", "--upgrade")
    assert told.returncode == 0, told.stderr
    (new,) = [int(path.stem) for path in service.control.glob("*.sock")]
    assert told.stdout.splitlines()[-1] == f"done: master {new}"
    assert new != service.pid
    assert version(service) == 2
    assert run("drain").returncode == 0
