from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import pytest

from tests.soak.measures import Cpu, cpu_seconds, descriptors, percentile, resident
from tests.soak.places import NotRun, environment, most_files, need


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [
        ([5.0], 0.99, 5.0),
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([float(number) for number in range(1, 101)], 0.99, 99.0),
        ([float(number) for number in range(1, 102)], 0.99, 100.0),
        ([1.0, 2.0], 1.0, 2.0),
        ([1.0, 2.0], 0.0, 1.0),
    ],
)
def test_percentile(values: list[float], share: float, found: float) -> None:
    assert percentile(values, share) == found


def test_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.99)


def test_figures_of_this_process() -> None:
    before = descriptors(os.getpid())
    with Path(os.devnull).open():
        assert descriptors(os.getpid()) == before + 1
    assert 1 << 20 < resident(os.getpid()) < 1 << 36
    assert abs(cpu_seconds(os.getpid()) - time.process_time()) < 1


def test_the_share_of_a_core() -> None:
    cpu = Cpu(os.getpid())
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    assert cpu.share > 0.05


def test_files_and_variables_are_as_before_afterwards() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with most_files(before[0] - 1), environment(SOAK_TEST="inside", HOME="/elsewhere"):
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[0] - 1, before[1])
        assert os.environ["SOAK_TEST"] == "inside"
        assert os.environ["HOME"] == "/elsewhere"
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
    assert "SOAK_TEST" not in os.environ
    assert os.environ["HOME"] != "/elsewhere"


def test_what_is_not_installed_is_told() -> None:
    need("sh")
    with pytest.raises(NotRun, match="no-such-program"):
        need("sh", "no-such-program")
