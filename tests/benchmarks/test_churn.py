"""The line through samples of memory, and descriptors that are waited for."""

from __future__ import annotations

import pytest

from benchmarks import churn
from benchmarks.churn import settled_files, slope


def test_the_slope_is_what_one_connection_leaves() -> None:
    assert slope([(0, 1000), (10, 1020), (20, 1040)]) == pytest.approx(2.0)
    assert slope([(0, 1000), (10, 1000), (20, 1000)]) == 0
    assert slope([(0, 5), (1, 9), (2, 5), (3, 9)]) == pytest.approx(0.8)  # what goes up and down counts little


def test_descriptors_are_given_time(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter([9, 8, 7, 7])
    monkeypatch.setattr(churn, "open_files", lambda worker: next(counts))
    assert settled_files(1, 7) == 7
    assert list(counts) == [7]
    monkeypatch.setattr(churn, "SETTLE_SECONDS", 0.1)
    monkeypatch.setattr(churn, "open_files", lambda worker: 8)
    assert settled_files(1, 7) == 8
