"""Services that stay: found again by a note, ended exactly."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from greenimi.testing import services
from greenimi.testing.services.kept import Kept, conf_of
from greenimi.testing.services.processes import ProcessId, ServiceFailed
from greenimi.testing.services.service import Conf

START = """
import sys
from pathlib import Path
from greenimi.testing.services.kept import Kept
Kept.start("redis_replica", Path(sys.argv[1]))
"""


def test_it_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", START, str(tmp_path / "notes")], check=True, timeout=30)
    kept = Kept.find("redis_replica", tmp_path / "notes")
    assert kept is not None
    assert kept.runs
    assert kept.conf is not None
    assert kept.urls == [kept.conf.keys["url"], *kept.conf.keys["replicas"]]
    assert len(kept.processes) == len(kept.folders) == 2
    assert (tmp_path / "notes/redis_replica.json").stat().st_mode & 0o077 == 0
    kept.end(tmp_path / "notes")
    assert not any(process.alive for process in kept.processes)
    assert not any(Path(folder).exists() for folder in kept.folders)
    assert Kept.find("redis_replica", tmp_path / "notes") is None


def test_another_process_with_the_same_number_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        its = ProcessId.of(other.pid)
        kept = Kept("redis", ["redis://"], None, [], [ProcessId(its.pid, its.started - 1)])
        assert not kept.runs
        kept.end(tmp_path)
        assert its.alive
        other.kill()


def test_nothing_is_left_when_it_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    class Broken:
        folders = made

        def start(self) -> None:
            raise ServiceFailed("no")

        def remove(self) -> None:
            made.append(tmp_path)

    monkeypatch.setattr(services, "make", lambda kind, attached: Broken())
    with pytest.raises(ServiceFailed, match="no"):
        Kept.start("redis", tmp_path)
    assert made == [tmp_path]
    assert Kept.find("redis", tmp_path) is None


def test_conf_of_all_has_each_table_once() -> None:
    conf = conf_of(
        [
            Kept("redis_replica", [], Conf("redis", {"url": "redis://a", "replicas": ["redis://b"]}), [], []),
            Kept("redis_cluster", [], Conf("redis", {"cluster": ["a:1", "b:2"]}), [], []),
            Kept("mosquitto", [], None, [], []),
            Kept("postgres", [], Conf("database", {"url": 'postgresql://a:"@b'}), [], []),
        ]
    )
    assert tomllib.loads(conf) == {
        "redis": {"default": {"url": "redis://a", "replicas": ["redis://b"]}, "redis_cluster": {"cluster": ["a:1", "b:2"]}},
        "database": {"default": {"url": 'postgresql://a:"@b'}},
    }
